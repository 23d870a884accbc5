"""Model calls over the network: one request in, one completion or one `ProviderError` out."""

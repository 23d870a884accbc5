"""The daemon's HTTP: routes, events, who may do what."""

"""`evalsvc sim`: an OpenAI-compatible rehearsal server with a known skill, or a replay of recorded outputs."""

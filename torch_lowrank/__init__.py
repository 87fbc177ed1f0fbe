"""Low-rank compression of any network."""

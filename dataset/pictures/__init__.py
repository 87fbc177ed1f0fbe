"""Images without masks."""

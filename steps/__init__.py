"""One step of a pipeline a file."""

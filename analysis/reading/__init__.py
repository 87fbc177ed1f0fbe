"""Results of runs that have finished, read from their files."""

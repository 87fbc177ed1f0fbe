"""Several networks of one size, of which the best is kept."""

"""Where a data set lies."""

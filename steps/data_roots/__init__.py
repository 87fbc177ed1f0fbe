"""How a step opens the data root of its run: a folder, a bucket, or the built-in phantoms."""

"""What runs the pipelines: before, around and after them."""

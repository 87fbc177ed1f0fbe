"""The quality of networks on a split, and their cost."""

"""Reading and checking annotation files."""

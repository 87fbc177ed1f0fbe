"""Data sets: reading COCO folders, storing them as arrays, the built-in demo data."""

"""The layouts of data sets: which one a folder has, and how its images and masks are read."""

"""The layout of a data set: the folders in it, and the file that each has beside its images."""

SPLITS = ("train", "valid", "test")
ANNOTATION_FILE = "_annotations.coco.json"

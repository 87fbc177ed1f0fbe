"""What was read although an annotation file is not quite as COCO has it: a sentence a kind, and how often."""

from collections import Counter
from enum import Enum


class Note(Enum):
    """A kind of irregularity that leaves no doubt about what is meant; the value says what was done."""

    SPLIT_FOLDER = "the folder of a split has another usual name: it was read as that split"
    NAME = "the image lies under a slightly other name than the annotation file says: the one file that fits was taken"
    ONE_PIXEL = (
        "image and annotation file differ by one pixel in size: outlines stay where they are, masks are drawn in the "
        "image's size"
    )
    NO_SIZE = "the annotation file does not say the image's height and width: the image file does"
    TEXT_ID = "an id is a text: it was matched with equal ones, as a number where it is one"
    NO_ANNOTATION_ID = "an annotation has no id of use: it needs none"
    REPEATED_ANNOTATION_ID = "an annotation has an id that another has: both were read"
    NO_CROWD = "iscrowd is null: read as 0"
    NUMERIC_NAME = "a category's name is a number: read as a text"
    FLAT = "a segmentation is one flat list of coordinates: read as one polygon"
    PAIRS = "a polygon is a list of points [x, y]: read as x1, y1, x2, y2, ..."
    JPEG_MASK = "a mask is a JPEG or WebP, whose values are inexact: what is brighter than 191 was taken as the lesion"
    VOLUME = (
        "a volume or series of other than 8 bit was scaled as a whole, from its 0.5th percentile (0) to its 99.5th "
        "(255)"
    )
    OTHER_SPACE = "a volume and its mask say that they lie elsewhere in space: voxels were matched by their indices"
    WITHOUT_MASKS = "an image of a folder in which nothing has a mask was left out"
    BESIDE = "a file in neither of the folders of images and masks was left out"
    SMALL_PARTS = "an object has parts of fewer than three points beside good ones: these parts were left out"


class Notes:
    """Counts notes, and keeps where each kind was met first."""

    def __init__(self) -> None:
        self._counts: Counter[Note] = Counter()
        self._first: dict[Note, str] = {}

    def add(self, note: Note, place: str) -> None:
        """Counts one; `place` names split and file."""
        self._counts[note] += 1
        self._first.setdefault(note, place)

    def update(self, other: "Notes") -> None:
        """Adds what another has counted, as of later samples."""
        self._counts.update(other._counts)
        self._first = {**other._first, **self._first}

    def sentences(self) -> list[str]:
        """Returns one line for every kind that was met."""
        return [
            f"{note.value} ({self._counts[note]} {'time' if self._counts[note] == 1 else 'times'}; "
            f"first: {self._first[note]})"
            for note in Note
            if self._counts[note]
        ]

"""Puts segmentations into COCO's form that tools write in another, where only one reading is possible."""

from collections.abc import Sequence

from dataset.annotations.json_values import is_number
from dataset.notes import Note


def in_coco_form(raw: object) -> tuple[object, tuple[Note, ...]]:
    """Puts a segmentation into COCO's form.

    One flat list of coordinates (VIA) is a polygon; so are points as pairs [x, y] (labelme). Parts of fewer than three
    points cover nothing: they are left out where others are good.

    Args:
        raw: The value of `segmentation` as read from JSON.

    Returns:
        The segmentation, still to be checked, and what was done; the value itself where nothing was.
    """
    if not isinstance(raw, list) or not raw:
        return raw, ()
    if all(is_number(value) for value in raw):
        return [raw], (Note.FLAT,)
    notes: list[Note] = []
    parts: list[object] = raw
    if len(raw) >= 3 and _is_points(raw):
        parts = [_flat(raw)]
        notes.append(Note.PAIRS)
    elif any(isinstance(part, list) and part and isinstance(part[0], list) for part in raw):
        parts = [_flat(part) if isinstance(part, list) and part and _is_points(part) else part for part in raw]
        notes.append(Note.PAIRS)
    good = [part for part in parts if not _is_too_small(part)]
    if not good:
        return (parts if any(parts) else []), ()
    if len(good) < len(parts):
        notes.append(Note.SMALL_PARTS)
    return (good, tuple(notes)) if notes else (raw, ())


def _is_points(raw: Sequence[object]) -> bool:
    return all(isinstance(point, list) and len(point) == 2 and all(map(is_number, point)) for point in raw)


def _flat(points: Sequence[object]) -> list[object]:
    return [value for point in points if isinstance(point, list) for value in point]


def _is_too_small(part: object) -> bool:
    """Returns whether a part is a list of no, one or two points."""
    return isinstance(part, list) and len(part) in (0, 2, 4) and all(map(is_number, part))

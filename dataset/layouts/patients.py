"""Which folders hold one patient each."""

import re
from collections.abc import Sequence

from dataset.layouts.file_roles import Role

_PATIENT = re.compile(r"\d|patient|subject|case", re.IGNORECASE)  # what the name of such a folder has
_FEWEST = 3  # fewer could not be divided


def patients_of(images: Sequence[Role]) -> list[str | None]:
    """Returns the patient of each image, where folders look like it.

    These are the outermost folders beside each other of which at least three have a number in their names, or
    "patient", "subject" or "case": so folders of classes (`benign/`, `malignant/`) are no patients, and neither is one
    folder around all (`release_2/`), while a patient may have folders within (`p01/visit1/`).

    Args:
        images: The images.

    Returns:
        The folders down to the patient's, without those of splits; None where an image lies in none.
    """
    folders = [image.own_folders for image in images]
    for depth in range(1, max(map(len, folders), default=0) + 1):
        patients = [
            "/".join(parts[:depth]) if len(parts) >= depth and _PATIENT.search(parts[depth - 1]) else None
            for parts in folders
        ]
        if len({*patients} - {None}) >= _FEWEST:
            return patients
    return [None] * len(images)

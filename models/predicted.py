"""What a network says of one image, in the image's own size."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Predicted:
    """The mask of an image.

    Attributes:
        name: The image's file.
        image: uint8 (H, W, C), as the network sees colours: C is 1 or 3.
        labels: uint8 (H, W), 0 for the background.
        probability: float32 (H, W), of the label where there is one; where there is none, of the background if the
            network knows several classes, else of the lesion.
    """

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    probability: NDArray[np.float32]

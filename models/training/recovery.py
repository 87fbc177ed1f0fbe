"""How fast a compressed network is trained on."""

from __future__ import annotations

# Base rates are chosen at an eighth of the parameters. Of truncated networks, at a sixteenth twice the rate did a
# little better on validation images, and four times at a thirty-second; of reconstructed ones, no gain was found and no
# loss (docs/results.md). Beyond, nothing was measured.
_BASE_SHARE, _MOST = 0.125, 4.0


def recovery_rate(base: float, share: float) -> float:
    """Returns the learning rate for a network with this share of the dense one's parameters.

    The more is cut off, the further a network lies from what it was, and the less is there to be unlearned:
    base * min(4, max(1, 0.125 / share)). It is the base rate from an eighth of the parameters upward, and grows in
    inverse proportion to the share below, up to four times at a thirty-second.

    Args:
        base: The rate at an eighth of the parameters.
        share: Parameters left, as a share of the dense network's, above 0.

    Raises:
        ValueError: The share is not a positive number.
    """
    if not share > 0:
        raise ValueError(f"the share of the parameters is {share}; give a number above 0")
    return base * min(_MOST, max(1.0, _BASE_SHARE / share))

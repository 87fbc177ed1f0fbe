"""What compression did to each layer, as plain data."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """What compression did to one layer.

    Attributes:
        name: The layer's name in the network, as in `named_modules`.
        kind: The layer's class, for example `Conv2d`.
        scheme: How the weight was unfolded (`channel`, `spatial`), None where the layer stays dense.
        rank: The rank applied, None where the layer stays dense.
        full_rank: The largest rank the weight can have in that scheme, 0 where it has no spectrum.
        params_before: Number of parameters of the layer, bias included.
        params_after: The same after compression.
        error: Relative error of the weight, ||W - W_r||_F / ||W||_F; 0 where the layer stays dense.
        skipped: Why the layer stays dense, None where it was replaced.
        bits: Bits of a stored weight, None for floating point.
    """

    name: str
    kind: str
    scheme: str | None
    rank: int | None
    full_rank: int
    params_before: int
    params_after: int
    error: float
    skipped: str | None = None
    bits: int | None = None

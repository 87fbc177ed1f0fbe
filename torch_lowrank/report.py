"""What compression did to each layer, and what it could do to a network, as plain data."""

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


@dataclasses.dataclass(frozen=True)
class ParameterShares:
    """Shares of a network's parameters, in [0, 1]; together they are 1.

    Attributes:
        factorizable: In layers that can be factorised, biases included.
        others: Reason why not to share, the largest first.
    """

    factorizable: float
    others: dict[str, float]

    def describe(self) -> str:
        """Returns for example `99.9 % of the parameters can be factorised; not: normalisation 0.1 %`."""
        rest = ", ".join(f"{reason} {_percent(share)}" for reason, share in self.others.items())
        return f"{_percent(self.factorizable)} of the parameters can be factorised{f'; not: {rest}' if rest else ''}"


def _percent(share: float) -> str:
    """Returns a share with the digits that tell it from none and from all."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share < 1e-4:
        return "less than 0.01 %"
    return f"{100 * share:.3g} %" if share < 0.9995 else f"{min(100 * share, 99.99):.2f} %"

"""The singular values of layers without their factors: small enough to be drawn, compared and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from torch_lowrank.decomposition.spectra import Spectra


@dataclasses.dataclass(frozen=True)
class SingularValues:
    """The spectrum of one layer.

    Attributes:
        scheme: How the weight was unfolded.
        values: Singular values, descending.
    """

    scheme: str
    values: list[float]


def singular_values(spectra: Sequence[Spectra]) -> dict[str, dict[str, SingularValues]]:
    """Returns the singular values of every layer, by kind of spectra: `plain` and `weighted`, as far as given.

    A layer may be decomposed by two schemes. Of those weighted by the data the spatial one is returned, which the
    budget method prefers.
    """
    found = {}
    for each in spectra:
        plain = each.weighting == "none"
        layers = each.layers if plain else each.layers | each.alternatives
        found["plain" if plain else "weighted"] = {
            name: SingularValues(spectrum.scheme, spectrum.singular_values.tolist())
            for name, spectrum in layers.items()
        }
    return found

"""A variant with its weights in few bits."""

from __future__ import annotations

import dataclasses

from models.variant import Variant
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.quantization.bits import HALF
from torch_lowrank.quantization.quantize import quantize_weights


def round_variant(variant: Variant, bits: int, statistics: Statistics) -> Variant:
    """Returns a variant's twin, whose weights have so many bits each, and all else 16 where that changes it little.

    Args:
        variant: Any variant; it is not changed.
        bits: 2 to 8, or 16.
        statistics: Of the baseline; roundings make up for each other where the loss depends on them. They are of all
            channels: of a pruned network, each weight is rounded to the nearest value.

    Raises:
        ValueError: A weight cannot be rounded so, see `torch_lowrank.quantize_weights`.
    """
    of_network = None if variant.spec.method == "pruned" else statistics
    network = quantize_weights(variant.network, bits, statistics=of_network, other_bits=HALF)
    rounded = dataclasses.replace(variant, network=network).with_spec(weight_bits=bits)
    return dataclasses.replace(rounded, layers=[dataclasses.replace(each, bits=bits) for each in variant.layers])

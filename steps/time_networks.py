"""Step: the time that all networks take for one image, measured in turn."""

from typing import Annotated

from zenml import step

from materializers.records import LatenciesMaterializer
from models.evaluation.latency import time_in_turns
from models.evaluation.results import Latencies, Machine
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=LatenciesMaterializer)
def time_networks(
    compressed: list[Variant],
    baseline: Variant,
    input_shape: tuple[int, int, int],
    seconds: float,
    threads: int,
    device: str,
    machine: Machine | None,
) -> Annotated[Latencies, "latencies"]:
    """Times every network anew if there is another one among them, or on another machine.

    Args:
        compressed: All variants but the baseline.
        baseline: What their times are divided by.
        input_shape: One image, (C, H, W).
        seconds: About how long to time each network.
        threads: CPU threads to time with.
        device: Device to compute on.
        machine: Where the step runs, a part of the cache key; None where that is not known before. The latencies say
            where it ran.
    """
    networks = {variant.name: variant.network for variant in (baseline, *compressed)}
    return Latencies(time_in_turns(networks, input_shape, device, seconds, threads))

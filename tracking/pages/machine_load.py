"""What a training takes of its machine, sampled beside it: processor, memory, disk, network and GPU.

The values are those of MLflow's own system metrics, by the same names. MLflow's monitor writes to a run that is open;
here a run is made when all is done, from what ZenML keeps, so that cached trainings have one too.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

_SECONDS = 2.0  # between two samples of a short training
_MOST = 60  # samples: a longer training has them at longer intervals
_MOST_BYTES = 32_000  # of all values as JSON: ZenML stores them after the step, and its databases take 65,535
_CLOCK = "time_ms"
_JOINED = 10.0  # seconds for the last sample
LOAD = "machine_load"  # key of a training's metadata in ZenML
_log = logging.getLogger(__name__)


class MachineLoad:
    """Samples the machine while a `with` block runs, in a thread of its own; nothing where psutil is not installed.

    Attributes:
        samples: In the order of time, each with `time_ms` (milliseconds since 1970), and MLflow's names of the values,
            for example `cpu_utilization_percentage`. Complete once the block is left.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        """Prepares it.

        Args:
            seconds: Between two samples at the beginning; doubled whenever there are too many samples.
        """
        self.samples: list[dict[str, float]] = []
        self._seconds = seconds
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if find_spec("psutil") is not None:
            self._thread = threading.Thread(target=self._watch, daemon=True, name="machine load")
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(_JOINED)

    def columns(self) -> dict[str, list[float]]:
        """Returns name to the values of the samples, of what every sample has; empty where there is none.

        Values have 4 significant digits, times all of theirs. Of many samples of many values, as of a machine with many
        GPUs, some are left out, evenly, until all are at most 32,000 bytes of JSON.
        """
        samples = self.samples
        while len(json.dumps(found := _columns(samples))) > _MOST_BYTES and len(samples) > 1:
            samples = samples[::2]
        return found

    def _watch(self) -> None:
        """Takes samples until the block is left; a training does not fail because its machine cannot be watched."""
        try:
            monitors = _monitors()
            while not self._over.wait(self._seconds):
                self._take(monitors)
        except Exception as error:  # noqa: BLE001 - drivers raise what they like
            _log.debug("the machine is not watched: %s", error)

    def _take(self, monitors: list[Any]) -> None:
        sample: dict[str, float] = {_CLOCK: time.time_ns() // 1_000_000}
        for monitor in monitors:
            monitor.collect_metrics()
            sample |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        self.samples.append(sample)
        if len(self.samples) > _MOST:
            self.samples = self.samples[::2]
            self._seconds *= 2


def _columns(samples: list[dict[str, float]]) -> dict[str, list[float]]:
    known = set.intersection(*(set(sample) for sample in samples)) if samples else set()
    return {name: [_rounded(name, sample[name]) for sample in samples] for name in sorted(known)}


def _rounded(name: str, value: float) -> float:
    return value if name == _CLOCK else float(f"{value:.4g}")


def _monitors() -> list[Any]:
    """Returns MLflow's monitors of what this machine has."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor  # noqa: PLC0415 - seconds
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor  # noqa: PLC0415
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor  # noqa: PLC0415
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor  # noqa: PLC0415

    monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    monitors[0].collect_metrics()  # the processor's load is that since the last time it was asked for
    monitors[0].clear_metrics()
    try:
        monitors.append(GPUMonitor())
    except Exception as error:  # noqa: BLE001 - no GPU, no driver, or no package for it
        _log.debug("no GPU is watched: %s", error)
    return monitors

"""What is known of a network after evaluation, as plain data that any part of the project may read."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from models.variant_spec import Method, VariantSpec
from torch_lowrank.report import LayerReport, ParameterShares

SAME_FROM, SAME_TO = 0.9, 1.1  # a time that surely lies between these, relative to the baseline's, is the same


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        params: Number of parameters of the whole network.
        size_bytes: Bytes of the saved weights file.
        macs: Multiply-accumulates for one image of the evaluated size.
    """

    params: int
    size_bytes: int
    macs: int

    @property
    def size_mb(self) -> float:
        """Size of the saved weights file in megabytes (10^6 bytes)."""
        return self.size_bytes / 1e6


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the time of a forward pass depends on besides the network.

    Attributes:
        device: Name of the GPU, or of the processor where there is none in use.
        cores: Cores of the machine.
        threads: Threads that torch computes with.
    """

    device: str
    cores: int
    threads: int

    @property
    def title(self) -> str:
        """For example `AMD EPYC, 2 threads`."""
        return f"{self.device}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclasses.dataclass(frozen=True)
class Latency:
    """Time of a forward pass of one image, beside that of the baseline; see `models.evaluation.latency`.

    Attributes:
        ms: Milliseconds, of this one measurement: another one of the same network gives others.
        ratio: Time divided by the baseline's in the same rounds; 1 for the baseline.
        low: Lower end of the ratio's 95 % interval.
        high: Upper end.
        machine: Where it was measured.
    """

    ms: float
    ratio: float
    low: float
    high: float
    machine: Machine

    @property
    def judgement(self) -> Literal["faster", "slower", "same", "unclear"]:
        """What can be said of the network's time beside the baseline's.

        It is `faster` or `slower` where the interval does not hold 1, `same` where it lies within `SAME_FROM` to
        `SAME_TO`, and else `unclear`. The ends are taken as they are shown, with two digits, so that whoever reads the
        interval comes to the same judgement.
        """
        low, high = round(self.low, 2), round(self.high, 2)
        if high < 1:
            return "faster"
        if low > 1:
            return "slower"
        return "same" if low >= SAME_FROM and high <= SAME_TO else "unclear"

    @property
    def differs(self) -> bool:
        """Whether the network's time is told apart from the baseline's."""
        return self.judgement in ("faster", "slower")

    @property
    def judged(self) -> float:
        """The ratio, or 1 where no difference was found."""
        return self.ratio if self.differs else 1.0


@dataclasses.dataclass(frozen=True)
class Latencies:
    """The networks of a run, timed in turn.

    Attributes:
        networks: Name of the network to its latency.
    """

    networks: dict[str, Latency]

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-like data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Latencies:
        """Rebuilds the latencies from `to_dict`."""
        return cls({name: _latency(latency) for name, latency in data["networks"].items()})


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """One evaluated variant.

    Attributes:
        spec: What the variant is.
        cost: What the network costs.
        metrics: Metric name to value on the test images, see `metrics.Metrics`; `hausdorff95_px` is a mean over images,
            `dice_before_recovery`, `iou_before_recovery` and `dice_lesion_before_recovery` are those of the network
            straight after compression (of a budget: as it was kept), where it was worked on since.
        per_image: Metric name to one value a test image, in the order of the split; among them `lesion_px`, the pixels
            of the true mask.
        groups: The patient or volume that each test image is of; empty where that is not known.
        group_noun: What these are: "patient", "volume" or "series".
        per_group: Group to the Dice of all pixels of its test images taken as one image; empty likewise.
        classes: With several classes, the name of each to its metrics on the test images.
        valid: The same as `metrics` on the validation images, by which networks are chosen.
        valid_per_image: The same as `per_image` on them.
        valid_groups: The same as `groups` of them.
        layers: One report a layer; empty for the baseline.
        factorizable: Of the baseline, what share of its parameters can be factorised, and why the rest cannot.
        finetune_history: The curves of its fine-tuning, as `History.to_dict`; empty where there was none.
        latency: Its time beside the baseline's; None until it is known.
    """

    spec: VariantSpec
    cost: Cost
    metrics: dict[str, float]
    per_image: dict[str, list[float]]
    layers: list[LayerReport]
    classes: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    valid: dict[str, float] = dataclasses.field(default_factory=dict)
    valid_per_image: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    groups: list[str] = dataclasses.field(default_factory=list)
    per_group: dict[str, float] = dataclasses.field(default_factory=dict)
    valid_groups: list[str] = dataclasses.field(default_factory=list)
    finetune_history: dict[str, Any] = dataclasses.field(default_factory=dict)
    factorizable: ParameterShares | None = None
    latency: Latency | None = None
    group_noun: str = "patient"

    @property
    def name(self) -> str:
        """The variant's name, for example `arsvd_tau_0.9`."""
        return self.spec.name

    @property
    def method(self) -> Method:
        """What the variant is made by, see `VariantSpec`."""
        return self.spec.method

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as JSON-like data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EvaluationResult:
        """Rebuilds a result from `to_dict`."""
        return cls(
            **{
                **data,
                "spec": VariantSpec(**data["spec"]),
                "cost": Cost(**data["cost"]),
                "layers": [LayerReport(**layer) for layer in data["layers"]],
                "factorizable": ParameterShares(**shares) if (shares := data.get("factorizable")) else None,
                "latency": _latency(data["latency"]) if data["latency"] is not None else None,
            }
        )


def _latency(data: dict[str, Any]) -> Latency:
    return Latency(**{**data, "machine": Machine(**data["machine"])})

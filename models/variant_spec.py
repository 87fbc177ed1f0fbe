"""What one variant of a comparison is: a frozen description, which names, steps, tables and records read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from torch_lowrank.quantization.bits import BITS, HALF

Estimate = Literal["evbmf", "hard_threshold", "effective_rank", "stable_rank"]  # rules that estimate ranks themselves
Rule = Literal["svd", "arsvd", "energy", "rank_ratio", Estimate]  # they cut each layer by its own spectrum
Allocation = Literal["global", "one rank"]
Method = Literal["baseline", Rule, "budget", "pruned", "size"]
ESTIMATES: tuple[Estimate, ...] = get_args(Estimate)
RULES: tuple[Rule, ...] = get_args(Rule)
METHODS: tuple[Method, ...] = get_args(Method)
# What decides how large a variant of each method is, one of them: the first that is given. Others were solved.
_SIZES: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "svd": ("budget", "rank"),
    "arsvd": ("budget", "tau"),
    "energy": ("budget", "energy"),
    "rank_ratio": ("budget", "rank_ratio"),
    **dict.fromkeys(ESTIMATES, ("budget",)),  # or none
    "budget": ("max_dice_loss", "budget"),
    "pruned": ("budget",),
    "size": ("size",),
}
# The only methods that a field may be given for.
_OF_METHODS: dict[str, tuple[str, ...]] = {
    "mac_budget": ("budget", "pruned"),
    "allocation": ("budget",),
    "distribution": ("arsvd",),
}


@dataclasses.dataclass(frozen=True)
class VariantSpec:
    """One variant: how it is made, and what its name says. Fields that do not apply are None.

    Attributes:
        method: `baseline`; `svd`, one rank for all layers; `arsvd`, a rank for each layer from the entropy of its
            spectrum; `energy` or `rank_ratio`, a share of it for all layers; one of `ESTIMATES`, a rank for each layer
            that the rule estimates; `budget`, ranks allocated over the network by the loss's curvature; `pruned`,
            channels removed by the loss's gradients; or `size`, ranks and bits.
        rank: The rank of every layer, of `svd`; beside a budget the one that it was met by.
        tau: The share of each spectrum's entropy that is kept, of `arsvd`, in (0, 1]; beside a budget the one that it
            was met by.
        energy: The share of each spectrum's energy that is kept, of `energy`, in (0, 1]; beside a budget as `tau`.
        rank_ratio: The share of each full rank that is kept, of `rank_ratio`, in (0, 1]; beside a budget as `tau`.
        scale: What the estimates of one of `ESTIMATES` were multiplied by to meet a budget.
        budget: The share of the baseline's parameters that the network may have, in (0, 1]; beside `max_dice_loss`
            the one that was found.
        size: The share of the bytes of the baseline's float32 file that the network's own file may have, in (0, 1].
        weight_bits: Bits that each weight is rounded to, of a twin of another variant; None is float32, or, of `size`,
            what was chosen for each layer.
        max_dice_loss: The loss of Dice on the validation images within which the smallest `budget` is searched for.
        mac_budget: The share of its multiply-accumulates, too, in (0, 1].
        distribution: Of the entropy: `energy` or `sigma`.
        weighting: The norm that errors are measured in, where it is not the weights' own: `curvature`.
        statistics_images: Training images that the curvature, or the gradients, were taken from.
        scheme: How weights are unfolded: `channel`, `spatial` or `auto`.
        allocation: How `budget` divides its parameters: `global`, by the loss's curvature; or `one rank` for all
            layers, where that was better on the validation images.
        reconstructed: Training images that the factors were fitted to the baseline's outputs on, layer by layer.
        recalibrated: Training images that BatchNorm's statistics were estimated from after compression.
        finetune_epochs: Epochs of fine-tuning after compression.
        finetune_lr: Learning rate of the fine-tuning, which is higher for small networks.
        finetune_distillation: Weight of the baseline's predictions in its loss.
        filters: Filters of the U-Net's first level, of a further training of another width; None is the main one's.
        distilled: Of a further training of a narrower width whose teacher was the dense network of the main one, by the
            same seed: the weight of its predictions in the loss, in (0, 1]. None is a training by the masks alone.
        seed: Of a further training by another seed; None is the main one's.

    Raises:
        ValueError: The method is unknown, or its fields contradict each other.
    """

    method: Method
    rank: int | None = None
    tau: float | None = None
    energy: float | None = None
    rank_ratio: float | None = None
    scale: float | None = None
    budget: float | None = None
    size: float | None = None
    weight_bits: int | None = None
    max_dice_loss: float | None = None
    mac_budget: float | None = None
    distribution: Literal["energy", "sigma"] | None = None
    weighting: str | None = None
    statistics_images: int | None = None
    scheme: str | None = None
    allocation: Allocation | None = None
    reconstructed: int | None = None
    recalibrated: int | None = None
    finetune_epochs: int | None = None
    finetune_lr: float | None = None
    finetune_distillation: float | None = None
    filters: int | None = None
    distilled: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; known are {', '.join(METHODS)}")
        known, sizes = {name for names in _SIZES.values() for name in names}, _SIZES[self.method]
        given = sorted(name for name in known if getattr(self, name) is not None)
        unsized = bool(given) != bool(sizes) and self.method not in ESTIMATES
        if unsized or not {*given} <= {*sizes}:
            wanted = " or ".join(reversed(sizes)) or f"none of {', '.join(sorted(known))}"
            raise ValueError(f"{self.method} has {', '.join(given) or 'no size'}; give {wanted}")
        for name, only in _OF_METHODS.items():
            if getattr(self, name) is not None and self.method not in only:
                of = " and ".join(f"`{method}`" for method in only)
                raise ValueError(f"{self.method} has a {name}, which is for the method {of} alone")
        if self.scale is not None and (self.method not in ESTIMATES or self.budget is None or not self.scale > 0):
            raise ValueError(f"{self.method} has a scale of {self.scale}; leave it to a budget of an estimated rank")
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank is {self.rank}; give a whole number of 1 or more")
        if self.weight_bits is not None and (self.method == "size" or self.weight_bits not in (*BITS, HALF)):
            wanted = f"give {', '.join(map(str, BITS))} or {HALF}, and none with a size"
            raise ValueError(f"weight_bits of {self.method} is {self.weight_bits}; {wanted}")
        if self.distilled is not None and self.filters is None:
            raise ValueError(f"distilled is {self.distilled} in a training of the main width; give its filters")
        for name in ("tau", "energy", "rank_ratio", "budget", "size", "mac_budget", "distilled"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in (0, 1]")
        if self.max_dice_loss is not None and not 0 <= self.max_dice_loss <= 1:
            raise ValueError(f"max_dice_loss is {self.max_dice_loss}; it must lie in [0, 1]")

    @property
    def sized_by(self) -> str | None:
        """The field that decides how large the variant is, which its name says; None where nothing was given."""
        return next((name for name in _SIZES[self.method] if getattr(self, name) is not None), None)

    @property
    def name(self) -> str:
        """The variant's name: of its MLflow run, its folder and its steps. It is made here, and read nowhere."""
        size, training = self.sized_by, self.training
        bits = "" if self.weight_bits is None else f"_w{self.weight_bits}"
        before = f"{training}_" if training else ""
        if size is None:
            named = training if training and self.method == "baseline" else f"{before}{self.method}"
            return f"{named}{bits}"
        if size == "max_dice_loss":
            return f"{before}smallest{bits}"
        stem = self.method if self.method in (size, "pruned") else f"{self.method}_{size}"
        macs = "" if self.mac_budget is None else f"_macs_{self.mac_budget:.12g}"
        return f"{before}{stem}_{getattr(self, size):.12g}{macs}{bits}"

    @property
    def training(self) -> str:
        """The further training that the variant is of, as `filters_8`, `filters_8_distilled_seed_2`; none is empty."""
        parts = {f"filters_{self.filters}": self.filters, "distilled": self.distilled, f"seed_{self.seed}": self.seed}
        return "_".join(name for name, value in parts.items() if value is not None)

    @property
    def is_dense(self) -> bool:
        """Whether this is the network as it was trained, of the main training or of a further one."""
        return self.method == "baseline" and self.weight_bits is None

    @property
    def is_baseline(self) -> bool:
        """Whether this is the network that all others are compared with: the dense one of the main training."""
        return self.is_dense and not self.training

    @property
    def in_few_bits(self) -> bool:
        """Whether the weights are stored in few bits each."""
        return self.method == "size" or self.weight_bits is not None

    @property
    def unrounded(self) -> VariantSpec:
        """The variant whose weights were rounded to `weight_bits`; the variant itself where they were not."""
        return dataclasses.replace(self, weight_bits=None)

    @property
    def of_first_seed(self) -> VariantSpec:
        """The same variant of the first seed of several."""
        return dataclasses.replace(self, seed=None)

    @property
    def recovery(self) -> str:
        """What was done after truncation: some of `reconstructed`, `recalibrated`, `fine-tuned`; or `none`."""
        done = {
            "reconstructed": self.reconstructed,
            "recalibrated": self.recalibrated,
            "fine-tuned": self.finetune_epochs,
        }
        return ", ".join(name for name, applied in done.items() if applied is not None) or "none"

    def parameters(self) -> dict[str, Any]:
        """Returns the fields that apply, without the method, by name: for tables, files and records."""
        return {name: value for name, value in self.to_dict().items() if name != "method"}

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields that apply as JSON-like data."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VariantSpec:
        """Rebuilds what `to_dict` returned.

        Raises:
            TypeError: There is a field that is unknown here.
            ValueError: The fields contradict each other.
        """
        return cls(**data)

    @classmethod
    def of_saved(cls, about: Mapping[str, Any]) -> VariantSpec:
        """Returns the description of a saved variant, from `about` in its `network.json`.

        Before there was a description, method and setting were written apart.

        Raises:
            KeyError: It holds no description: the network is none of a comparison.
            TypeError: There is a field that is unknown here.
            ValueError: The fields contradict each other.
        """
        return cls.from_dict(about["spec"] if "spec" in about else {"method": about["method"], **about["setting"]})


BASELINE = VariantSpec("baseline")

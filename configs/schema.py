"""The configuration of a run: one frozen, checked object. Every default of the project stands in it or in a section."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from configs.distillation import DistillNarrowConfig, check_narrower
from configs.rank_rules import RuleName
from configs.sections import (
    DataConfig,
    InputConfig,
    ModelConfig,
    Positive,
    PredictionConfig,
    Section,
    Share,
    TrainingConfig,
    split_list,
    whole_number,
)
from models.deployment.options import Format
from torch_lowrank.quantization.bits import BITS, HALF

Rank = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Sweep = BeforeValidator(split_list)


def _weight_bits(value: object) -> object:
    """Accepts "8" from the command line; says in how many bits weights can be stored."""
    bits = whole_number(value)
    if bits not in (*BITS, HALF):
        raise ValueError(f"give {', '.join(map(str, BITS))} or {HALF}")
    return bits


WeightBits = Annotated[int, BeforeValidator(_weight_bits)]


class CompressionConfig(Section):
    """Which variants are made.

    Each of `budgets`, shares of the network's parameters, makes three: SVD and ARSVD with their rank or tau solved, and
    ranks allocated over all layers by the loss curvature. Each of `pruned`, such shares, too, makes a network without
    its least important channels. Each of `mac_budgets`, shares of the multiply-accumulates, adds for each of these
    shares an allocated, or pruned, network that keeps both. Each of `size_budgets`, shares of the bytes of the
    baseline's float32 file, makes a network whose ranks and bits are chosen together. Each of `weight_bits` adds to the
    baseline and to all networks in float32 a twin whose weights are stored in so many bits. `max_dice_loss` is the loss
    of Dice on the validation images that is tolerated in the recommended network, 0.01 where it is None; given, it adds
    `smallest`, the smallest allocated network within it. Each of `rank_rules`, which estimate the layers'
    ranks, and of `energies` and `rank_ratios`, shares that are kept of each spectrum, adds a network, and each rule one
    for each budget. `scheme` applies to all rules, SVD and ARSVD among them, `distribution` to ARSVD.
    """

    svd_ranks: Annotated[tuple[Rank, ...], Sweep] = (32,)
    arsvd_taus: Annotated[tuple[Share, ...], Sweep] = (0.9,)
    rank_rules: Annotated[tuple[RuleName, ...], Sweep] = ()
    energies: Annotated[tuple[Share, ...], Sweep] = ()
    rank_ratios: Annotated[tuple[Share, ...], Sweep] = ()
    budgets: Annotated[tuple[Share, ...], Sweep] = ()
    pruned: Annotated[tuple[Share, ...], Sweep] = ()
    mac_budgets: Annotated[tuple[Share, ...], Sweep] = ()
    size_budgets: Annotated[tuple[Share, ...], Sweep] = ()
    weight_bits: Annotated[tuple[WeightBits, ...], Sweep] = ()
    max_dice_loss: Annotated[float, Field(ge=0, le=1)] | None = None
    distribution: Literal["energy", "sigma"] = "energy"
    scheme: Literal["channel", "spatial", "auto"] = "channel"

    @field_validator(
        *("svd_ranks", "arsvd_taus", "rank_rules", "energies", "rank_ratios"),
        *("budgets", "pruned", "mac_budgets", "size_budgets", "weight_bits"),
    )
    @classmethod
    def _no_duplicates(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        repeated = sorted({value for value in values if values.count(value) > 1})
        if repeated:
            raise ValueError(f"{repeated[0]} occurs more than once")
        return values

    @field_validator("mac_budgets")
    @classmethod
    def _with_budgets(cls, values: tuple[float, ...], others: ValidationInfo) -> tuple[float, ...]:
        if values and not others.data.get("budgets", values) and not others.data.get("pruned", values):
            raise ValueError("they go with budgets, and there are none; add --budgets or --pruned, as 0.25")
        return values


class StatisticsConfig(Section):
    """The statistics of the data that the budget method uses.

    Attributes:
        images: Training images that second moments are estimated from, chosen at random; all, where there are fewer.
        memory_limit_mb: Megabytes that the moments may take while they are accumulated; less memory means more passes.
    """

    images: Annotated[int, Field(ge=1)] = 64
    memory_limit_mb: Annotated[int, Field(ge=1)] = 2048


class RecalibrationConfig(Section):
    """Recalibration of BatchNorm's running statistics in every compressed network, before any fine-tuning.

    No weight is trained.

    Attributes:
        enabled: Whether it is done.
        images: Training images that the statistics are estimated from, chosen at random; all, where there are fewer.
    """

    enabled: bool = False
    images: Annotated[int, Field(ge=2)] = 256


class FinetuneConfig(Section):
    """Fine-tuning of every compressed network, with the same settings for all of a size.

    Attributes:
        enabled: Whether it is done.
        epochs: Number of epochs.
        lr: Learning rate at an eighth of the parameters and more; below, it grows up to four times, see
            `models.training.recovery.recovery_rate`. Weights in few bits are trained at this rate.
        distillation: Weight of the baseline's predictions in the loss, from 0 (masks alone) to 1 (baseline alone).
    """

    enabled: bool = False
    epochs: Annotated[int, Field(ge=1)] = 3
    lr: Positive = 1e-5
    distillation: Annotated[float, Field(ge=0, le=1)] = 0


class TimingConfig(Section):
    """How networks are timed, all in turn.

    Attributes:
        seconds: About how long each; longer where fifteen rounds take longer.
        threads: CPU threads. Ratios of more than one hold for a machine that does nothing else meanwhile.
    """

    seconds: Annotated[float, Field(gt=0, le=600)] = 2.0
    threads: Annotated[int, Field(ge=1, le=1024)] = 1


class RegistrationConfig(Section):
    """The network to register in MLflow's model registry.

    Attributes:
        name: Name of the registered model; None registers nothing.
        variant: Name of the variant; None is the recommended one.
    """

    name: str | None = None
    variant: str | None = None

    @field_validator("name")
    @classmethod
    def _allowed(cls, name: str | None) -> str | None:
        if name is not None and (not name or set(name) & set("/:'\"")):
            raise ValueError("give a name without slash, colon and quotes")
        return name

    @model_validator(mode="after")
    def _named(self) -> RegistrationConfig:
        if self.variant is not None and self.name is None:
            raise ValueError("register_variant says which network; give the name to register it by, too (--register)")
        return self


class ExportConfig(Section):
    """The files to deploy that are made of one variant.

    Attributes:
        formats: Which; none exports nothing. `onnx` computes in float32, and stores weights that the variant has in few
            bits so; `onnx_w8` stores all weights in 8 bits; `onnx_int8` also computes in 8 bits; `pt2` is a program of
            torch.export; `monai_bundle` is a folder that MONAI runs.
        variant: Name of the variant; None is the recommended one.
    """

    formats: Annotated[tuple[Format, ...], Sweep] = ()
    variant: str | None = None

    @field_validator("formats")
    @classmethod
    def _once(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        return tuple(dict.fromkeys(formats))

    @model_validator(mode="after")
    def _wanted(self) -> ExportConfig:
        if self.variant is not None and not self.formats:
            raise ValueError("export_variant says of which network; say which files, too (--export onnx,pt2)")
        return self


class RunConfig(Section):
    """One run of the pipeline.

    Attributes:
        data_root: Folder with train/, valid/ and test/, or a URI that one of ZenML's artifact stores reads; None is the
            built-in phantoms.
        out_dir: Folder for the results.
        device: `auto` takes CUDA where there is one.
        seed: Seed of everything that is random.
        seeds: Seeds of several trainings that are compressed and compared alike: the first is `seed`.
        num_workers: Threads that decode images; 0 is one a core.
        reuse_training: A trained network of an earlier run: `latest`, the name or id of a run, or `artifact:version`.
        checkpoint: A U-Net's state dict, trained elsewhere.
        run_settings: Where each step of the stack has a machine of its own: what machines, as ZenML's settings in YAML.
        remote_dir: Folder of those machines for checkpoints and phantoms; a volume there outlives a killed training.
        no_cache: Runs every step, whatever is known already.
        verbose: Shows all messages, and tracebacks.
    """

    data_root: Annotated[str, Field(min_length=1)] | None = None
    out_dir: Path = Path("artifacts")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: Seed = 42
    seeds: Annotated[tuple[Seed, ...], Sweep] = ()
    num_workers: Annotated[int, Field(ge=0, le=256)] = 0
    reuse_training: str | None = None
    checkpoint: Path | None = None
    run_settings: Path | None = None
    remote_dir: Annotated[str, Field(pattern="^/")] = "/tmp/arsvd"  # noqa: S108 - of a machine without other users
    no_cache: bool = False
    verbose: bool = False
    data: DataConfig = DataConfig()
    input: InputConfig = InputConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    compression: CompressionConfig = CompressionConfig()
    statistics: StatisticsConfig = StatisticsConfig()
    recalibration: RecalibrationConfig = RecalibrationConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    distill_narrow: DistillNarrowConfig = DistillNarrowConfig()
    timing: TimingConfig = TimingConfig()
    registration: RegistrationConfig = RegistrationConfig()
    prediction: PredictionConfig = PredictionConfig()
    export: ExportConfig = ExportConfig()

    @property
    def recovers(self) -> bool:
        """Whether networks are worked on after their truncation."""
        return self.recalibration.enabled or self.finetune.enabled

    @model_validator(mode="before")
    @classmethod
    def _first_seed(cls, values: object) -> object:
        """Takes the first of `seeds` as `seed` where that is not given; what is no seed is told of `seeds` alone."""
        seeds = split_list(values.get("seeds")) if isinstance(values, dict) else None
        if not isinstance(values, dict) or "seed" in values or not isinstance(seeds, (list, tuple)) or not seeds:
            return values
        try:
            return {**values, "seed": TypeAdapter(Seed).validate_python(seeds[0])}
        except ValidationError:
            return values

    @model_validator(mode="after")
    def _several_trainings(self) -> RunConfig:
        repeated = sorted({seed for seed in self.seeds if self.seeds.count(seed) > 1})
        if repeated:
            raise ValueError(f"seeds (--seeds): {repeated[0]} occurs more than once")
        if self.seeds and self.seeds[0] != self.seed:
            given = f"seed is {self.seed} and seeds begin with {self.seeds[0]}"
            raise ValueError(f"{given}: the first is that of the main training; leave --seed out, or begin with it")
        origin = "reuse_training" if self.reuse_training is not None else "checkpoint"
        if getattr(self, origin) is not None and (self.model.further_filters or len(self.seeds) > 1):
            several = "base_filters" if self.model.further_filters else "seeds"
            raise ValueError(
                f"--{origin} goes on from one network and trains none, so give one number to --{several}, or leave "
                f"--{origin} out: trainings that were made before are taken from the cache"
            )
        check_narrower(self.distill_narrow, self.model)
        return self

    @model_validator(mode="after")
    def _one_origin(self) -> RunConfig:
        if self.reuse_training is not None and self.checkpoint is not None:
            raise ValueError("reuse_training and checkpoint exclude each other: the network comes from one of them")
        return self

"""The steps of one variant: compressed, worked on, evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.schema import RunConfig
from models.variant_spec import BASELINE, RULES, VariantSpec
from pipelines.devices import Devices
from steps.collect_statistics import collect_statistics
from steps.compress_arsvd import compress_arsvd
from steps.compress_budget import compress_budget
from steps.compress_pruned import compress_pruned
from steps.compress_rule import compress_rule
from steps.compress_size import compress_size
from steps.compress_smallest import compress_smallest
from steps.compress_svd import compress_svd
from steps.decompose import decompose
from steps.decompose_weighted import decompose_weighted
from steps.evaluate import evaluate
from steps.finetune import finetune
from steps.name_dense import name_dense
from steps.recalibrate import recalibrate
from steps.round_weights import round_weights

# What a network has become at each stage, and how the step is called that makes it so: `<step>_<variant>`.
STAGES = {"truncated": "compress", "recalibrated": "recalibrate", "finetuned": "finetune"}
NAMING = "name_dense"


def step_of(name: str, training: str) -> str:
    """Returns the id of a step that every training has; of the main one, whose name is empty, the step's own name."""
    return f"{name}_{training}" if training else name


def stages_of(spec: VariantSpec, config: RunConfig) -> list[str]:
    """Returns what is done to a variant, one after the other.

    A twin in few bits is made of a network that is worked on already. Rounding moves what BatchNorm sees, so that it is
    recalibrated as the one that it is made of was, which the baseline never is.
    """
    recalibrated = ["recalibrated"] if config.recalibration.enabled else []
    finetuned = ["finetuned"] if config.finetune.enabled else []
    if spec.weight_bits is not None:
        return ["truncated", *(recalibrated if spec.method != BASELINE.method else [])]
    return ["truncated", *recalibrated, *finetuned]


class VariantSteps:
    """Adds the steps of variants to a pipeline. What several of them need is decomposed once, and only if one does."""

    def __init__(
        self, baseline: Any, dataset: Any, specs: Sequence[VariantSpec], config: RunConfig, devices: Devices
    ) -> None:
        """Adds decompose, collect_statistics and decompose_weighted, as far as they are needed.

        Args:
            baseline: The dense network, as the output of the step that trained it.
            dataset: The data set, as a step's output.
            specs: The variants that will be made, all of one training.
            config: The run, as if it had this training alone.
            devices: Where each step computes.
        """
        self._baseline, self._dataset, self._config, self._devices = baseline, dataset, config, devices
        training = specs[0].training if specs else ""
        self._plain = self._statistics = self._weighted = None
        weighted = any(spec.weighting is not None for spec in specs)
        if any(spec.method in RULES for spec in specs):
            id_ = step_of("decompose", training)
            self._plain = decompose(baseline, scheme=config.compression.scheme, device=devices.of(id_), id=id_)
        if weighted or any(spec.weight_bits is not None for spec in specs):
            id_ = step_of("collect_statistics", training)
            drawn = (config.statistics, config.seed, devices.of(id_))
            self._statistics = collect_statistics(dataset, baseline, *drawn, id=id_)
        if weighted:
            id_ = step_of("decompose_weighted", training)
            self._weighted = decompose_weighted(self._statistics, baseline, devices.of(id_), id=id_)

    def spectra(self) -> list[Any]:
        """Returns the spectra that there are: plain ones, and those weighted by the data."""
        return [spectra for spectra in (self._plain, self._weighted) if spectra is not None]

    def named(self, spec: VariantSpec) -> Any:
        """Adds what gives the dense network of a further training its name in the comparison."""
        artifact = f"{spec.name}_network"
        return _named(name_dense, spec, artifact)(self._baseline, spec, id=step_of(NAMING, spec.training))

    def made(self, spec: VariantSpec, stages: Sequence[str], origin: Any, full: Any) -> tuple[list[Any], Any]:
        """Adds what makes a variant.

        Args:
            spec: The variant.
            stages: See `stages_of`.
            origin: Of a twin, the network that is rounded.
            full: The result of a dense network, which a search compares with.

        Returns:
            The network after each stage, and the history of its fine-tuning, None where there is none.
        """
        networks: list[Any] = []
        tuning = None
        for stage in stages:
            artifact = f"{spec.name}_network" if stage == stages[-1] else f"{spec.name}_{stage}_network"
            id_ = f"{STAGES[stage]}_{spec.name}"
            if stage == "truncated":
                network = self._compressed(spec, origin, full, artifact, id_)
            elif stage == "recalibrated":
                network = self._recalibrated(spec, networks[-1], artifact, id_)
            else:
                network, tuning = self._finetuned(spec, networks[-1], artifact, id_)
            networks.append(network)
        return networks, tuning

    def evaluated(self, name: str, network: Any, truncated: Any) -> tuple[Any, Any]:
        """Adds the evaluation of a variant; with a second one of what it was after truncation, if that is given.

        Returns:
            Its result, and its masks of the test images.
        """
        step, id_ = evaluate.with_options(substitutions={"variant": name}), f"evaluate_{name}"
        batch_size = self._config.training.batch_size
        result, masks = step(network, truncated, self._dataset, batch_size, self._devices.of(id_), id=id_)
        return result, masks

    def _compressed(self, spec: VariantSpec, origin: Any, full: Any, artifact: str, id_: str) -> Any:
        # The spectra come first: ZenML's cache keys depend on the order of inputs, and in `recompress`, where the
        # baseline is no step's output, it counts as the last.
        device, baseline = self._devices.of(id_), self._baseline
        if spec.weight_bits is not None:
            return _named(round_weights, spec, artifact)(self._statistics, spec.weight_bits, origin, id=id_)
        if spec.method == "budget":
            return self._searched(spec, full, artifact, id_)
        if spec.method == "pruned":
            config, step = self._config, _named(compress_pruned, spec, artifact)
            settings = (spec, config.training.loss, config.statistics.images, config.seed)
            return step(self._dataset, baseline, *settings, device, id=id_)
        if spec.method == "size":
            step = _named(compress_size, spec, artifact)
            return step(self._weighted, self._statistics, baseline, spec, device, id=id_)
        step = _named({"svd": compress_svd, "arsvd": compress_arsvd}.get(spec.method, compress_rule), spec, artifact)
        return step(self._plain, baseline, spec, id=id_)

    def _searched(self, spec: VariantSpec, full: Any, artifact: str, id_: str) -> Any:
        config, step = self._config, compress_budget if spec.max_dice_loss is None else compress_smallest
        return _named(step, spec, artifact)(
            self._weighted,
            self._statistics,
            full,
            self._dataset,
            self._baseline,
            spec,
            config.recalibration.images if config.recalibration.enabled else 0,
            config.training.batch_size,
            config.seed,
            self._devices.of(id_),
            id=id_,
        )

    def _recalibrated(self, spec: VariantSpec, network: Any, artifact: str, id_: str) -> Any:
        step, config = _named(recalibrate, spec, artifact), self._config
        images, batch_size = config.recalibration.images, config.training.batch_size
        return step(network, self._dataset, images, batch_size, config.seed, self._devices.of(id_), id=id_)

    def _finetuned(self, spec: VariantSpec, network: Any, artifact: str, id_: str) -> tuple[Any, Any]:
        step, config = _named(finetune, spec, artifact), self._config
        arguments = (network, self._dataset, self._baseline, config.training, config.finetune, config.seed)
        return step(*arguments, self._devices.of(id_), id=id_)


def _named(step: Any, spec: VariantSpec, artifact: str) -> Any:
    """Returns the step with the name of the network that it makes: `<variant>_network` for the variant's last one."""
    # ZenML's cache key has an artifact's name with its placeholders unfilled, and would take the same network under
    # another name for this one. The environment is part of the key, filled.
    return step.with_options(
        substitutions={"variant": spec.name, "network": artifact}, environment={"NETWORK_ARTIFACT": artifact}
    )

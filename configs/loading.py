"""From YAML, flags and `key=value` overrides to a `RunConfig`; later ones win."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from configs.faults import reason
from configs.prediction import unused_settings
from configs.schema import RunConfig
from configs.sections import DataConfig, ModelConfig

# Flag name -> place in the configuration, and how argparse reads it. Values are checked by `RunConfig` alone.
FLAGS: dict[str, tuple[str, dict[str, Any]]] = {
    "data_root": (
        "data_root",
        {"metavar": "DIR", "help": "folder or URI of the data set (default: phantoms)"},
    ),
    "out_dir": ("out_dir", {"metavar": "DIR", "help": "results (default: artifacts)"}),
    "device": ("device", {"help": "auto, cpu or cuda"}),
    "seed": ("seed", {"metavar": "N", "help": "seed of everything that is random"}),
    "seeds": ("seeds", {"metavar": "LIST", "help": 'of several trainings, "1,2,3": a spread over them'}),
    "num_workers": ("num_workers", {"metavar": "N", "help": "threads that decode images (0: one a core)"}),
    "image_size": ("data.image_size", {"nargs": 2, "metavar": ("H", "W"), "help": "images are resized to this"}),
    "interpolation": ("data.interpolation", {"help": "how: area (default), linear, cubic or nearest"}),
    "channels": ("data.channels", {"metavar": "N", "help": "1 gray, 3 colour"}),
    "multi_class": ("data.multi_class", {"action": "store_true", "help": "masks hold class indices"}),
    "categories": ("data.categories", {"metavar": "LIST", "help": 'read these alone, "tumor,edema" (default: all)'}),
    "skip_bad_samples": (
        "data.skip_bad_samples",
        {"action": "store_true", "help": "leave bad samples out and list them"},
    ),
    "split": ("data.split", {"metavar": "LIST", "help": "shares of train, valid, test where there are no splits"}),
    "split_seed": ("data.split_seed", {"metavar": "N", "help": "seed of that division (default: 0)"}),
    "group_by": ("data.group_by", {"metavar": "REGEX", "help": "what it matches in a file name is the patient"}),
    "base_filters": (
        "model.base_filters",
        {"metavar": "LIST", "help": 'filters of the U-Net\'s first level; "16,8" trains and compares both'},
    ),
    "distill_narrow": (
        "distill_narrow.enabled",
        {"action": "store_true", "help": "train narrower widths a second time, taught by the first"},
    ),
    "network": ("model.network", {"metavar": "NAME", "help": "another network: package.module.Name, or file.py:Name"}),
    "network_args": ("model.arguments", {"metavar": "JSON", "help": "what it is made with, as '{\"features\": ...}'"}),
    "epochs": ("training.epochs", {"metavar": "N", "help": "of training"}),
    "batch_size": ("training.batch_size", {"metavar": "N", "help": "images a step"}),
    "lr": ("training.lr", {"metavar": "X", "help": "learning rate"}),
    "svd_ranks": ("compression.svd_ranks", {"metavar": "LIST", "help": 'for example "16,32,64"'}),
    "arsvd_taus": ("compression.arsvd_taus", {"metavar": "LIST", "help": 'for example "0.85,0.9,0.95"'}),
    "rank_rules": (
        "compression.rank_rules",
        {"metavar": "LIST", "help": "other rank rules: evbmf, hard_threshold, effective_rank, stable_rank"},
    ),
    "energies": ("compression.energies", {"metavar": "LIST", "help": 'share of each spectrum\'s energy, "0.9"'}),
    "rank_ratios": ("compression.rank_ratios", {"metavar": "LIST", "help": 'share of each full rank, "0.5"'}),
    "budgets": ("compression.budgets", {"metavar": "LIST", "help": 'share of the parameters, "0.5,0.25,0.125"'}),
    "pruned": ("compression.pruned", {"metavar": "LIST", "help": 'the same by structured pruning, "0.5,0.25"'}),
    "mac_budgets": (
        "compression.mac_budgets",
        {"metavar": "LIST", "help": 'and of the multiply-accumulates, "0.25" (with --budgets, --pruned)'},
    ),
    "size_budgets": (
        "compression.size_budgets",
        {
            "metavar": "LIST",
            "help": 'share of the bytes of the float32 file, ranks and bits chosen together, "0.1,0.05"',
        },
    ),
    "weight_bits": (
        "compression.weight_bits",
        {"metavar": "LIST", "help": 'twins of all networks with weights in so many bits, "8"'},
    ),
    "max_dice_loss": (
        "compression.max_dice_loss",
        {"metavar": "X", "help": "Dice that may be lost (by valid); adds the smallest network within it"},
    ),
    "statistics_images": ("statistics.images", {"metavar": "N", "help": "training images for the loss curvature"}),
    "recalibrate": ("recalibration.enabled", {"action": "store_true", "help": "fit BatchNorm to compressed networks"}),
    "recalibration_images": ("recalibration.images", {"metavar": "N", "help": "training images for that"}),
    "finetune_compressed": ("finetune.enabled", {"action": "store_true", "help": "train the compressed networks on"}),
    "finetune_epochs": ("finetune.epochs", {"metavar": "N", "help": "of that training"}),
    "finetune_lr": ("finetune.lr", {"metavar": "X", "help": "its learning rate; more below 12.5 %% of the parameters"}),
    "finetune_distillation": (
        "finetune.distillation",
        {"metavar": "X", "help": "share of its loss that the baseline's predictions have, 0 to 1"},
    ),
    "reuse_training": (
        "reuse_training",
        {"nargs": "?", "const": "latest", "metavar": "WHICH", "help": "latest, a run, or artifact:version"},
    ),
    "checkpoint": ("checkpoint", {"metavar": "FILE", "help": "state dict of the network, .safetensors or .pth"}),
    "run_settings": (
        "run_settings",
        {"metavar": "FILE", "help": "YAML: machines of the steps on a remote stack, see configs/kubernetes/"},
    ),
    "register": (
        "registration.name",
        {"metavar": "NAME", "help": "register the chosen network in MLflow by this name"},
    ),
    "register_variant": ("registration.variant", {"metavar": "VARIANT", "help": "that one, not the recommended one"}),
    "predict": (
        "prediction.images",
        {"metavar": "PATH", "help": "an image or a folder of images: write masks, by --model"},
    ),
    "model": (
        "prediction.network",
        {"metavar": "FOLDER|URI", "help": "the network for that: networks/VARIANT of results, models:/NAME@ALIAS"},
    ),
    "export": (
        "export.formats",
        {"metavar": "LIST", "help": "files to deploy: onnx, onnx_w8, onnx_int8, pt2, monai_bundle"},
    ),
    "export_variant": ("export.variant", {"metavar": "VARIANT", "help": "of that one, not the recommended one"}),
    "no_cache": ("no_cache", {"action": "store_true", "help": "run every step"}),
    "verbose": ("verbose", {"action": "store_true", "help": "all messages, and tracebacks"}),
}


# Fields of the model.
OF_UNET = ("base_filters", "bilinear", "dropout")
OF_NAMED = ("network", "arguments", "output")


class ConfigError(ValueError):
    """The command line or the configuration file is wrong."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ConfigError(f"{message}{_meant(message)}; see --help")


def _meant(message: str) -> str:
    """Returns the flags that argparse's message about unknown ones may be about."""
    unknown = re.findall(r"(?<!\S)--([\w-]+)", message) if "unrecognized" in message else []
    known = ["config", *FLAGS]
    meant = [match for flag in unknown for match in difflib.get_close_matches(flag.replace("-", "_"), known, n=1)]
    return f" (did you mean {', '.join(f'--{name}' for name in dict.fromkeys(meant))}?)" if meant else ""


def load_config(arguments: Sequence[str]) -> RunConfig:
    """Returns the configuration that the command line asks for.

    Raises:
        ConfigError: If a flag, a key or a value is wrong; the message names all of them.
    """
    parsed = _parser().parse_intermixed_args(arguments)
    values = _read_yaml(Path(parsed.config)) if parsed.config else {}
    typed = _typed(parsed)
    for place, value in typed:
        _put(values, place, value)
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error
    _check_model(config.model)
    flags = {place: flag for flag, (place, _) in FLAGS.items()}
    if fault := unused_settings(config, flags, [place for place, _ in typed], parsed.config):
        raise ConfigError(fault)
    return config


def _typed(parsed: argparse.Namespace) -> list[tuple[str, Any]]:
    """Returns the places that the command line sets, by flags and overrides, each with its value."""
    flags = ((place, getattr(parsed, flag)) for flag, (place, _) in FLAGS.items())
    typed = [(place, value) for place, value in flags if value is not None and value is not False]
    for override in parsed.overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"{override!r} is neither a flag nor key=value (lists are written 16,32); see --help")
        is_flag = key in FLAGS and key not in RunConfig.model_fields  # model=... is the section, not --model
        typed.append((FLAGS[key][0] if is_flag else key, _parse_value(override, text)))
    return typed


def _check_model(model: ModelConfig) -> None:
    """Checks that what is given for our U-Net is not given for another network, which would not get it."""
    given = sorted(model.model_fields_set & {*OF_UNET, "further_filters"})
    if model.network is not None and given:
        raise ConfigError(
            f"model.{given[0]}={getattr(model, given[0])} is of our U-Net, and the network is {model.network}: "
            "leave it out, and give that network's own arguments by --network_args"
        )


def network_title(model: ModelConfig) -> str:
    """Returns the network, for people: `U-Net of 16 filters`, `U-Net of 16, 8 filters`, `BasicUNet`."""
    if model.network is None:
        return f"U-Net of {', '.join(map(str, (model.base_filters, *model.further_filters)))} filters"
    return model.network.replace(":", ".").rpartition(".")[2]


def stored_as(data: DataConfig) -> str:
    """Returns size and colour of the stored images, for people: `128x128, gray`."""
    return f"{data.image_size[0]}x{data.image_size[1]}, {'gray' if data.channels == 1 else 'colour'}"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_pipeline.py",
        description="Train a U-Net on COCO-style images, compress it by SVD and ARSVD, and compare the results.",
        epilog="Any field of the configuration can be set as key=value, for example training.patience=5.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file, see configs/")
    for name, (_, options) in FLAGS.items():
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        parser.add_argument(*spellings, dest=name, **options)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of single fields")
    return parser


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"--config {file} is not valid YAML: {error}") from error
    if not isinstance(values, dict | None):
        raise ConfigError(f"--config {file} must hold keys and values, it holds a {type(values).__name__}")
    return values or {}


def _parse_value(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of {override!r} is not valid YAML: {error}") from error


def _put(values: dict[str, Any], place: str, value: Any) -> None:
    *sections, key = place.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{section} is a section, it cannot be {inner!r}")
        values = inner
    values[key] = value


def _meant_field(place: str) -> str:
    """Returns the field that an unknown one may be about: of the same section first, then of any."""
    section, _, name = place.rpartition(".")
    known = _fields(RunConfig)
    for fields in ([field for field in known if field.rpartition(".")[0] == section], known):
        names = {field.rpartition(".")[2]: field for field in reversed(fields)}
        if meant := difflib.get_close_matches(name, names, n=1):
            return f" (did you mean {names[meant[0]]}?)"
    return ""


def _fields(section: type[BaseModel], within: str = "") -> list[str]:
    """Returns the places of all fields of a section and of the sections in it."""
    found = []
    for name, field in section.model_fields.items():
        found.append(f"{within}{name}")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += _fields(field.annotation, f"{within}{name}.")
    return found


def _explain(error: ValidationError) -> str:
    """Returns one line a fault: the field, its flag, the value, what is wrong."""
    flags = {place: flag for flag, (place, _) in FLAGS.items()} | {"model.further_filters": "base_filters"}
    known = _fields(RunConfig)
    lines = []
    for fault in error.errors():
        parts = [str(part) for part in fault["loc"] if not isinstance(part, int)]
        below = [".".join(parts[:depth]) for depth in range(len(parts), 0, -1)]  # the innermost may be no field
        place = next((each for each in below if each in known), "")
        flag = f" (--{flags[place]})" if place in flags else ""
        whole_section = fault["type"] == "value_error" and isinstance(fault["input"], dict)
        if fault["type"] == "model_type":
            fields = ", ".join(field for field in known if field.startswith(f"{place}."))
            lines.append(f"{place} is a section, it cannot be {fault['input']!r}; set one of {fields}")
        elif fault["type"] == "extra_forbidden":
            lines.append(f"{below[0]}: {reason(RunConfig, fault)}{_meant_field(below[0])}")
        elif place and not whole_section:
            lines.append(f"{place}{flag} is {fault['input']!r}: {reason(RunConfig, fault)}")
        else:
            lines.append(reason(RunConfig, fault))
    return "\n".join(dict.fromkeys(lines))

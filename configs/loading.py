"""From YAML, flags and `key=value` overrides to a `RunConfig`; later ones win."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from configs.explained import explain
from configs.parser import ConfigError, make_parser
from configs.prediction import unused_settings
from configs.schema import RunConfig
from configs.sections import DataConfig, ModelConfig

# Flag name -> place in the configuration, and how argparse reads it. Values are checked by `RunConfig` alone.
FLAGS: dict[str, tuple[str, dict[str, Any]]] = {
    "data_root": (
        "data_root",
        {"metavar": "DIR", "help": "folder or URI of the data set (default: phantoms)"},
    ),
    "out_dir": ("out_dir", {"metavar": "DIR", "help": "folder of the results"}),
    "device": ("device", {"metavar": "NAME", "help": "where to compute: auto, cpu or cuda"}),
    "seed": ("seed", {"metavar": "N", "help": "seed of everything that is random"}),
    "seeds": ("seeds", {"metavar": "LIST", "help": 'seeds of several trainings, "1,2,3": says what chance does'}),
    "num_workers": ("num_workers", {"metavar": "N", "help": "threads that decode images; 0 is one a core"}),
    "image_size": ("data.image_size", {"nargs": 2, "metavar": ("H", "W"), "help": "images are resized to this"}),
    "interpolation": ("data.interpolation", {"metavar": "HOW", "help": "how: area, linear, cubic or nearest"}),
    "channels": ("data.channels", {"metavar": "N", "help": "1 reads images as gray, 3 as colour"}),
    "multi_class": (
        "data.multi_class",
        {"action": "store_true", "help": "masks hold several classes, not lesion or none"},
    ),
    "categories": ("data.categories", {"metavar": "LIST", "help": 'read these alone, "tumor,edema" (default: all)'}),
    "skip_bad_samples": (
        "data.skip_bad_samples",
        {"action": "store_true", "help": "leave bad samples out and list them"},
    ),
    "split": ("data.split", {"metavar": "LIST", "help": "shares of train, valid, test where there are no splits"}),
    "split_seed": ("data.split_seed", {"metavar": "N", "help": "seed of that division"}),
    "group_by": (
        "data.group_by",
        {"metavar": "REGEX", "help": "what it matches in a file name is the patient, who is never divided"},
    ),
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
    "epochs": ("training.epochs", {"metavar": "N", "help": "passes through the training images"}),
    "batch_size": ("training.batch_size", {"metavar": "N", "help": "images a step of training"}),
    "lr": ("training.lr", {"metavar": "X", "help": "learning rate of training"}),
    "svd_ranks": ("compression.svd_ranks", {"metavar": "LIST", "help": 'SVD: one rank for all layers, "16,32,64"'}),
    "arsvd_taus": (
        "compression.arsvd_taus",
        {"metavar": "LIST", "help": 'ARSVD: share of the entropy of each spectrum, "0.85,0.9,0.95"'},
    ),
    "rank_rules": (
        "compression.rank_rules",
        {"metavar": "LIST", "help": "rank rules of the literature: evbmf, hard_threshold, effective_rank, stable_rank"},
    ),
    "energies": (
        "compression.energies",
        {"metavar": "LIST", "help": 'ranks that keep a share of each spectrum\'s energy, "0.9"'},
    ),
    "rank_ratios": (
        "compression.rank_ratios",
        {"metavar": "LIST", "help": 'ranks that are a share of each full rank, "0.5"'},
    ),
    "budgets": (
        "compression.budgets",
        {"metavar": "LIST", "help": 'networks of a share of the parameters, "0.5,0.25,0.125"'},
    ),
    "pruned": (
        "compression.pruned",
        {"metavar": "LIST", "help": 'the same by structured pruning, to compare with, "0.5,0.25"'},
    ),
    "mac_budgets": (
        "compression.mac_budgets",
        {"metavar": "LIST", "help": 'and also of the multiply-accumulates, "0.25"; beside --budgets, --pruned'},
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
    "recalibrate": (
        "recalibration.enabled",
        {"action": "store_true", "help": "fit BatchNorm of the compressed networks to training images"},
    ),
    "recalibration_images": ("recalibration.images", {"metavar": "N", "help": "training images for that"}),
    "finetune_compressed": ("finetune.enabled", {"action": "store_true", "help": "train the compressed networks on"}),
    "finetune_epochs": ("finetune.epochs", {"metavar": "N", "help": "epochs of that training"}),
    "finetune_lr": ("finetune.lr", {"metavar": "X", "help": "its learning rate; more below 12.5 % of the parameters"}),
    "finetune_distillation": (
        "finetune.distillation",
        {"metavar": "X", "help": "share of its loss that the baseline's predictions have, 0 to 1"},
    ),
    "reuse_training": (
        "reuse_training",
        {
            "nargs": "?",
            "const": "latest",
            "metavar": "WHICH",
            "help": "compress a network that an earlier run trained: latest, a run, or artifact:version",
        },
    ),
    "checkpoint": (
        "checkpoint",
        {"metavar": "FILE", "help": "trained weights, .safetensors, .pth or .ckpt: compress these, train nothing"},
    ),
    "run_settings": (
        "run_settings",
        {"metavar": "FILE", "help": "YAML: machines of the steps on a remote stack, see configs/kubernetes/"},
    ),
    "register": (
        "registration.name",
        {"metavar": "NAME", "help": "register the recommended network in MLflow by this name"},
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
    "no_cache": ("no_cache", {"action": "store_true", "help": "run every step, whatever is known already"}),
    "verbose": ("verbose", {"action": "store_true", "help": "all messages, and tracebacks"}),
}


# Fields of the model.
OF_UNET = ("base_filters", "bilinear", "dropout")
OF_NAMED = ("network", "arguments", "output")


def load_config(arguments: Sequence[str]) -> RunConfig:
    """Returns the configuration that the command line asks for.

    Raises:
        ConfigError: If a flag, a key or a value is wrong; the message names all of them.
    """
    parsed = make_parser(FLAGS).parse_intermixed_args(arguments)
    values = _read_yaml(Path(parsed.config)) if parsed.config else {}
    typed = _typed(parsed)
    for place, value in typed:
        _put(values, place, value)
    flags = {place: flag for flag, (place, _) in FLAGS.items()}
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, flags)) from error
    _check_model(config.model)
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


def network_name(model: ModelConfig) -> str:
    """Returns the network of one training as names of runs have it: `16 filters`, `BasicUNet`."""
    return f"{model.base_filters} filters" if model.network is None else network_title(model)


def stored_as(data: DataConfig) -> str:
    """Returns size and colour of the stored images, for people: `128x128, gray`."""
    return f"{data.image_size[0]}x{data.image_size[1]}, {'gray' if data.channels == 1 else 'colour'}"


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

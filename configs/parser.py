"""How argparse reads the command line, and what `--help` says: flags in groups, with their defaults, and examples."""

from __future__ import annotations

import argparse
import copy
import difflib
import functools
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from configs.schema import RunConfig

WIDEST = 100  # columns of --help, on a screen however wide
_FLAG_COLUMN = 30
_DESCRIPTION = (
    "Trains a segmentation network on images with masks, compresses it in many ways (SVD, ARSVD,\n"
    "budgets), measures every network on the test images, and says which one to take."
)
_EXAMPLES = """\
examples:
  python run_pipeline.py --config configs/demo.yaml
      phantoms that are made for it, a small network: minutes on a CPU
  python run_pipeline.py --config configs/brain_tumor.yaml --data_root data --max_dice_loss 0.01
      your data; also the smallest network that loses at most 0.01 of Dice
  python run_pipeline.py --predict scans --model artifacts/networks/budget_0.25 --out_dir masks
      masks of new images, by a network of an earlier run

LIST is written 16,32. Defaults are those without --config. key=value sets any field of the
configuration, for example training.patience=5; configs/schema.py and configs/sections.py list all.
"""
# Titles of the groups, each with the beginnings of its flags' places in the configuration.
GROUPS = {
    "data": ("data_root", "data."),
    "network": ("model.", "checkpoint"),
    "training": ("training.", "seed", "distill_narrow."),
    "compression": ("compression.", "statistics."),
    "recovery of what compression loses": ("recalibration.", "finetune."),
    "choice and deployment": ("registration.", "export.", "prediction."),
    "running again, and where": ("reuse_training", "no_cache", "device", "num_workers", "run_settings"),
    "output": ("out_dir", "verbose"),
}


class ConfigError(ValueError):
    """The command line or the configuration file is wrong."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ConfigError(f"{message}{_meant(message, self._option_string_actions)}; see --help")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows one spelling of each flag, and never more than `WIDEST` columns."""

    def __init__(self, prog: str) -> None:
        width = min(WIDEST, shutil.get_terminal_size().columns)
        super().__init__(prog, max_help_position=_FLAG_COLUMN, width=width)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        shown = copy.copy(action)
        shown.option_strings = [each for each in action.option_strings if "-" not in each.removeprefix("--")[1:]]
        return super()._format_action_invocation(shown)


def make_parser(flags: Mapping[str, tuple[str, dict[str, Any]]]) -> argparse.ArgumentParser:
    """Returns a parser of the flags, each with `_` or `-` in its name, and of `key=value` overrides.

    Args:
        flags: Name to place in the configuration, and how argparse reads it; its help is shown with the default of the
            configuration.

    Raises:
        ConfigError: By the parser: the command line is wrong.
    """
    parser = _Parser(
        prog="run_pipeline.py",
        usage="python run_pipeline.py [--config FILE] [flags] [key=value ...]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        allow_abbrev=False,
        formatter_class=_Formatter,
        add_help=False,
    )
    start = parser.add_argument_group("where to begin")
    start.add_argument("-h", "--help", action="help", help="this text")
    start.add_argument("--config", metavar="FILE", help="YAML file with any of these settings, see configs/")
    start.add_argument("overrides", nargs="*", metavar="key=value", help="single fields of the configuration")
    groups = {title: parser.add_argument_group(title) for title in GROUPS}
    for name, (place, options) in flags.items():
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        groups[group_of(place)].add_argument(*spellings, dest=name, **(options | {"help": _help(place, options)}))
    return parser


def group_of(place: str) -> str:
    """Returns the title of the group that shows the flag of a place in the configuration.

    Raises:
        LookupError: No group takes it.
    """
    for title, beginnings in GROUPS.items():
        if place.startswith(beginnings):
            return title
    raise LookupError(f"no group of --help takes {place}; add it to GROUPS in configs/parser.py")


def _help(place: str, options: Mapping[str, Any]) -> str:
    """Returns the help of a flag with its default, in which `%` stands for itself."""
    default = _shown(functools.reduce(getattr, place.split("."), RunConfig()), by=" " if "nargs" in options else ",")
    text = options["help"].replace("%", "%%")
    return f"{text} (default: {default})" if default else text


def _shown(value: object, by: str) -> str:
    """Returns a default as it is typed; nothing of what is off or not given."""
    if isinstance(value, tuple):
        return by.join(_shown(each, by) for each in value)
    if value is None or isinstance(value, (bool, dict)):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _meant(message: str, known: Iterable[str]) -> str:
    """Returns the flags that argparse's message about unknown ones may be about."""
    unknown = re.findall(r"(?<!\S)--([\w-]+)", message) if "unrecognized" in message else []
    names = sorted({each.removeprefix("--") for each in known if each.startswith("--") and "-" not in each[2:]})
    meant = [match for flag in unknown for match in difflib.get_close_matches(flag.replace("-", "_"), names, n=1)]
    return f" (did you mean {', '.join(f'--{name}' for name in dict.fromkeys(meant))}?)" if meant else ""

"""What the page says besides the results: data, training, configuration and origin."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.comparison import Comparison
from dataset.message_text import counted, plural
from models.deployment.records import Exports
from reporting.html.formatting import as_list, readable

LEAKS = {  # of the manifest, unfolded on demand
    "near_duplicates": "images that are nearly equal to one of another split",
    "shared_groups": "{groups} with images in several splits",
}
BEST_DICE = "valid Dice of the best epoch"


@dataclasses.dataclass(frozen=True)
class About:
    """What a page says besides the results.

    Attributes:
        history: Training history; all of it but the single epochs is shown.
        manifest: What is known of the data, as in `dataset_manifest.json`; any key may be absent, and any is shown.
        config: The resolved configuration, nested.
        provenance: What is needed to make the page again: versions, git commit, seed, command.
        exports: The files to deploy, None where none were asked for.
        trainings: Of several trainings, what distinguishes each, and its history; empty where there is one alone.
    """

    history: Mapping[str, Any]
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    provenance: Mapping[str, str]
    exports: Exports | None = None
    trainings: Sequence[Mapping[str, Any]] = ()


def training_facts(history: Mapping[str, Any]) -> dict[str, object]:
    """Returns what is said of the training besides its curves: the Dice that the best epoch was chosen by first."""
    known = {key: value for key, value in history.items() if key != "epochs"}
    if known.get("best_valid_dice_lesion") is not None:
        titles = {"best_valid_dice_lesion": BEST_DICE, "best_valid_dice": f"{BEST_DICE}, all images"}
    else:
        titles = {"best_valid_dice": BEST_DICE}
        known.pop("best_valid_dice_lesion", None)
    ordered = {"best_epoch": None, **dict.fromkeys(titles)} | known
    return {titles.get(key, str(key).replace("_", " ")): readable(ordered[key]) for key in ordered if key in known}


def facts(about: About, comparison: Comparison) -> str:
    """Returns a line that says what was measured, as far as it is known."""
    split = (about.manifest.get("splits") or {}).get("test") or {}
    parts = []
    if isinstance(split, Mapping) and "images" in split:
        patients = comparison.test_patients
        of_patients = "" if patients is None else f" of {counted(patients, comparison.group_noun)}"
        parts.append(f"{split['images']} test images{of_patients}")
    if size := about.manifest.get("image_size"):
        parts.append(" x ".join(str(side) for side in size))
    model = about.config.get("model") or {}
    if name := model.get("network"):
        parts.append(str(name))
    elif filters := model.get("base_filters"):
        every = ", ".join(map(str, (filters, *(model.get("further_filters") or ()))))
        parts.append(f"U-Net with {every} filters")
    if seeds := about.config.get("seeds"):
        parts.append(f"seeds {', '.join(map(str, seeds))}")
    parts += [str(about.provenance[key]) for key in ("date",) if key in about.provenance]
    return ", ".join(parts)


def leaks(manifest: Mapping[str, Any]) -> dict[str, object]:
    """Returns what splits share, by what it is."""
    groups = plural(str(manifest.get("group_noun", "patient")))
    found = {title.format(groups=groups): as_list(manifest.get(key)) for key, title in LEAKS.items()}
    return {title: readable(shared) for title, shared in found.items() if shared}


def manifest_summary(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the manifest without what has a place of its own, and without the list of every single sample."""
    summary = {key: value for key, value in manifest.items() if key not in ("warnings", "notes", "refused", *LEAKS)}
    splits = summary.get("splits")
    if isinstance(splits, Mapping):
        summary["splits"] = {
            name: _split_summary(split) if isinstance(split, Mapping) else split for name, split in splits.items()
        }
    return summary


def _split_summary(split: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is known of a split without its samples; areas of masks by what their ranks are: percentiles."""
    known = {key: value for key, value in split.items() if key != "samples"}
    areas = known.get("mask_area_percent")
    if isinstance(areas, Mapping):
        known["mask_area_percent"] = {
            f"percentile {rank}:" if str(rank).isdecimal() else rank: area for rank, area in areas.items()
        }
    return known

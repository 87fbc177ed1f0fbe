"""The comparison as one HTML file that needs nothing else: pictures are inside, and nothing is requested."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer, sizes_answer, times_answer, trainings_answer
from analysis.equal_size import PAIRS, methods_in
from analysis.intervals import TOO_FEW
from analysis.ranking import TITLES
from analysis.signed_numbers import signed, signed_ends
from analysis.table_rows import TIME_WORDS, variant_rows
from dataset.message_text import counted, plural
from models.deployment.records import Exports
from reporting.exports import export_sentences, network_bytes
from reporting.html.failures import failure_tables
from reporting.html.formatting import as_list, count, is_columns, is_records, keys_of, number, readable, scalar
from reporting.plots.catalogue import PICTURES
from reporting.summary import file_names

TEMPLATE = "report.html.jinja"
LEAKS = {  # of the manifest, unfolded on demand
    "near_duplicates": "images that are nearly equal to one of another split",
    "shared_groups": "{groups} with images in several splits",
}
NAMED = 10  # names in a sentence; how many more there are is said
BEST_DICE = "valid Dice of the best epoch"
LISTED = 200  # entries of a list that are shown: more make the page slow and nobody reads them


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


def render_report(comparison: Comparison, about: About, pictures: Mapping[str, bytes]) -> bytes:
    """Returns the page. Whatever comes from the data is escaped: it shows as text, and never acts.

    Args:
        comparison: The evaluated variants; the baseline alone is enough.
        about: Data, training, configuration and origin.
        pictures: Name in the catalogue to the content of a PNG file.
    """
    history, manifest = about.history, about.manifest
    script = _own("report.js")
    page = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            facts=_facts(about, comparison),
            shares=next((each.factorizable.describe() for each in comparison.results if each.factorizable), None),
            comparison=comparison,
            answer=answer(comparison),
            methods_answer=methods_answer(comparison),
            sizes_answer=sizes_answer(comparison),
            trainings_answer=trainings_answer(comparison),
            times_answer=times_answer(comparison),
            rows=variant_rows(comparison),
            methods=methods_in(comparison.equal_sizes),
            pairs=[pair for pair in PAIRS if any(pair in line.dice_gains for line in comparison.equal_sizes)],
            machine=comparison.machine,
            exports=about.exports,
            network_bytes=None if about.exports is None else network_bytes(about.exports, comparison),
            export_sentences=export_sentences(about.exports, comparison.tolerated_loss),
            empty=comparison.has_empty_images,
            over=comparison.judged_over,
            patients=comparison.test_patients,
            noun=comparison.group_noun,
            time_words=TIME_WORDS,
            tolerated=comparison.tolerated_loss,
            failures=failure_tables(comparison, file_names(manifest, "test")),
            images=[(PICTURES[name], _embedded(pictures[name])) for name in PICTURES if name in pictures],
            compressed=[result for result in comparison.results if result.layers],
            training=_training(history),
            epochs=len(history.get("epochs") or []),
            further=[_training(each) for each in about.trainings[1:]],
            warnings=as_list(manifest.get("warnings")),
            notes=as_list(manifest.get("notes")),
            refused=readable(as_list(manifest.get("refused"))),
            leaks=_leaks(manifest),
            manifest=readable(_summary(manifest)),
            config=about.config,
            provenance=about.provenance,
            style=_own("report.css"),
            script=script,
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return page.encode(errors="backslashreplace")  # a name may hold what UTF-8 has not


def _training(history: Mapping[str, Any]) -> dict[str, object]:
    """Returns what is said of the training besides its curves: the Dice that the best epoch was chosen by first."""
    known = {key: value for key, value in history.items() if key != "epochs"}
    if known.get("best_valid_dice_lesion") is not None:
        titles = {"best_valid_dice_lesion": BEST_DICE, "best_valid_dice": f"{BEST_DICE}, all images"}
    else:
        titles = {"best_valid_dice": BEST_DICE}
        known.pop("best_valid_dice_lesion", None)
    ordered = {"best_epoch": None, **dict.fromkeys(titles)} | known
    return {titles.get(key, str(key).replace("_", " ")): readable(ordered[key]) for key in ordered if key in known}


def _facts(about: About, comparison: Comparison) -> str:
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


def _leaks(manifest: Mapping[str, Any]) -> dict[str, object]:
    """Returns what splits share, by what it is."""
    groups = plural(str(manifest.get("group_noun", "patient")))
    found = {title.format(groups=groups): as_list(manifest.get(key)) for key, title in LEAKS.items()}
    return {title: readable(shared) for title, shared in found.items() if shared}


def _summary(manifest: Mapping[str, Any]) -> dict[str, Any]:
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


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "scalar": scalar, "count": count, "plural": plural}
    environment.tests |= {"columns": is_columns, "records": is_records}
    environment.globals |= {"LISTED": LISTED, "NAMED": NAMED, "TITLES": TITLES, "TOO_FEW": TOO_FEW}
    environment.globals |= {"keys_of": keys_of, "signed": signed, "signed_ends": signed_ends}
    return environment


def _own(name: str) -> Markup:
    """Returns a file of this project to be printed as it is: nothing of it comes from the data."""
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))  # noqa: S704 - see above


def _embedded(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")

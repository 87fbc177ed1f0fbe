"""The comparison as one HTML file that needs nothing else: pictures are inside, and nothing is requested."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer, reservations, sizes_answer, times_answer, trainings_answer
from analysis.equal_size import PAIRS, methods_in
from analysis.examples import in_question
from analysis.intervals import TOO_FEW
from analysis.ranking import TITLES
from analysis.sentences.questions import questions
from analysis.sentences.spoken import side_by_side, spoken
from analysis.signed_numbers import signed, signed_ends
from analysis.table_rows import TIME_WORDS, variant_rows
from dataset.message_text import plural
from reporting.exports import export_sentences, network_bytes
from reporting.html.about import About, facts, leaks, manifest_summary, training_facts
from reporting.html.failures import failure_tables, image_name, patient_rows
from reporting.html.formatting import as_list, count, is_columns, is_records, keys_of, number, readable, scalar
from reporting.html.opening import opening_panels
from reporting.html.payload import as_json, data_of
from reporting.html.scripts import FIRST, SCRIPTS, charts_library, packed_json, policy, script, style
from reporting.html.seen_images import (
    SeenImages,
    held_sentence,
    images_known,
    images_of_page,
    rows_without_pictures,
)
from reporting.plots.catalogue import PICTURES
from reporting.summary import file_names

TEMPLATE = "report.html.jinja"
NAMED = 10  # names in a sentence; how many more there are is said
MAIN = {  # columns of the table that are shown at first; the last go first where it is narrow
    name: place
    for place, name in enumerate(("Dice", "size MB", "change", "time", "found %", "alarms %", "parameters"), 1)
}
SECTIONS = {
    "questions": "Questions",
    "charts": "Charts",
    "images": "Images",
    "table": "Variants",
    "methods": "Methods",
    "groups": "Who loses",
    "deploy": "Files to deploy",
    "plots": "Pictures",
    "layers": "Layers",
    "data-set": "How it was made",
}
LISTED = 200  # entries of a list that are shown: more make the page slow and nobody reads them


def render_report(
    comparison: Comparison, about: About, pictures: Mapping[str, bytes], seen: SeenImages | None = None
) -> bytes:
    """Returns the page. Whatever comes from the data is escaped: it shows as text, and never acts.

    Args:
        comparison: The evaluated variants; the baseline alone is enough.
        about: Data, training, configuration and origin.
        pictures: Name in the catalogue to the content of a PNG file.
        seen: The test images and the predicted masks; None leaves the images out.
    """
    context = {**_results(comparison), **_sections(comparison, about, pictures), **_scripted(comparison, about, seen)}
    context["contents"] = _contents(context)
    context["places"] = _places(context)
    page = _environment().get_template(TEMPLATE).render(context)
    return page.encode(errors="backslashreplace")  # a name may hold what UTF-8 has not


def _results(comparison: Comparison) -> dict[str, Any]:
    """Returns what the page says of the variants, whatever they are of."""
    other = in_question(comparison)
    patients = patient_rows(comparison)
    return {
        "comparison": comparison,
        "spoken": spoken(comparison),
        "reservations": reservations(comparison),
        "side_by_side": side_by_side(comparison),
        "questions": questions(comparison),
        "other": other.name if other is not None else "",
        "answer": answer(comparison),
        "methods_answer": methods_answer(comparison),
        "sizes_answer": sizes_answer(comparison),
        "trainings_answer": trainings_answer(comparison),
        "times_answer": times_answer(comparison),
        "shares": next((each.factorizable.describe() for each in comparison.results if each.factorizable), None),
        "rows": variant_rows(comparison),
        "methods": methods_in(comparison.equal_sizes),
        "pairs": [pair for pair in PAIRS if any(pair in line.dice_gains for line in comparison.equal_sizes)],
        "machine": comparison.machine,
        "empty": comparison.has_empty_images,
        "over": comparison.judged_over,
        "interval_name": comparison.interval_name,
        "patients": comparison.test_patients,
        "noun": comparison.group_noun,
        "patient_rows": patients[:LISTED],
        "patients_of": other.name if other is not None else "",
        "classes": any(result.classes for result in comparison.results),
        "time_words": TIME_WORDS,
        "tolerated": comparison.tolerated_loss,
        "compressed": [result for result in comparison.results if result.layers],
    }


def _sections(comparison: Comparison, about: About, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Returns what the page says of data, training and files."""
    history, manifest = about.history, about.manifest
    return {
        "facts": facts(about, comparison),
        "exports": about.exports,
        "network_bytes": None if about.exports is None else network_bytes(about.exports, comparison),
        "export_sentences": export_sentences(about.exports, comparison.tolerated_loss),
        "failures": failure_tables(comparison, file_names(manifest, "test")),
        "images": [(PICTURES[name], _embedded(pictures[name])) for name in PICTURES if name in pictures],
        "training": training_facts(history),
        "epochs": len(history.get("epochs") or []),
        "further": [training_facts(each) for each in about.trainings[1:]],
        "warnings": as_list(manifest.get("warnings")),
        "notes": as_list(manifest.get("notes")),
        "refused": readable(as_list(manifest.get("refused"))),
        "leaks": leaks(manifest),
        "manifest": readable(manifest_summary(manifest)),
        "config": about.config,
        "provenance": about.provenance,
    }


def _scripted(comparison: Comparison, about: About, seen: SeenImages | None) -> dict[str, Any]:
    """Returns the page's scripts and what they read, and the images of the first screen."""
    names = file_names(about.manifest, "test")
    opening, panels = opening_panels(comparison, seen)
    pictured = seen if seen is not None and len(seen.images) else None
    held = None if pictured is None else images_of_page(comparison, pictured)
    number = images_known(comparison) if pictured is None else len(pictured.images)
    rows = rows_without_pictures(comparison) if held is None else held["rows"]
    patients = [name for name, *_ in patient_rows(comparison)[:LISTED]]
    data = data_of(comparison, names, opening, rows, patients)
    found: dict[str, Any] = {"pictures_json": None}
    if held is not None:
        masks = {"truth": held.pop("truth"), "masks": held.pop("masks")}
        found = {"pictures_json": as_json(held), "masks_packed": packed_json(masks)}
    library = charts_library() if comparison.baseline is not None and comparison.compressed else None
    return found | {
        "panels": panels,
        "opening_name": image_name(names, opening) if rows else "",
        "held": held_sentence(len(rows), number),
        "has_images": bool(data["images"]) and any(image["px"] for image in data["images"]),
        "data": as_json(data),
        "library": library,
        "policy": policy(library),
        "style": style(),
        "first": script(FIRST),
        "scripts": [script(name) for name in SCRIPTS],
    }


def _contents(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the page's sections: place and title."""
    known = {
        "questions": context["questions"],
        "charts": context["library"],
        "images": context["pictures_json"] or context["failures"],
        "groups": context["rows"][0].classes or context["comparison"].lesion_groups or context["patient_rows"],
        "deploy": context["exports"],
        "plots": context["images"],
        "layers": context["compressed"],
    }
    return [(place, title) for place, title in SECTIONS.items() if known.get(place, True)]


def _places(context: Mapping[str, Any]) -> set[str]:
    """Returns the places that questions may point to."""
    comparison: Comparison = context["comparison"]
    places = {place for place, _ in context["contents"]} | {"equal-size"}
    places |= {"sizes"} if comparison.lesion_groups else set()
    places |= {"training"} if context["epochs"] or context["training"] else set()
    return places | ({"trainings"} if comparison.over_trainings and not comparison.is_useless else set())


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "scalar": scalar, "count": count, "plural": plural}
    environment.tests |= {"columns": is_columns, "records": is_records}
    environment.globals |= {"LISTED": LISTED, "NAMED": NAMED, "TITLES": TITLES, "TOO_FEW": TOO_FEW, "MAIN": MAIN}
    environment.globals |= {"keys_of": keys_of, "signed": signed, "signed_ends": signed_ends}
    return environment


def _embedded(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")

"""The comparison as one HTML file that needs nothing else: pictures inside, no request to anywhere."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer
from analysis.equal_size import PAIRS, gain_text
from analysis.examples import LISTED_FAILURES, Failure, failures, in_question
from analysis.ranking import PARAMETER, TITLES
from analysis.table_rows import variant_rows
from models.evaluation.results import EvaluationResult
from reporting.plots.catalogue import PICTURES
from torch_lowrank.whole_files import write_whole

TEMPLATE = "report.html.jinja"
NOTABLE = 0.01  # change of an image's Dice that is counted
LISTED = 200  # entries of a list that are shown: more make the page slow and nobody reads them


@dataclasses.dataclass(frozen=True)
class About:
    """What a page says besides the results.

    Attributes:
        history: Training history; its `best_epoch` and `best_valid_dice` are shown where present.
        manifest: What is known of the data, as in `dataset_manifest.json`; any key may be absent, and any is shown.
        config: The resolved configuration, nested.
        provenance: What is needed to make the page again: versions, git commit, seed, command.
    """

    history: Mapping
    manifest: Mapping
    config: Mapping
    provenance: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class FailureTable:
    """The images on which one variant is worse than the baseline.

    Attributes:
        name: The variant's name.
        summary: How many images, in a sentence.
        lines: The largest losses: file name, pixels of the lesion, Dice of the baseline, Dice of the variant, the
            kind of fault.
        both: File names of the images on which baseline and variant have Dice 0.
        open: Whether it is shown at once.
    """

    name: str
    summary: str
    lines: list[tuple[str, float, float, float, str]]
    both: list[str]
    open: bool


def write_report(comparison: Comparison, about: About, plots: Sequence[Path], file: Path) -> None:
    """Writes the page. Whatever comes from the data is escaped: it shows as text, it never acts.

    Args:
        comparison: The evaluated variants; the baseline alone is enough.
        about: Data, training, configuration and origin.
        plots: PNG files, shown in this order.
        file: Where the page goes; it appears whole or not at all.

    Raises:
        FileNotFoundError: If one of the plots does not exist.
    """
    history, manifest = about.history, about.manifest
    page = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            facts=_facts(about),
            answer=answer(comparison),
            methods_answer=methods_answer(comparison),
            rows=variant_rows(comparison),
            equal_sizes=comparison.equal_sizes,
            methods=list(PARAMETER),
            pairs=[pair for pair in PAIRS if any(pair in line.gains for line in comparison.equal_sizes)],
            lesion_groups=comparison.lesion_groups,
            failures=_failure_tables(comparison, _test_files(manifest)),
            images=[(PICTURES[plot.stem], _embedded(plot)) for plot in plots],
            compressed=[result for result in comparison.results if result.layers],
            training=_readable({key: value for key, value in history.items() if key != "epochs"}),
            epochs=len(history.get("epochs") or []),
            warnings=_sequence(manifest.get("warnings")),
            refused=_readable(_sequence(manifest.get("refused"))),
            manifest=_readable(_summary(manifest)),
            config=about.config,
            provenance=about.provenance,
            style=_own("report.css"),
            script=_own("report.js"),
            script_digest=base64.b64encode(hashlib.sha256(_own("report.js").encode()).digest()).decode(),
        )
    )
    write_whole(file, page.encode(errors="backslashreplace"))  # a name may hold what UTF-8 has not


def _failure_tables(comparison: Comparison, file_names: Sequence[str]) -> list[FailureTable]:
    """Returns one table for each compressed network, that of the recommended one opened."""
    shown, tables = in_question(comparison), []
    for result in comparison.compressed:
        images, worse = len(result.per_image.get("dice", [])), failures(comparison, result)
        pairs = _paired_dice(comparison, result)
        changes = [after - before for before, after in pairs]
        both = [_file_name(file_names, row) for row, pair in enumerate(pairs) if max(pair) == 0]
        tables.append(
            FailureTable(
                name=result.name,
                summary=(
                    f"of {images} images {sum(change < -NOTABLE for change in changes)} lose and "
                    f"{sum(change > NOTABLE for change in changes)} gain more than {NOTABLE:g} in Dice"
                ),
                lines=[
                    (_file_name(file_names, each.row), each.lesion_px, each.baseline_dice, each.dice, _fault(each))
                    for each in worse[:LISTED_FAILURES]
                ],
                both=both,
                open=result is shown,
            )
        )
    return sorted((table for table in tables if table.lines or table.both), key=lambda table: not table.open)


def _fault(failure: Failure) -> str:
    """Says what is wrong where nothing is right."""
    if failure.dice > 0:
        return ""
    return "missed" if failure.lesion_px > 0 else "false alarm" if failure.lesion_px == 0 else ""


def _paired_dice(comparison: Comparison, result: EvaluationResult) -> list[tuple[float, float]]:
    baseline = comparison.baseline.per_image.get("dice", []) if comparison.baseline is not None else []
    return list(zip(baseline, result.per_image.get("dice", []), strict=False))


def _facts(about: About) -> str:
    """Says in a line what was measured, as far as it is known."""
    split = (about.manifest.get("splits") or {}).get("test") or {}
    parts = []
    if isinstance(split, Mapping) and "images" in split:
        parts.append(f"{split['images']} test images")
    if size := about.manifest.get("image_size"):
        parts.append(" x ".join(str(side) for side in size))
    if filters := (about.config.get("model") or {}).get("base_filters"):
        parts.append(f"U-Net with {filters} filters")
    parts += [str(about.provenance[key]) for key in ("date",) if key in about.provenance]
    return ", ".join(parts)


def _test_files(manifest: Mapping) -> list[str]:
    """Returns the file names of the evaluated images, as far as the manifest has them."""
    split = manifest.get("splits", {}).get("test") if isinstance(manifest.get("splits"), Mapping) else None
    samples = split.get("samples", []) if isinstance(split, Mapping) else []
    return [str(sample["file_name"]) for sample in samples]


def _file_name(names: Sequence[str], row: int) -> str:
    return names[row] if row < len(names) else f"image {row} of the split"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "scalar": _scalar, "count": _count}
    environment.tests |= {"columns": _is_columns, "records": _is_records}
    environment.globals |= {"LISTED": LISTED, "TITLES": TITLES, "keys_of": _keys_of, "gain_text": gain_text}
    return environment


def _summary(manifest: Mapping) -> dict:
    """Returns the manifest without what has a place of its own, and without the list of every single sample."""
    summary = {key: value for key, value in manifest.items() if key not in ("warnings", "refused")}
    splits = summary.get("splits")
    if isinstance(splits, Mapping):
        summary["splits"] = {
            name: {key: value for key, value in split.items() if key != "samples"}
            if isinstance(split, Mapping)
            else split
            for name, split in splits.items()
        }
    return summary


def _own(name: str) -> Markup:
    """Returns a file of this project to be printed as it is: nothing of it comes from the data."""
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))  # noqa: S704 - see above


def _embedded(plot: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(plot.read_bytes()).decode("ascii")


def _sequence(value: object) -> list:
    """Returns a list as it is, nothing as an empty list, and anything else as the only entry of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_columns(value: object) -> bool:
    """Says whether a value is a few mappings by name, say statistics by split, that read best side by side."""
    return (
        isinstance(value, Mapping)
        and 2 <= len(value) <= 4
        and all(isinstance(v, Mapping) and v for v in value.values())
    )


def _is_records(value: object) -> bool:
    """Says whether a value is a list of mappings, which reads best as a table with a line for each."""
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(entry, Mapping) for entry in value)


def _keys_of(mappings: Sequence[Mapping]) -> list:
    """Returns the keys that occur in any of the mappings, in the order they are met."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _scalar(value: object) -> str:
    """Formats one value of the manifest or the configuration."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _number(value: float | None, spec: str) -> str:
    """Formats a number of a table; a dash stands for what is unknown."""
    return "\N{EN DASH}" if value is None or not math.isfinite(value) else format(value, spec)


def _count(value: int | None) -> str:
    """Formats a large number as people say it, 484 M."""
    if value is None:
        return "\N{EN DASH}"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {letter}" if value < 999.5 * size else f"{value / size:,.0f} {letter}"
    return str(value)


def _readable(value: object) -> object:
    """Returns the manifest with the names of its fields as words."""
    if isinstance(value, Mapping):
        return {str(key).replace("_", " "): _readable(inner) for key, inner in value.items()}
    return [_readable(inner) for inner in value] if isinstance(value, list | tuple) else value

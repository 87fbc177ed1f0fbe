"""The comparison as one HTML file that needs nothing else: pictures inside, no request to anywhere."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.results import EvaluationResult
from tracking.atomic import write_whole
from tracking.equal_size import OTHERS, OURS, equal_sizes, gain_text
from tracking.tradeoffs import answer, in_order, variant_rows

TEMPLATE = "report.html.jinja"
LISTED = 200  # entries of a list that are shown: more make the page slow and nobody reads them
CAPTIONS = {
    "dice_vs_params": "Dice against parameters; the further up and left, the better",
    "svd_rank": "Quality and size against the SVD rank",
    "arsvd_tau": "Quality and size against the ARSVD tau",
    "budget": "Quality and size against the parameter budget",
    "layer_ranks_svd": "Rank of every layer under SVD",
    "layer_ranks_arsvd": "Rank of every layer under ARSVD",
    "layer_ranks_budget": "Rank of every layer under a parameter budget",
    "finetuning_curves": "Fine-tuning of the compressed networks; the kept epochs are ringed",
    "training": "Training of the baseline",
}


def write_report(
    results: Sequence[EvaluationResult],
    history: Mapping,
    manifest: Mapping,
    config: Mapping,
    plots: Sequence[Path],
    file: Path,
    provenance: Mapping[str, str],
) -> None:
    """Writes the page. Whatever comes from the data is escaped: it shows as text, it never acts.

    Args:
        results: The evaluated variants; the baseline alone is enough.
        history: Training history; its `best_epoch` and `best_valid_dice` are shown where present.
        manifest: What is known of the data, as in `dataset_manifest.json`; any key may be absent, and any is shown.
        config: The resolved configuration, nested.
        plots: PNG files, shown in this order.
        file: Where the page goes; it appears whole or not at all.
        provenance: What is needed to make the page again: versions, git commit, seed, command.

    Raises:
        FileNotFoundError: If one of the plots does not exist.
    """
    page = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            answer=answer(results),
            rows=variant_rows(results),
            equal_sizes=equal_sizes(results),
            others=OTHERS,
            ours=OURS,
            gain_text=gain_text,
            images=[(CAPTIONS.get(plot.stem, plot.stem), _embedded(plot)) for plot in plots],
            compressed=[result for result in in_order(results) if result.layers],
            training={key: value for key, value in history.items() if key != "epochs"},
            epochs=len(history.get("epochs") or []),
            warnings=_sequence(manifest.get("warnings")),
            refused=_sequence(manifest.get("refused")),
            manifest=_summary(manifest),
            config=config,
            provenance=provenance,
        )
    )
    write_whole(file, page.encode())


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "scalar": _scalar}
    environment.tests |= {"columns": _is_columns, "records": _is_records}
    environment.globals |= {"LISTED": LISTED, "keys_of": _keys_of}
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

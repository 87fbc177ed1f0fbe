"""How the report shows values: the filters and tests of its template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def number(value: float | None, spec: str) -> str:
    """Formats a number of a table; a dash stands for what is unknown, and what rounds to zero has no sign."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    text = format(value, spec)
    return text[1:] if text.startswith("-") and not float(text.replace(",", "")) else text


def count(value: int | None) -> str:
    """Formats a large number as people say it, 484 M."""
    if value is None:
        return "\N{EN DASH}"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {letter}" if value < 999.5 * size else f"{value / size:,.0f} {letter}"
    return str(value)


def scalar(value: object) -> str:
    """Formats one value of the manifest or the configuration."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def is_columns(value: object) -> bool:
    """Returns whether a value is a few mappings by name, say statistics by split, that read best side by side."""
    return (
        isinstance(value, Mapping)
        and 2 <= len(value) <= 4
        and all(isinstance(v, Mapping) and v for v in value.values())
    )


def is_records(value: object) -> bool:
    """Returns whether a value is a list of mappings, which reads best as a table with a line for each."""
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(entry, Mapping) for entry in value)


def keys_of(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the keys that occur in any of the mappings, in order of appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def readable(value: object) -> object:
    """Returns JSON-like data with underscores in the names of fields replaced by spaces."""
    if isinstance(value, Mapping):
        return {str(key).replace("_", " "): readable(inner) for key, inner in value.items()}
    return [readable(inner) for inner in value] if isinstance(value, list | tuple) else value


def as_list(value: object) -> list[Any]:
    """Returns a list as it is, nothing as an empty list, and anything else as the only entry of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]

"""All that is wrong with a configuration, a line each, with the flag that repairs it and the field that was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from configs.faults import reason
from configs.schema import RunConfig


def explain(error: ValidationError, flags: Mapping[str, str]) -> str:
    """Returns one line a fault: the field, its flag, the value, what is wrong.

    Args:
        error: Of `RunConfig`.
        flags: Place in the configuration to the flag that sets it.
    """
    flags = {**flags, "model.further_filters": "base_filters"}
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
            lines.append(f"{place}{flag} is {fault['input']!r}: {reason(RunConfig, fault)}{_as_list(fault['input'])}")
        else:
            lines.append(reason(RunConfig, fault))
    return "\n".join(dict.fromkeys(lines))


def _as_list(value: object) -> str:
    """Returns how a list is written, where a value looks like a range of numbers."""
    return "; a list is written 1,2,3" if isinstance(value, str) and re.fullmatch(r"\d+ *-+ *\d+", value) else ""


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

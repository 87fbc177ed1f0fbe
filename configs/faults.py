"""What is wrong with a value, in our own words: what is allowed is read from the model, and never from pydantic."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

_NAMES = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "object": "keys and values"}
_TEXTS = {"path": "a path", "pattern": "a text that matches {}", "minLength": "a text that is not empty"}


def reason(model: type[BaseModel], fault: ErrorDetails) -> str:
    """Returns what is wrong and what to give instead: `give a whole number of at least 1`.

    Args:
        model: What was validated.
        fault: One of the errors of its `ValidationError`. What our own validators have raised is returned as it is.
    """
    kind, place = fault["type"], fault["loc"]
    if kind == "value_error":
        return fault["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind == "finite_number":
        return "give a finite number"
    if kind == "invalid_key" or "[key]" in place:
        return "give a text as its key"
    if kind == "missing" and isinstance(place[-1], str):
        return f"it is missing; give {_allowed(_schema_of(model, place))}"
    return f"give {_allowed(_schema_of(model, place[:-1] if kind == 'missing' else place))}"


def _schema_of(model: type[BaseModel], place: Sequence[str | int]) -> dict[str, Any]:
    """Returns the JSON schema of a field, or of a value in it; what it refers to is filled in."""
    whole = found = _schema(model)
    for part in place:
        below = found["properties"].get(part) if "properties" in found else _within(found, part)
        if not isinstance(below, dict):
            break  # pydantic also names the choice of a union that it has tried
        found = _plain(below, whole.get("$defs", {}))
    return found


@functools.cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _plain(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Returns a schema without its reference, and without the choice of None."""
    if "$ref" in schema:
        return _plain(parts[schema["$ref"].rpartition("/")[2]], parts)
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return _plain(choices[0], parts) if len(choices) == 1 else schema


def _within(schema: dict[str, Any], part: str | int) -> Any:
    """Returns the schema of an item of a list, or of a value of a dictionary."""
    if isinstance(part, str):
        return schema.get("additionalProperties")
    items = schema.get("prefixItems", ())
    return items[part] if part < len(items) else schema.get("items")


def _allowed(schema: dict[str, Any]) -> str:
    """Returns what a value may be, in words that follow `give`."""
    if "anyOf" in schema:
        return " or ".join(_allowed(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema or "const" in schema:
        *others, last = map(str, schema.get("enum") or [schema["const"]])
        return f"{', '.join(others)} or {last}" if others else last
    kind = str(schema.get("type"))
    if kind == "array":
        items = schema.get("prefixItems")
        return (
            f"{len(items)} values, each {_allowed(items[0])}"
            if items
            else f"a list of values, each {_allowed(schema.get('items', {}))}"
        )
    if kind == "string":
        rules = [rule for rule in _TEXTS if rule in (schema.get("format"), *schema)]
        return _TEXTS[rules[0]].format(schema.get(rules[0])) if rules else "a text"
    return _NAMES.get(kind, "another value") + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    """Returns between which limits a number may be, as ` from 16 to 8192`; nothing where there are none."""
    if {"minimum", "maximum"} <= {*schema}:
        return f" from {schema['minimum']:.15g} to {schema['maximum']:.15g}"
    words = {"minimum": "of at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {schema[limit]:.15g}" for limit, word in words.items() if limit in schema]
    return f" {', '.join(limits)}" if limits else ""

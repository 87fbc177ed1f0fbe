"""What the values of masks are called, where a file beside them says so."""

import json
from collections.abc import Mapping

from dataset.errors import DatasetError
from dataset.message_text import is_clean, quoted
from dataset.sources.source import Source, cannot_read

NAME_FILES = ("labels.json", "dataset.json")  # of which the second is that of nnU-Net and the Decathlon
_MAX_BYTES = 2**26


def value_names(source: Source, file: str | None) -> dict[int, str]:
    """Reads names of values: {"1": "edema"} or {"edema": 1}, alone or as `labels` of a larger object.

    Args:
        source: Where the data set lies.
        file: The file in there; None where there is none.

    Returns:
        The names by value, without that of 0.

    Raises:
        DatasetError: The file cannot be read, or does not say which value has which name.
    """
    if file is None:
        return {}
    place = source.location(file)
    if source.lies_outside(file):
        raise DatasetError(f"{place} is a link that leads out of the data set's folder: copy the file into it")
    try:
        content = json.loads(source.read(file, _MAX_BYTES))
    except OSError as error:
        raise cannot_read(place, error) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{place} is not JSON of use: write {{"1": "edema", "2": "tumor"}}') from error
    if isinstance(content, Mapping) and isinstance(content.get("labels"), Mapping):
        content = content["labels"]
    elif file.endswith("dataset.json"):
        return {}  # of another tool
    if isinstance(content, Mapping) and any(isinstance(each, list) for each in content.values()):
        return {}  # regions of several values, which keep their numbers
    names: dict[int, str] = {}
    for pair in content.items() if isinstance(content, Mapping) else [(None, content)]:
        value, name = _value_and_name(*pair)
        if value is None or name is None or value in names or not is_clean(name):
            raise DatasetError(
                f"{place}: {quoted(pair[0])}: {quoted(pair[1])} gives no value a name of its own: "
                'write {"1": "edema", "2": "tumor"}'
            )
        names[value] = name
    names.pop(0, None)
    return names


def _value_and_name(key: object, content: object) -> tuple[int | None, str | None]:
    """Returns the value and the name of an entry in whichever order it has them."""
    if isinstance(key, str) and isinstance(content, int) and not isinstance(content, bool):
        return content, key
    if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10 and isinstance(content, str):
        return int(key), content
    return None, None

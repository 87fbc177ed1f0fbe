"""The error of networks that are not ours."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator


class NetworkError(ValueError):
    """A network cannot be named, allowed, built or used so; the message says why, and what to do."""


@contextlib.contextmanager
def code_of_others(doing: str, repair: str = "") -> Iterator[None]:
    """Turns whatever the code of others raises into a `NetworkError`.

    Args:
        doing: What is done, the start of the message.
        repair: The end of the message.
    """
    try:
        yield
    except NetworkError:
        raise
    except Exception as error:
        raise NetworkError(f"{doing}: {first_words(error)}{missing_package(error) or repair}") from error


def first_words(error: Exception) -> str:
    """Returns kind and first line of an error."""
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def missing_package(error: Exception) -> str:
    """Returns how to install the package that an error says is missing; nothing where none is."""
    if not isinstance(error, ImportError):
        return ""
    named = error.name or next(iter(re.findall(r"[`'\"](\w+)[`'\"]", str(error))), None)  # MONAI's have no name
    return f"; it needs a package that is not there: pip install {named.partition('.')[0]}" if named else ""

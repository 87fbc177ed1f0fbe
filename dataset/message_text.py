"""How values from someone else's files are shown in messages: short, on one line, printable anywhere."""

import unicodedata

_SHOWN = 120


def is_clean(text: str) -> bool:
    """Returns whether a text is free of control characters (new lines too) and of halves of surrogate pairs."""
    if text.isascii() and text.isprintable():
        return True
    return not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text)


def escaped(text: str) -> str:
    r"""Replaces control characters and halves of surrogate pairs by their escapes, as in \n or \ud800."""
    return "".join(sign if is_clean(sign) else repr(sign)[1:-1] for sign in text)


def shortened(text: str) -> str:
    """Cuts the middle out of a text of more than 120 characters."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 33]}...{text[-30:]}"


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun: `1 volume`, `2 volumes`, `2 series`."""
    return f"{number} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Returns the plural of a noun: `volumes`, `series`."""
    return noun if noun.endswith("s") else f"{noun}s"


def quoted(raw: object, length: int = 40) -> str:
    """Formats a value for a message: `length` characters at most; never the content of a list, which may be deep."""
    if isinstance(raw, (list, dict)):
        return "a list" if isinstance(raw, list) else "an object"
    if isinstance(raw, str):
        return repr(raw) if len(raw) <= length else f"{raw[:length]!r}..."
    return f"{raw!r:.{length}}"

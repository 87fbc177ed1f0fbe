"""Reads the entries of the lists in a large JSON object one by one, so that the whole of it is never in memory."""

import codecs
import json
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

_CHUNK = 2**18
_UNFINISHED = 2  # in 1.5e+7 the number 1.5 could end before "e+", as long as nothing follows
_SPACE = " \t\n\r"


def stream_lists(
    file: BinaryIO, names: Collection[str], object_of: Callable[[list[tuple[str, object]]], object]
) -> Iterator[tuple[str, object]]:
    """Gives every element of the lists that stand under some names in the file's outermost object.

    Args:
        file: Opened at its start.
        names: The names of the lists.
        object_of: Builds an object from its keys and values.

    Yields:
        The list's name, and the element.

    Raises:
        ValueError: The file is not JSON, or not of this form; `json.loads` says better why.
        RecursionError: It nests too deep.
    """
    text = _Text(file, json.JSONDecoder(object_pairs_hook=object_of))
    seen: set[object] = set()
    text.expect("{")
    while text.next_sign() != "}":
        if seen:
            text.expect(",")
        if text.next_sign() != '"' or (name := text.value()) in seen:
            raise ValueError("a key is missing, or occurs twice")
        seen.add(name)
        text.expect(":")
        if name in names:
            yield from ((str(name), element) for element in text.elements())
        else:
            text.value()
    text.expect("}")
    if text.next_sign():
        raise ValueError("something follows the object")
    if not seen >= set(names):
        raise ValueError("a list is missing")


class _Text:
    """The file's text from where reading has come to, as far as it is needed."""

    def __init__(self, file: BinaryIO, decoder: json.JSONDecoder) -> None:
        self._file = file
        self._json = decoder
        head = file.read(_CHUNK)
        self._decode = codecs.getincrementaldecoder(json.detect_encoding(head))("surrogatepass").decode
        self._text, self._position, self._ended = self._decode(head), 0, False

    def next_sign(self) -> str:
        """Gives the next character that is no space, and stays before it; none at the end."""
        while True:
            while self._position < len(self._text) and self._text[self._position] in _SPACE:
                self._position += 1
            if self._position < len(self._text) or self._ended:
                return self._text[self._position : self._position + 1]
            self._read_on()

    def expect(self, sign: str) -> None:
        """Passes a character that has to come next."""
        if self.next_sign() != sign:
            raise ValueError(f"{sign} is missing")
        self._position += 1

    def elements(self) -> Iterator[object]:
        """Passes a list and gives its elements."""
        self.expect("[")
        first = True
        while self.next_sign() != "]":
            if not first:
                self.expect(",")
            first = False
            yield self.value()
        self.expect("]")

    def value(self) -> object:
        """Passes one value and gives it; where it may go on behind the text that is here, more is read first."""
        self.next_sign()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._position)
            except json.JSONDecodeError:
                if self._ended:
                    raise
            else:
                if end + _UNFINISHED < len(self._text) or self._ended:
                    self._position = end
                    return value
            self._read_on()

    def _read_on(self) -> None:
        """Reads as much again as is left, at least, so that a long value is not begun too often."""
        left = self._text[self._position :]
        data = self._file.read(max(_CHUNK, 2 * len(left)))
        self._ended = not data
        self._text, self._position = left + self._decode(data, final=self._ended), 0

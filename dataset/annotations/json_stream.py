"""Reads the entries of the lists in a large JSON object one by one, so that the whole file is never in memory.

An annotation file of 340 MB takes 2 GB when `json` loads it whole, and 1 MB here, in less time. ijson needs as little
memory, but reads one list per pass, turns half surrogate pairs into question marks, and accepts a list that occurs
twice.
"""

import codecs
import json
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

_CHUNK = 2**18
_UNFINISHED = 2  # where the text read so far ends in 1.5e+, the number seems to be 1.5, two characters before the end
_SPACE = " \t\n\r"


def stream_lists(
    file: BinaryIO, names: Collection[str], object_of: Callable[[list[tuple[str, object]]], object]
) -> Iterator[tuple[str, object]]:
    """Yields every element of the named lists in the file's outermost object.

    Args:
        file: Opened at its start.
        names: The names of the lists.
        object_of: Builds an object from its keys and values.

    Yields:
        The list's name, and the element.

    Raises:
        ValueError: The file is not JSON, or not of this form; `json.loads` has better messages.
        RecursionError: It is nested too deep.
    """
    text = _Text(file, json.JSONDecoder(object_pairs_hook=object_of))
    seen: set[object] = set()
    text.expect("{")
    while text.next_character() != "}":
        if seen:
            text.expect(",")
        if text.next_character() != '"' or (name := text.value()) in seen:
            raise ValueError("a key is missing, or occurs twice")
        seen.add(name)
        text.expect(":")
        if name in names:
            yield from ((str(name), element) for element in text.elements())
        else:
            text.value()
    text.expect("}")
    if text.next_character():
        raise ValueError("something follows the object")
    if not seen >= set(names):
        raise ValueError("a list is missing")


class _Text:
    """The part of the file's text that is being parsed: what has been read from the file and not been used yet."""

    def __init__(self, file: BinaryIO, decoder: json.JSONDecoder) -> None:
        self._file = file
        self._json = decoder
        head = file.read(_CHUNK)
        self._decode = codecs.getincrementaldecoder(json.detect_encoding(head))("surrogatepass").decode
        self._text, self._position, self._ended = self._decode(head), 0, False

    def next_character(self) -> str:
        """Returns the next character that is no space, without consuming it; an empty text at the end of the file."""
        while True:
            while self._position < len(self._text) and self._text[self._position] in _SPACE:
                self._position += 1
            if self._position < len(self._text) or self._ended:
                return self._text[self._position : self._position + 1]
            self._read_on()

    def expect(self, character: str) -> None:
        """Consumes a character that has to come next."""
        if self.next_character() != character:
            raise ValueError(f"{character} is missing")
        self._position += 1

    def elements(self) -> Iterator[object]:
        """Consumes a list and yields its elements."""
        self.expect("[")
        first = True
        while self.next_character() != "]":
            if not first:
                self.expect(",")
            first = False
            yield self.value()
        self.expect("]")

    def value(self) -> object:
        """Consumes and returns one value; reads on first where the value may continue beyond the text read so far."""
        self.next_character()
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
        """Reads at least twice as much as is unused, so that a long value is not parsed from its start too often."""
        left = self._text[self._position :]
        data = self._file.read(max(_CHUNK, 2 * len(left)))
        self._ended = not data
        self._text, self._position = left + self._decode(data, final=self._ended), 0

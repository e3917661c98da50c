"""Takes one JSON object apart member by member, so that a huge collection is never held whole."""

import json
from collections.abc import Iterator
from typing import Final, TextIO

import orjson

from registry.errors import InvalidInputError

__all__ = ["Splitter"]

_CHUNK: Final = 1 << 20
_BLANK: Final = " \t\r\n"
_SCAN: Final = json.JSONDecoder().raw_decode


class Splitter:
    """Reads the members of a JSON object from a text stream.

    The standard library's scanner finds where a value ends; orjson, which knows no NaN, no
    infinity and no endless nesting, decides what it is.

    Args:
        stream: The JSON text, at its beginning.
        name: What messages call it.
        largest: Most characters of one value.
    """

    def __init__(self, stream: TextIO, name: str, largest: int) -> None:
        self._stream = stream
        self._name = name
        self._largest = largest
        self._text = ""
        self._at = 0
        self._ended = False
        self.size = 0
        """Characters of the value that was taken last."""

    def is_array(self) -> bool:
        """Return whether the text is an array rather than an object."""
        return self._peek() == "["

    def members(self) -> Iterator[str]:
        """Yield the keys of the object; take each value before the next key.

        Raises:
            InvalidInputError: The text is not one JSON object.
        """
        self._expect("{")
        if self._peek() == "}":
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise self._broken("a key that is no text")
            self._expect(":")
            yield key
            if self._expect(",}") == "}":
                return

    def elements(self) -> Iterator[str]:
        """Yield the text of each element of the array that comes next.

        Raises:
            InvalidInputError: It is no array, or an element is no JSON.
        """
        self._expect("[")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            yield self.text()
            if self._expect(",]") == "]":
                return

    def value(self) -> object:
        """Return the value that comes next.

        Raises:
            InvalidInputError: It is no JSON, nested too deeply, or too large.
        """
        text = self.text()
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise self._broken(str(error)) from error

    def text(self) -> str:
        """Return the text of the value that comes next; its end is sure, its validity not.

        Raises:
            InvalidInputError: It is no JSON, nested too deeply, or too large.
        """
        self._peek()
        while True:
            try:
                _, end = _SCAN(self._text, self._at)
            except (StopIteration, ValueError) as error:
                if not self._more():
                    raise self._broken(str(error)) from error
                continue
            except RecursionError as error:
                raise self._broken("it is nested too deeply") from error
            if end == len(self._text) and self._more():
                continue  # a number may go on in the next piece
            text, self._at = self._text[self._at : end], end
            self.size = len(text)
            return text

    def _expect(self, wanted: str) -> str:
        found = self._peek()
        if found == "" or found not in wanted:
            raise self._broken(f"{found or 'its end'!r} where {' or '.join(wanted)} belongs")
        self._at += 1
        return found

    def _peek(self) -> str:
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        if self._ended:
            return False
        if len(self._text) - self._at > self._largest:
            raise InvalidInputError(
                f"{self._name} holds a value of more than {self._largest:,} characters",
                hint="no STAC item is that large; write one item a line, as .ndjson",
            )
        piece = self._stream.read(_CHUNK)
        self._ended = not piece
        self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def _broken(self, problem: str) -> InvalidInputError:
        return InvalidInputError(
            f"{self._name} is not JSON as STAC writes it: {problem}",
            hint="fetch or write the file again; the part before this is fine",
        )

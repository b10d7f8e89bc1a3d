"""A JSON object's members one by one, arrays element by element: a file of any size in little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from training.readers.problems import CUT_SHORT, ENCODING, UNREADABLE, LabelFault
from zoo.errors import one_line

_CHUNK = 1 << 16
# One element larger than this is no label: it is a fault in the file's syntax that swallows what follows.
_LARGEST = 1 << 24


def members(path: Path) -> Iterator[tuple[str, Any]]:
    """Yields (key, value) of the object in a JSON file; an array's elements each come by themselves under its key.

    Raises:
      LabelFault: the file cannot be read, is not UTF-8, no JSON object, or cut short; what came before has been yielded.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = _Text(file)
            text.take("{")
            while text.peek() != "}":
                key = text.value()
                if not isinstance(key, str):
                    raise LabelFault(UNREADABLE, f"{str(key)[:20]!r} where a key is expected")
                text.take(":")
                if text.peek() == "[":
                    text.take("[")
                    while text.peek() != "]":
                        yield key, text.value()
                        text.comma("]")
                    text.take("]")
                else:
                    yield key, text.value()
                text.comma("}")
    except OSError as error:
        raise LabelFault(UNREADABLE, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise LabelFault(ENCODING) from None


class _Text:
    """What has been read of a file and not yet been used."""

    def __init__(self, file: TextIO):
        self._file, self._text, self._at, self._used = file, "", 0, 0
        self._decoder = json.JSONDecoder()

    def _more(self) -> bool:
        chunk = self._file.read(_CHUNK)
        self._used += self._at
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)

    def peek(self) -> str:
        """Returns the next character that is no space, without using it."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                raise LabelFault(CUT_SHORT, f"it ends after {self._used} characters")

    def take(self, character: str) -> None:
        """Uses the next character, which must be this one."""
        if self.peek() != character:
            raise LabelFault(UNREADABLE, f"{self.peek()!r} at character {self._used + self._at}, where {character!r} is expected")
        self._at += 1

    def comma(self, end: str) -> None:
        """Uses the comma before another element, or nothing before the end."""
        if self.peek() != end:
            self.take(",")

    def value(self) -> Any:
        """Returns the next value whole."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > _LARGEST:
                    raise LabelFault(UNREADABLE, f"{error.msg} at character {self._used + error.pos}") from None
                if not self._more():
                    raise LabelFault(CUT_SHORT, f"it ends after {self._used + len(self._text)} characters") from None
                continue
            except (ValueError, RecursionError) as error:  # a number of too many digits; brackets within brackets
                raise LabelFault(UNREADABLE, f"{one_line(error)} after character {self._used + self._at}") from None
            length = end - self._at
            # A number at the end of what was read may go on.
            if end < len(self._text) or not self._more():
                self._at += length
                return value

"""Values of a hand-written mapping, each checked for its type under the name that it goes by."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from registry.errors import InvalidInputError

__all__ = ["Reader", "slug"]

Choice = TypeVar("Choice", bound=StrEnum)


def slug(said: str) -> str:
    """Return a name fit for a lake; the same if it is one already.

    Examples:
        >>> slug("EuroSAT_RGB (small)"), slug("ships")
        ('eurosat-rgb-small', 'ships')
    """
    return re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Takes values out of a mapping and knows which it has not been asked for."""

    values: Mapping[str, Any]
    """What somebody wrote."""

    where: str
    """What to call it in an error."""

    _asked: set[str] = field(default_factory=set)

    def _first(self, keys: tuple[str, ...]) -> tuple[str, Any]:
        self._asked.update(keys)
        for key in keys:
            if self.values.get(key) is not None:
                return key, self.values[key]
        return keys[0], None

    def _refuse(self, key: str, value: object, wanted: str) -> InvalidInputError:
        return InvalidInputError(
            f"'{key}' in {self.where} is {value!r}", hint=f"make it {wanted}, or leave it out"
        )

    def text(self, *keys: str) -> str | None:
        """Return a text or a number as text; None if absent or blank."""
        key, value = self._first(keys)
        if value is None:
            return None
        if isinstance(value, bool | list | dict):
            raise self._refuse(key, value, "a text")
        return str(value).strip() or None

    def address(self, key: str) -> str | None:
        """Return a text; of a list the first."""
        key, value = self._first((key,))
        if isinstance(value, list):
            value = value[0] if value else None
        if value is not None and not isinstance(value, str):
            raise self._refuse(key, value, "an address")
        said = value.strip() if value else None
        # Pages and catalogues link to it: what a browser would run instead of open is no address.
        if said and said.partition(":")[0].lower() in {"javascript", "data", "vbscript"}:
            raise self._refuse(key, value, "an address that can be opened")
        return said or None

    def number(self, key: str) -> float | None:
        """Return a finite number."""
        key, value = self._first((key,))
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise self._refuse(key, value, "a number")
        return float(value)

    def items(self, *keys: str) -> tuple[Any, ...]:
        """Return the items of a list, or the one value that stands alone."""
        _, value = self._first(keys)
        if value is None or value == "":
            return ()
        return tuple(value) if isinstance(value, list) else (value,)

    def names(self, *keys: str) -> tuple[str, ...]:
        """Return texts, from a list, from mappings with a ``name``, or from one text."""
        names = []
        for item in self.items(*keys):
            value = item.get("name") if isinstance(item, Mapping) else item
            if isinstance(value, bool | list | dict) or value is None or not str(value).strip():
                raise self._refuse(keys[0], item, "a list of texts")
            names.append(str(value).strip())
        return tuple(names)

    def mapping(self, key: str) -> dict[str, Any]:
        """Return a mapping with texts as keys."""
        key, value = self._first((key,))
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._refuse(key, value, "a mapping of names to values")
        return {str(name): item for name, item in value.items()}

    def texts(self, key: str) -> dict[str, str]:
        """Return a mapping of texts to texts."""
        found = self.mapping(key)
        if any(isinstance(value, list | dict) for value in found.values()):
            raise self._refuse(key, found, "a mapping of names to texts")
        return {name: str(value) for name, value in found.items()}

    def values_of(self, key: str) -> dict[int, str]:
        """Return a mapping of whole numbers to texts."""
        found = self.mapping(key)
        try:
            return {int(value): str(name) for value, name in found.items()}
        except ValueError as error:
            raise self._refuse(key, found, "a mapping of pixel values to class names") from error

    def choice(self, kind: type[Choice], key: str) -> Choice | None:
        """Return one of a few words."""
        said = self.text(key)
        if said is None:
            return None
        try:
            return kind(said.lower().replace("_", "-").replace(" ", "-"))
        except ValueError as error:
            raise self._refuse(key, said, "one of " + ", ".join(kind)) from error

    def rest(self) -> dict[str, Any]:
        """Return what nobody has asked for."""
        return {key: value for key, value in self.values.items() if key not in self._asked}

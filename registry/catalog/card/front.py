"""Front matter: the YAML block that heads a README and the prose after it."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from registry.errors import InvalidInputError

__all__ = ["changed", "join", "merge", "split", "value"]

LARGEST_CARD = 1 << 20
"""Characters a README may have: 1 Mi, a hundred times the longest one seen."""

LARGEST_FRONT = 1 << 18
"""Characters its front matter may have; YAML is read at some 100 kB a second."""

_FRONT = re.compile(
    r"\A\ufeff?---[ \t]*\r?\n(?P<front>.*?)^---[ \t]*\r?(?:\n|\Z)", re.MULTILINE | re.DOTALL
)
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")


class _Loader(yaml.SafeLoader):
    """Plain data only, no aliases (they multiply), and ``no`` is a word, as in YAML 1.2."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias (*) is not allowed", None)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOLEAN, list("tTfF"))


def split(text: str) -> tuple[dict[str, Any], str]:
    r"""Return a README's front matter and the prose after it.

    Args:
        text: The whole README; without front matter everything is prose.

    Raises:
        InvalidInputError: It is larger than a README can be, or its front matter is no YAML
            mapping of plain data.

    Examples:
        >>> split("---\nname: ships\n---\n# Ships\n")
        ({'name': 'ships'}, '# Ships\n')
    """
    if len(text) > LARGEST_CARD:
        raise InvalidInputError(
            f"README.md has {len(text):,} characters",
            hint=f"keep it below {LARGEST_CARD:,}; data belong into tables",
        )
    found = _FRONT.match(text)
    if found is None:
        return {}, text
    return _load(found["front"]), text[found.end() :]


def _load(front: str) -> dict[str, Any]:
    if len(front) > LARGEST_FRONT:
        raise InvalidInputError(
            f"the front matter of README.md has {len(front):,} characters",
            hint=f"keep it below {LARGEST_FRONT:,}",
        )
    try:
        # _Loader is a SafeLoader: it makes plain data and nothing else
        values = yaml.load(front, Loader=_Loader)  # noqa: S506 — see the line above
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split()) or "it is nested too deeply"
        raise InvalidInputError(
            f"the front matter of README.md is no YAML: {said}", hint="mend that line"
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InvalidInputError(
            "the front matter of README.md is no mapping of names to values",
            hint="write it as lines of 'key: value', such as 'name: ships'",
        )
    return values


def join(front: Mapping[str, object], body: str) -> str:
    """Return the README of a front matter and the prose after it."""
    block = yaml.safe_dump(
        dict(front), sort_keys=False, allow_unicode=True, width=100, default_flow_style=False
    )
    return f"---\n{block}---\n{body}"


def value(text: str) -> object:
    """Return what one value of a front matter, as YAML writes it, is.

    Raises:
        InvalidInputError: It is no YAML of plain data.

    Examples:
        >>> value("MIT"), value("[boat, ship]"), value("'no'")
        ('MIT', ['boat', 'ship'], 'no')
    """
    return _load(f"value: {text}\n").get("value")


def changed(text: str, values: Mapping[str, object]) -> str:
    r"""Return a README with other values of some keys; ``body`` is the prose, None is no value.

    Raises:
        InvalidInputError: It has no readable front matter.

    Examples:
        >>> changed("---\na: 1\nb: 2\n---\nprose", {"a": 3, "b": None})
        '---\na: 3\n---\nprose'
    """
    front, body = split(text)
    card = front | {"body": body} | dict(values)
    prose = card.pop("body") or ""
    return join({key: said for key, said in card.items() if said is not None}, str(prose))


def merge(base: str, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    r"""Merge two READMEs that parted, key by key; the prose is one more key.

    Lists that both sides added to get both sides' additions.

    Args:
        base: The README where the sides parted; empty if there was none.
        ours: What the branch that is merged into has.
        theirs: What is merged.

    Returns:
        The merged README, in which ours stands where both differ, and the names of those keys:
        ``body`` is the prose.

    Raises:
        InvalidInputError: One of the three has no readable front matter.

    Examples:
        >>> merge("---\na: 1\n---\n", "---\na: 2\n---\n", "---\na: 1\nb: 3\n---\n")
        ('---\na: 2\nb: 3\n---\n', ())
    """
    sides = [split(text) for text in (base, ours, theirs)]
    cards = [front | {"body": body} for front, body in sides]
    merged: dict[str, Any] = {}
    conflicts: list[str] = []
    for key in dict.fromkeys([*cards[1], *cards[2]]):
        before, mine, yours = (card.get(key) for card in cards)
        if yours in (mine, before):
            value = mine
        elif mine == before:
            value = yours
        elif (union := _both_additions(before, mine, yours)) is not None:
            value = union
        else:
            conflicts.append(key)
            value = mine
        if value is not None:
            merged[key] = value
    body = merged.pop("body", "")
    return join(merged, body), tuple(conflicts)


def _both_additions(before: object, mine: object, yours: object) -> list[Any] | None:
    if not (isinstance(mine, list) and isinstance(yours, list)):
        return None
    known = before if isinstance(before, list) else []
    if not (all(item in mine for item in known) and all(item in yours for item in known)):
        return None
    return [*mine, *(item for item in yours if item not in mine)]

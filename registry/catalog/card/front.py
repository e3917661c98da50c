"""Front matter: the YAML block that heads a README and the prose after it."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import yaml

from registry.errors import InvalidInputError

__all__ = ["changed", "join", "merge", "placed", "split", "stated", "value"]

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


def stated(text: str) -> dict[str, Any]:
    """Return a README by key, its prose as ``body``; one that cannot be read is prose alone."""
    try:
        known, body = split(text)
    except InvalidInputError:
        return {"body": text}
    return known | {"body": body}


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
        InvalidInputError: It is no YAML of plain data, or more than one value.

    Examples:
        >>> value("MIT"), value("[boat, ship]"), value("'no'")
        ('MIT', ['boat', 'ship'], 'no')
    """
    said = _load(f"value: {text}\n")
    if list(said) != ["value"]:
        raise InvalidInputError(
            f"{text!r} is more than one value", hint="give one, such as 'MIT' or '[Boat, Ferry]'"
        )
    return said["value"]


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


def placed(text: str, values: Mapping[str, object]) -> str:
    r"""Return a README with other values of some keys, and every other line as it was.

    Comments, the order of keys, how they are written and the prose stay. None takes a key out.
    Front matter that is written in another way than a line a key is written anew.

    Args:
        text: The README; without front matter it gets one.
        values: New values by key, as plain data.

    Raises:
        InvalidInputError: It has no readable front matter.

    Examples:
        >>> placed("---\n# ours\na: 1  # one\nb: [x]\n---\nprose", {"a": 3, "b": ["x", "y"]})
        '---\n# ours\na: 3  # one\nb: [x, y]\n---\nprose'
    """
    known, body = split(text)
    new = {key: said for key, said in values.items() if repr(known.get(key)) != repr(said)}
    wanted = {key: said for key, said in (known | new).items() if said is not None}
    found = _FRONT.match(text)
    if not new:
        return text
    if found is None:
        return join(wanted, text.removeprefix("\ufeff"))
    block = _replaced(found["front"], new)
    if block is not None:
        written = text[: found.start("front")] + block + text[found.end("front") :]
        with contextlib.suppress(InvalidInputError):  # else a key was written oddly
            if split(written) == (wanted, body):
                return written
    return join(wanted, body)


def _replaced(block: str, values: Mapping[str, object]) -> str | None:
    """Return front matter with other values; None if it is not a line a key."""
    root = yaml.compose(block, Loader=_Loader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    if not pairs:
        return block + "".join(_written(*pair, flow=True) for pair in values.items())
    starts = [key.start_mark.index for key, _ in pairs]
    if any(key.start_mark.column for key, _ in pairs):
        return None
    parts = [block[: starts[0]]]
    left = dict(values)
    for (key, old), start, end in zip(pairs, starts, [*starts[1:], len(block)], strict=True):
        region = block[start:end]
        if key.value not in values:
            parts.append(region)
            continue
        own = _without_what_follows(region)
        rest = block[old.end_mark.index : start + len(own)]
        if key.value in left and (said := left.pop(key.value)) is not None:
            flow = not isinstance(old, yaml.CollectionNode) or bool(old.flow_style)
            written = _written(key.value, said, flow=flow)
            comment = rest.lstrip().startswith("#") and rest.count("\n") == 1
            if comment and written.count("\n") == 1:
                written = written.rstrip("\n") + rest
            parts.append(written)
        parts.append(region[len(own) :])
    parts += [_written(key, said, flow=True) for key, said in left.items() if said is not None]
    whole = "".join(parts)
    return re.sub(r"\r?\n", "\r\n", whole) if "\r\n" in block else whole


def _without_what_follows(region: str) -> str:
    """Return a key's lines without the comments and blank lines before the next key."""
    lines = region.splitlines(keepends=True)
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].startswith("#")):
        lines.pop()
    return "".join(lines)


def _written(key: str, said: object, *, flow: bool) -> str:
    make = yaml.representer.SafeRepresenter(sort_keys=False)
    # None writes what holds only words on one line; PyYAML's types leave it out.
    make.default_flow_style = None if flow else False  # type: ignore[assignment]
    pair = (make.represent_data(key), make.represent_data(said))
    node = yaml.MappingNode("tag:yaml.org,2002:map", [pair], flow_style=False)
    text: str = yaml.serialize(node, Dumper=yaml.SafeDumper, width=100, allow_unicode=True)
    return text


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

"""Changing the card of a draft or a branch, as one commit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from registry.catalog.card import front
from registry.catalog.card.spec import Spec
from registry.catalog.comparing.difference import CardChange
from registry.catalog.comparing.differing import card_lines
from registry.catalog.ref import DRAFT, Ref, is_tag
from registry.catalog.version import CARD
from registry.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Draft
    from registry.lake import Repository

__all__ = ["CardChanged", "card_branch", "change_card", "read_card", "settings"]

_KEYS = (
    "name", "title", "pretty_name", "type", "task", "task_categories", "authors", "author",
    "licence", "license", "license_name", "providers", "provider", "source", "thumbnail", "tags",
    "classes", "assets", "properties", "target_unit", "before", "declared",
)  # fmt: skip
"""What the lab reads of a card; see :meth:`Spec.from_readme`."""

_SAME = (
    ("licence", "license"), ("title", "pretty_name"), ("authors", "author"),
    ("providers", "provider"),
)  # fmt: skip
"""Keys that mean the same; the first that a card has is the one that is read."""

_ALIKE = 0.7
"""How like a key of the lab an unknown one is, from 0 to 1, to be taken for a slip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardChanged:
    """What a change of a card did."""

    ref: str
    """The branch, as a ref."""

    changes: tuple[CardChange, ...]
    """The keys that say something else now; ``body`` is the prose."""

    unread: tuple[str, ...]
    """Keys that are new and that the lab keeps, but does not read."""

    commit: str | None
    """The commit that holds the change; None if nothing changed."""

    def to_text(self) -> str:
        """Return it for people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.commit is None:
            yield f"the card of {self.ref} says that already; nothing changed"
            return
        for change in self.changes:
            yield from card_lines(change)
        if self.unread:
            yield f"kept, though the lab does not read it: {', '.join(self.unread)}"
        yield f"the card of {self.ref} changed as {self.commit[:12]}"


def change_card(
    registry: "Registry",
    ref: Ref | str,
    *,
    values: Mapping[str, object] | None = None,
    text: str | None = None,
    base: str | None = None,
    message: str | None = None,
    look_up: Callable[[Sequence[str]], object] | None = None,
) -> CardChanged:
    """Change the card of a draft or a branch, as one commit; nothing if it would not be read.

    Args:
        registry: Where the dataset is.
        ref: ``name`` or ``name@draft`` is the caller's draft; else a branch.
        values: New values by key, as plain data; ``before.merge`` is a key in a mapping, None
            takes a key out. Comments, order and prose stay.
        text: The whole README instead.
        base: The README that ``text`` was made from, if nobody may have changed it since.
        message: Why; made from the keys by default.
        look_up: Called with the names of checks that the card newly asks for in ``before``;
            raises if there is none of a name.

    Returns:
        What changed by key, and the commit.

    Raises:
        ConflictError: The card was changed meanwhile.
        ForbiddenError: The ref is a published version, or a protected branch.
        InvalidInputError: Neither or both of ``values`` and ``text`` are given, a key is none of a
            card, or a value is none of its key.
    """
    asked = Ref.parse(ref) if isinstance(ref, str) else ref
    if bool(values) == (text is not None):
        raise InvalidInputError(
            "a card is changed by keys or as a whole", hint="give --set, --from or --edit"
        )
    draft = card_branch(registry, asked)
    head = draft.head
    # What cannot be decoded is replaced as a whole alone, so that no byte of it changes unseen.
    before = read_card(draft.repository, head, errors="strict" if values else "replace")
    if base is not None and before != base:
        raise ConflictError(
            f"the card of '{asked}' was changed meanwhile", hint="look at it and change it anew"
        )
    after = _with(before, values) if values else text or ""
    unread = _validated(asked.dataset, before, after, set(values or ()), look_up)
    changes = _differing(before, after)
    commit = None
    if before != after:
        said = message or f"card: {', '.join(each.key for each in changes) or 'written anew'}"
        with draft.repository.transaction(draft.branch, message=said, expected=head) as transaction:
            transaction.put(CARD, after.encode())
        commit = draft.head
    where = f"{asked.dataset}@{asked.at or DRAFT}"
    return CardChanged(ref=where, changes=changes, unread=unread, commit=commit)


def card_branch(registry: "Registry", ref: Ref | str) -> "Draft":
    """Return the branch whose card a ref means, open for writing.

    Args:
        registry: Where the dataset is.
        ref: ``name`` or ``name@draft`` is the caller's draft; else a branch.

    Raises:
        ForbiddenError: The ref is a published version, or a protected branch.
    """
    asked = Ref.parse(ref) if isinstance(ref, str) else ref
    if asked.at is not None and is_tag(asked.at):
        raise ForbiddenError(
            f"'{asked}' is published and never changes",
            hint=f"change the card of a draft or a branch: eolab card {asked.dataset}@draft …",
        )
    return registry.draft(asked.dataset, asked.at)


def read_card(repository: "Repository", at: str, *, errors: str = "replace") -> str:
    """Return a dataset's README as it is written; empty if there is none.

    Args:
        repository: Where the dataset is.
        at: The commit.
        errors: ``replace`` or ``strict``: what happens to bytes that are not UTF-8.

    Raises:
        InvalidInputError: It is not UTF-8, and ``errors`` is ``strict``.
    """
    try:
        return repository.read(CARD, at=at).decode("utf-8", errors)
    except NotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"the README.md of '{repository.name}' is not UTF-8",
            hint="bring one that is with --from",
        ) from error


def settings(pairs: Sequence[str]) -> dict[str, object]:
    """Return ``key=YAML`` pairs as a mapping; nothing behind the sign takes a key out.

    Raises:
        InvalidInputError: A pair names no key, its value is no YAML, or a key is set twice.

    Examples:
        >>> settings(["classes=[Boat, Ferry]", "before.merge=[exact-duplicates]"])
        {'classes': ['Boat', 'Ferry'], 'before.merge': ['exact-duplicates']}
    """
    values: dict[str, object] = {}
    for pair in pairs:
        key, sign, said = (part.strip() for part in pair.partition("="))
        if not (sign and all(part.strip() for part in key.split("."))):
            raise InvalidInputError(
                f"{pair!r} sets nothing", hint="write KEY=VALUE, such as 'classes=[Boat, Ferry]'"
            )
        if key in values:
            raise InvalidInputError(f"'{key}' is set twice", hint="set each key once")
        try:
            values[key] = front.value(said)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"the value in {pair!r} is no YAML",
                hint="write a word, a 'quoted text', a list [a, b] or a mapping {a: b}",
            ) from error
    return values


def _with(text: str, values: Mapping[str, object]) -> str:
    known, _ = front.split(text)
    new: dict[str, object] = {}
    for dotted, value in values.items():
        first, *rest = dotted.split(".")
        key = _as_read(first, known)
        new[key] = _inside(new.get(key, known.get(key)), key, rest, value)
    return front.placed(text, new)


def _as_read(key: str, known: Mapping[str, object]) -> str:
    # Of the names that mean the same, the one that the card has is the one that is read.
    if key == "body":
        raise InvalidInputError(
            "the prose is no key of a card", hint="write it with --edit or bring it with --from"
        )
    names = next((names for names in _SAME if key in names), (key,))
    return next((name for name in names if known.get(name) is not None), key)


def _inside(old: object, where: str, rest: Sequence[str], value: object) -> object:
    if not rest:
        return value
    if not (old is None or isinstance(old, dict)):
        raise InvalidInputError(
            f"'{where}' in README.md is {old!r}, in which there is no '{rest[0]}'",
            hint=f"set it whole: --set {where}=…",
        )
    inner: dict[Any, object] = dict(old or {})
    # A key that YAML reads as a number is written in the same way, so it is found by its text.
    name = next((name for name in inner if str(name) == rest[0]), rest[0])
    said = _inside(inner.get(name), f"{where}.{rest[0]}", rest[1:], value)
    if said is None:
        inner.pop(name, None)
    else:
        inner[name] = said
    return inner or None


def _validated(
    dataset: str,
    before: str,
    after: str,
    set_keys: set[str],
    look_up: Callable[[Sequence[str]], object] | None,
) -> tuple[str, ...]:
    card = Spec.from_readme(after, name=dataset)
    card.properties_type()
    try:
        old = Spec.from_readme(before, name=dataset)
    except InvalidInputError:  # it is being mended
        old = Spec(name=dataset)
    unread = tuple(key for key in card.extra if key not in old.extra)
    for key in unread:
        alike = get_close_matches(key, _KEYS, n=1, cutoff=_ALIKE)
        if alike and key in {each.partition(".")[0] for each in set_keys}:
            raise InvalidInputError(
                f"'{key}' is no key of a card", hint=f"did you mean '{alike[0]}'?"
            )
    asked = {name for names in old.before.values() for name in names}
    new = dict.fromkeys(name for names in card.before.values() for name in names)
    if look_up is not None:
        look_up([name for name in new if name not in asked])
    return unread


def _differing(before: str, after: str) -> tuple[CardChange, ...]:
    was, now = front.stated(before), front.stated(after)
    return tuple(
        CardChange(key=key, before=was.get(key), after=now.get(key))
        for key in dict.fromkeys([*was, *now])
        if repr(was.get(key)) != repr(now.get(key))
    )

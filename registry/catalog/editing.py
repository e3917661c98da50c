"""Changing rows of a draft or a branch, as one commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.catalog.ref import DRAFT, Ref, is_tag
from registry.errors import ForbiddenError, InvalidInputError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["Edited", "edit_rows", "parsed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What an edit did."""

    ref: str
    """The branch that was edited, as a ref."""

    table: str
    """The table."""

    rows: int
    """How many rows changed, or were deleted."""

    deleted: bool = False
    """Whether they were deleted."""

    commit: str | None
    """The commit that holds the change; None if no row changed."""

    def to_text(self) -> str:
        """Return it for people."""
        if self.commit is None:
            return f"no row of {self.table} matches; nothing changed"
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        done = "deleted" if self.deleted else "changed"
        return f"{rows} of {self.table} {done} on {self.ref} as {self.commit[:12]}"


def edit_rows(
    registry: "Registry",
    ref: Ref | str,
    *,
    table: str = "samples",
    assignments: Sequence[str] = (),
    where: str = "",
    delete: bool = False,
    message: str | None = None,
) -> Edited:
    """Change or delete rows of a draft or a branch, as one commit.

    Args:
        registry: Where the dataset is.
        ref: ``name`` or ``name@draft`` is the caller's draft; else a branch.
        table: Which table.
        assignments: ``column=SQL`` pairs: ``label=['Forest']``.
        where: Which rows, as SQL; must be given.
        delete: Delete the rows instead.
        message: Why; made from the arguments by default.

    Returns:
        How many rows changed, and the commit.

    Raises:
        ForbiddenError: The ref is a published version, which never changes.
        InvalidInputError: Neither or both of ``assignments`` and ``delete`` are given, there is no
            ``where``, or the SQL does not fit the table.
    """
    asked = Ref.parse(ref) if isinstance(ref, str) else ref
    if asked.at is not None and is_tag(asked.at):
        raise ForbiddenError(
            f"'{asked}' is published and never changes",
            hint=f"edit a draft or a branch: eolab edit {asked.dataset}@draft …",
        )
    if not where.strip():
        raise InvalidInputError("no rows were named", hint="say which: --where \"id = 'a'\"")
    if bool(assignments) == delete:
        raise InvalidInputError(
            "an edit either sets columns or deletes rows", hint="give --set or --delete"
        )
    values = parsed(assignments)
    draft = registry.draft(asked.dataset, asked.at)
    said = message or (f"delete {table}" if delete else f"set {', '.join(values)}")
    before = draft.head
    with draft.edit(said) as root:
        from registry.tables import edit

        if delete:
            outcome = edit.delete(root, table, where=where)
        else:
            outcome = edit.update(root, table, set=values, where=where)
    after = draft.head
    return Edited(
        ref=f"{asked.dataset}@{asked.at or DRAFT}",
        table=table,
        rows=outcome.updated + outcome.deleted,
        deleted=delete,
        commit=None if after == before else after,
    )


def parsed(assignments: Sequence[str]) -> dict[str, str]:
    """Return ``column=SQL`` pairs as a mapping.

    Raises:
        InvalidInputError: A pair sets nothing, or a column is set twice.

    Examples:
        >>> parsed(["label=['Forest']"])
        {'label': "['Forest']"}
    """
    values: dict[str, str] = {}
    for assignment in assignments:
        column, sign, expression = assignment.partition("=")
        name = column.strip()
        if not (name and sign and expression.strip()):
            raise InvalidInputError(
                f"{assignment!r} sets nothing",
                hint="write COLUMN=SQL, such as \"label=['Forest']\"",
            )
        if name in values:
            raise InvalidInputError(f"'{name}' is set twice", hint="set each column once")
        values[name] = expression.strip()
    return values

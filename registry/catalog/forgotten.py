"""What somebody wants to be forgotten, and what was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from registry.errors import InvalidInputError
from registry.lake.purges import PURGES

__all__ = ["TABLES", "Forgotten", "Wanted"]

TABLES = ("samples", "annotations")
"""Tables whose rows may be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows shall be forgotten; what any of these names goes."""

    table: str = "samples"
    """Table that ``where`` speaks of."""

    where: str = ""
    """SQL condition on a row, as it was in any commit."""

    samples: Sequence[str] = ()
    """Ids of samples."""

    annotator: str | None = None
    """All annotations of this annotator."""

    assets: Sequence[str] = ()
    """Of the samples only these assets; none if they go whole."""

    def __post_init__(self) -> None:
        if self.table not in TABLES:
            raise InvalidInputError(
                f"rows of '{self.table}' cannot be named to be forgotten",
                hint=f"name rows of {' or '.join(TABLES)}; what belongs to them goes with them",
            )
        if not (self.where.strip() or self.samples or self.annotator):
            raise InvalidInputError(
                "nothing was named to be forgotten",
                hint="say which rows: --where \"id = 'a'\", --sample ID or --annotator ID",
            )
        if self.assets and (self.table == "annotations" or self.annotator):
            raise InvalidInputError(
                "assets belong to samples, not to annotations",
                hint="name samples by --sample or --where",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a purge did, or would do."""

    dataset: str
    """The dataset's name."""

    dry_run: bool
    """Whether nothing was changed."""

    rows: Mapping[str, int]
    """Rows that went, by table; a row that was in several data files counts for each."""

    files: int
    """Stored objects that went or became others."""

    commits: int
    """Commits that others stand in for."""

    refs: tuple[str, ...]
    """Branches and tags that moved."""

    contents: Mapping[str, str] = field(default_factory=dict)
    """Content ids of published versions that are others now, new by old."""

    dropped: tuple[str, ...] = ()
    """Branches of pending merges that went; such a merge is begun again."""

    size: int = 0
    """Bytes that were removed."""

    left_on_server: int = 0
    """Objects that a server keeps until its operator collects garbage."""

    finished: int = 0
    """Earlier purges that had been killed and were finished first."""

    record: str | None = None
    """Id of the record on branch ``purges``; None if nothing was changed."""

    def to_text(self) -> str:
        """Return it for people."""
        ended = (
            f"purges that had been cut short and are finished now: {self.finished}\n"
            if self.finished
            else ""
        )
        if not self.commits:
            return f"{ended}no commit of '{self.dataset}' holds such a row; nothing changed"
        verb = "would forget" if self.dry_run else "forgot"
        said = ", ".join(f"{count:,} of {name}" for name, count in self.rows.items()) or "no rows"
        lines = [
            f"{ended}{verb} rows of '{self.dataset}' for good: {said}",
            f"  {self.commits:,} commits told again, {self.files:,} stored objects changed or gone",
            f"  refs that move: {', '.join(self.refs)}",
        ]
        if self.contents:
            lines.append(f"  published versions with another content id: {len(self.contents)}")
        if self.dropped:
            lines.append(f"  pending merges that go: {', '.join(self.dropped)}; merge again")
        if self.left_on_server:
            lines.append(
                f"  {self.left_on_server:,} objects stay on the server's store until its operator "
                "collects garbage"
            )
        if self.record is not None:
            lines.append(f"  recorded on branch '{PURGES}' as {self.record[:12]}")
        return "\n".join(lines)

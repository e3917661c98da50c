"""What an exported file was made from; it travels in the file and is believed only when checked."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

__all__ = ["MARK", "Origin"]

MARK: Final = "eolab"
"""Name of the member that holds an origin, in every format that has named members."""

_LONGEST: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a file was made from."""

    dataset: str
    """The dataset's name."""

    ref: str
    """What was asked for, such as ``ships@anna/fix``."""

    commit: str
    """The commit whose rows it holds."""

    table: str
    """The table."""

    where: str = ""
    """Condition that chose the rows; empty if all of them."""

    samples: str = ""
    """Slice, or sample ids with commas between, that chose the rows; empty if all of them."""

    frame: str = ""
    """``pixel`` if geometries are (column, row) from the upper left corner; else empty."""

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps({MARK: {k: v for k, v in asdict(self).items() if v}}, ensure_ascii=False)

    @property
    def sentence(self) -> str:
        """What it says, for people who find it in a file."""
        chosen = f" where {self.where}" if self.where else ""
        chosen += f" on samples {self.samples[:80]}" if self.samples else ""
        frame = (
            ", in pixels: x is the column and y the row, counted downwards from the upper left"
            if self.frame
            else ""
        )
        return (
            f"Table {self.table} of {self.ref} at commit {self.commit[:12]}{chosen}{frame}. "
            f"Bring edits back with: eolab edit {self.dataset}@BRANCH --from FILE. "
            "Leave the ids as they are; new rows need none."
        )

    @property
    def description(self) -> str:
        """The sentence and the JSON, for formats with nothing but a free text."""
        return f"{self.sentence} {self.to_json()}"

    @classmethod
    def of(cls, said: object) -> "Origin | None":
        """Return the origin that a member states; None if it is none.

        Args:
            said: What a file has under ``eolab``; anything at all.
        """
        if not isinstance(said, Mapping):
            return None
        known = {name: said.get(name, "") for name in cls.__dataclass_fields__}
        texts = {k: v for k, v in known.items() if isinstance(v, str) and len(v) <= _LONGEST}
        needed = ("dataset", "ref", "commit", "table")
        if len(texts) < len(known) or not all(texts[name] for name in needed):
            return None
        return cls(**texts)

    @classmethod
    def in_text(cls, text: object) -> "Origin | None":
        """Return the origin that stands in a free text, after any words; None if none does.

        Examples:
            >>> made = Origin(dataset="ships", ref="ships@v1", commit="ab" * 20, table="samples")
            >>> Origin.in_text(made.description) == made
            True
        """
        if not isinstance(text, str) or len(text) > 2 * _LONGEST:
            return None
        start = text.find(f'{{"{MARK}":')
        if start < 0:
            return None
        try:
            said, _ = json.JSONDecoder().raw_decode(text[start:])
        except (ValueError, RecursionError):
            return None
        return cls.of(said[MARK])

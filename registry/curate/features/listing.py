"""What sets there are, what each needs, and which of them a version has or can have."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.curate.features.catalogue import names, one
from registry.curate.features.definition import FeatureSet
from registry.curate.features.planning import asset_facts, shortly, unmet
from registry.curate.features.records import columns_of, record_at, table_name
from registry.errors import UnavailableError
from registry.tables import store

__all__ = ["Listed", "described", "listed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One set, as a list says it."""

    name: str
    """Its name."""

    version: int | None
    """Its version; None where it cannot be loaded, or no set made the table."""

    features: int
    """How many features it has."""

    needs: str
    """What it has to be given, in words."""

    title: str
    """What it is, or why it cannot be loaded."""

    state: str | None = None
    """Of a version: computed, of another recipe, can be computed, or what is lacking."""

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        return asdict(self)

    def cells(self, *, with_state: bool) -> Sequence[object]:
        """Return the cells of its row."""
        row = [self.name, self.version, self.features or "", self.needs, self.title]
        return [*row, self.state] if with_state else row


def listed(registry: Registry | None = None, ref: str | None = None) -> list[Listed]:
    """Return the sets that there are, by name; of a version, what it has too.

    Args:
        registry: Where the ref is looked up.
        ref: A version; None lists the catalogue alone.
    """
    version = registry.resolve(ref) if registry is not None and ref is not None else None
    facts = asset_facts(version) if version is not None else ()
    own = sorted(set(_computed(version)) - {*names()}) if version is not None else []
    rows = []
    for name in names():
        try:
            made = one(name)
        except UnavailableError as error:
            rows.append(Listed(name=name, version=None, features=0, needs="", title=error.problem))
            continue
        state = None
        if version is not None:
            lacking = unmet(version, made, facts) if store.exists(version.root, "samples") else None
            state = _state(version, made) or lacking or "can be computed"
        rows.append(_row(made, state))
    return [*rows, *(_own_row(version, name) for name in own if version is not None)]


def described(made: FeatureSet) -> dict[str, Any]:
    """Return what a set is, as JSON's own types."""
    return {
        "name": made.name,
        "version": made.version,
        "title": made.title,
        "recipe": made.recipe,
        "needs": asdict(made.needs),
        "parameters": dict(made.parameters),
        "features": list(columns_of(made)),
    }


def _computed(version: Version) -> list[str]:
    return [
        name.removeprefix("features/") for name in version.tables() if name.startswith("features/")
    ]


def _own_row(version: Version, name: str) -> Listed:
    """Return a table of none of the catalogue's sets: of a user's own, or that others made."""
    record = record_at(version.derived, name)
    if record is None:
        table = table_name(name)
        schema = store.schema_of(version.home_of(table), table)
        count = len([one for one in schema.arrow if one.name not in schema.key])
        return Listed(
            name=name, version=None, features=count, needs="", title="made by no feature set",
            state="there",
        )  # fmt: skip
    return Listed(
        name=name, version=record.version, features=len(record.columns), needs="",
        title=record.title, state="computed",
    )  # fmt: skip


def _state(version: Version, made: FeatureSet) -> str | None:
    record = record_at(version.derived, made.name)
    if record is None:
        return None
    failed = f", {record.failed:,} without values" if record.failed else ""
    return "computed" + failed if record.recipe == made.recipe else "computed by another recipe"


def _row(made: FeatureSet, state: str | None) -> Listed:
    needs = made.needs
    words = []
    if needs.arrays:
        bands = f" with {' '.join(needs.bands)}" if needs.bands else ""
        bands += f" with one of {shortly(needs.any_band)}" if needs.any_band else ""
        words.append(f"pixels ({', '.join(needs.roles)}){bands}")
    words += ["annotations"] if needs.annotations else []
    words += [", ".join(needs.columns)] if needs.columns else []
    return Listed(
        name=made.name, version=made.version, features=len(made.features),
        needs="; ".join(words), title=made.title, state=state,
    )  # fmt: skip

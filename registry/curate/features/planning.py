"""Which sets a version can have, and what they look at in it."""

import json
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow.compute as pc

from registry.catalog.card.spec import AssetSpec, Spec
from registry.catalog.ref import Ref
from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.curate.features.bands import RADAR, common_letters
from registry.curate.features.catalogue import names
from registry.curate.features.clear import tells_clear
from registry.curate.features.definition import FeatureSet
from registry.curate.features.roles import role_of
from registry.curate.features.work import AssetFacts, Call, OnError, Work
from registry.errors import ForbiddenError, InvalidInputError, UnavailableError
from registry.tables import store

__all__ = [
    "ALL", "Plan", "UnmetNeedsError", "VersionWithdrawnError", "asset_facts", "computable",
    "plan", "seen_assets", "shortly", "unmet", "work_of",
]  # fmt: skip

ALL: Final = "all"
"""Every set of the catalogue whose needs the version can meet."""

_OPTIONAL: Final = frozenset({"properties"})  # a dataset whose card declares none has none
_BANDS_SHOWN: Final = 4
_PICTURES: Final = frozenset({"JPEG", "PNG"})  # whose three bands are red, green, blue


class UnmetNeedsError(InvalidInputError):
    """A version has nothing of what a feature set needs."""

    code = "feature-needs-unmet"


class VersionWithdrawnError(ForbiddenError):
    """A version was withdrawn, so nothing new is kept beside it."""

    code = "version-withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be computed on one version."""

    version: Version
    """The version, published."""

    calls: tuple[Call, ...]
    """The sets, by name in order."""

    assets: tuple[AssetFacts, ...]
    """All its assets that have pixels, by name in order."""

    left_out: Mapping[str, str] = field(default_factory=dict)
    """Sets that ``all`` means and that the version cannot have, with the reason."""

    implied: frozenset[str] = frozenset()
    """Sets that nobody named: ``all`` means them. Without any value they are left out."""

    @property
    def sets(self) -> tuple[FeatureSet, ...]:
        """The sets, in the order of the calls."""
        return tuple(call.resolve() for call in self.calls)


def plan(registry: Registry, ref: Ref | str, calls: Sequence[Call]) -> Plan:
    """Return what is to be computed on a version.

    Args:
        registry: Where the ref is looked up.
        ref: The version; published, because what is derived from it is kept beside it.
        calls: The sets; one named ``all`` stands for every one that the version can have.

    Returns:
        The plan, and which of all sets the version cannot have.

    Raises:
        InvalidInputError: The ref is no published version, or no set is named.
        UnmetNeedsError: The version has not what a set needs.
        VersionWithdrawnError: It was withdrawn.
    """
    version = computable(registry, ref)
    if not calls:
        raise InvalidInputError("no feature set is named", hint="name one: --set spectral")
    facts = asset_facts(version)
    left_out: dict[str, str] = {}
    chosen: dict[str, Call] = {}
    implied: set[str] = set()
    for call in calls:
        if call.name != ALL or call.definition is not None:
            made = call.resolve()
            if reason := unmet(version, made, facts):
                raise UnmetNeedsError(
                    f"{version.ref} cannot have features '{made.name}': {reason}",
                    hint=_what_helps(version, made, facts),
                )
            if chosen.setdefault(made.name, call) != call:
                raise InvalidInputError(
                    f"two sets are called '{made.name}'", hint="compute them one after the other"
                )
            implied.discard(made.name)
            continue
        for name in names():
            if name not in chosen:
                _take(version, Call(name=name), facts, chosen, left_out)
                implied.add(name)
    if not chosen:
        said = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise UnmetNeedsError(
            f"{version.ref} can have none of the feature sets ({said})",
            hint="say in the card what its assets and bands are",
        )
    ordered = tuple(chosen[name] for name in sorted(chosen))
    return Plan(
        version=version,
        calls=ordered,
        assets=facts,
        left_out=left_out,
        implied=frozenset(implied & {*chosen}),
    )


def _take(
    version: Version,
    call: Call,
    facts: Sequence[AssetFacts],
    chosen: dict[str, Call],
    left_out: dict[str, str],
) -> None:
    try:
        reason = unmet(version, call.resolve(), facts)
    except UnavailableError as error:
        reason = error.problem
    if reason:
        left_out[call.name] = reason
    else:
        chosen[call.name] = call


def computable(registry: Registry, ref: Ref | str) -> Version:
    """Return the version that a ref names, if features can be kept beside it.

    Raises:
        InvalidInputError: It is not published.
        VersionWithdrawnError: It was withdrawn.
    """
    version = registry.resolve(ref)
    if version.tag is None:
        raise InvalidInputError(
            f"{version.ref} is not published, so no features can be kept beside it",
            hint=f"publish it first: eolab publish {version.dataset} -m 'why'",
        )
    if version.tombstone is not None:
        raise VersionWithdrawnError(
            f"{version.dataset}@{version.tag} was withdrawn: {version.tombstone.reason}",
            hint=f"use a version that stands: eolab log {version.dataset}",
        )
    if not store.exists(version.root, "samples"):
        raise InvalidInputError(
            f"{version.ref} has no samples", hint=f"add some: eolab add {version.dataset}"
        )
    return version


def unmet(version: Version, made: FeatureSet, facts: Sequence[AssetFacts]) -> str | None:
    """Return what a version lacks for a set; None if it has something of all that it needs."""
    needs = made.needs
    seen = [one for one in facts if one.role in needs.roles]
    columns = store.schema_of(version.root, "samples").arrow.names
    if lacking := [name for name in needs.columns if name not in {*columns, *_OPTIONAL}]:
        return f"samples have no column {', '.join(lacking)}"
    if needs.arrays and not seen:
        return f"no asset of role {' or '.join(needs.roles)} has pixels in the lake"
    if needs.arrays and not any(set(needs.bands) <= {*one.common} for one in seen):
        return f"no asset has bands {', '.join(needs.bands)}"
    if needs.any_band and not any({*needs.any_band} & {*one.common} for one in seen):
        return f"no asset has a band that is known as {shortly(needs.any_band)}"
    if needs.annotations and not needs.arrays and not version.count("annotations"):
        return "there are no annotations"
    return None


def _what_helps(version: Version, made: FeatureSet, facts: Sequence[AssetFacts]) -> str:
    """Return how a version comes to have what a set needs: mostly by naming bands in the card."""
    wanted = {*made.needs.bands, *made.needs.any_band}
    seen = [one for one in facts if one.role in made.needs.roles]
    unnamed = [one for one in seen if not any(one.common)]
    if not (wanted and unnamed):
        return "see what each set needs: eolab features list"
    named = "bands: [B02, B03, …], unit: reflectance, scale: 0.0001"
    if wanted <= {*RADAR}:
        named = "bands: [VV, VH], unit: dB"
    elif wanted == {"E"}:
        named = "bands: [E], unit: m"  # elevation
    said = f"assets.{unnamed[0].name}={{{named}}}"
    return (
        f"if it has such bands, name all of an asset in order, with unit and scale: eolab card "
        f"{version.dataset} --set {shlex.quote(said)}; then publish, and compute on that version"
    )


def shortly(bands: Sequence[str]) -> str:
    """Return some of many bands' letters, for people."""
    said = ", ".join(bands[:_BANDS_SHOWN])
    return said if len(bands) <= _BANDS_SHOWN else f"{said} …"


def work_of(found: Plan, calls: Sequence[Call], *, samples: str | None, on_error: OnError) -> Work:
    """Return some sets of a plan as work.

    Args:
        found: The plan.
        calls: Which sets of it.
        samples: Parquet file of the samples to do; None is all.
        on_error: What one sample's failure does.
    """
    needs = [call.resolve().needs for call in calls]
    there = store.schema_of(found.version.root, "samples").arrow.names
    roles = {role for one in needs if one.arrays for role in one.roles}
    return Work(
        root=found.version.root,
        calls=tuple(calls),
        samples=samples,
        assets=seen_assets(found.assets, roles),
        columns=tuple(sorted({n for one in needs for n in one.columns if n in there} - {"id"})),
        arrays=bool(roles),
        annotations=any(one.annotations for one in needs),
        on_error=on_error,
    )


# ------------------------------------------------------------------------------------------ assets
def seen_assets(assets: Sequence[AssetFacts], roles: Collection[str]) -> tuple[AssetFacts, ...]:
    """Return the assets whose arrays are read for some roles: masks of clouds are, for data."""
    return tuple(
        one
        for one in assets
        if one.role in roles or ("data" in roles and tells_clear(one.name, one.bands, one.values))
    )


def asset_facts(version: Version) -> tuple[AssetFacts, ...]:
    """Return what is known of each asset that has pixels, by name in order."""
    if not store.exists(version.root, "assets"):
        return ()
    first: dict[str, dict[str, Any]] = {}
    for batch in version.scan("assets", columns=["asset", "pixels", "shape", "tags"]):
        there = batch.filter(pc.is_valid(batch.column("pixels")))
        for name in pc.unique(there.column("asset")).to_pylist():
            if name not in first:
                at = pc.index(there.column("asset"), name).as_py()
                first[name] = there.slice(at, 1).to_pylist()[0]
    return tuple(_facts(version.spec, first[name]) for name in sorted(first))


def _facts(spec: Spec, row: Mapping[str, Any]) -> AssetFacts:
    name, shape = row["asset"], row["shape"]
    said = spec.assets.get(name, AssetSpec())
    count = shape[-3] if len(shape) > 2 else 1  # noqa: PLR2004 — (band, y, x)
    details = [one for one in said.extra.get("band_details", ()) if isinstance(one, Mapping)]
    bands = said.bands or _bands_of_file(row["tags"], count)
    common = common_letters(
        bands,
        asset=name,
        title=said.title,
        gsd=said.gsd,
        count=count,
        picture=_said_of_file(row["tags"]).get("driver") in _PICTURES,
        details=details,
    )
    return AssetFacts(
        name=name,
        role=role_of(spec, name),
        bands=bands,
        common=common,
        unit=said.unit,
        scale=_numbers(bands, details, "scale", said.scale),
        offset=_numbers(bands, details, "offset", said.offset),
        gsd=said.gsd,
        values=dict(said.values),
    )


def _bands_of_file(tags: str | None, count: int) -> tuple[str, ...]:
    said = _said_of_file(tags).get("bands")
    named = tuple(str(one) for one in said if one) if isinstance(said, list) else ()
    return named if len(named) == count and len(set(named)) == count else ()


def _said_of_file(tags: str | None) -> Mapping[str, Any]:
    try:
        said = json.loads(tags or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _numbers(
    bands: Sequence[str], details: Iterable[Mapping[str, Any]], key: str, general: float | None
) -> tuple[float, ...]:
    of_band = {
        str(one.get("name")): float(one[key])
        for one in details
        if isinstance(one.get(key), int | float)
    }
    if not of_band:
        return () if general is None else (float(general),)
    neutral = general if general is not None else float(key == "scale")
    return tuple(of_band.get(band, neutral) for band in bands)

"""Where, when and how many to collect next, so that the samples come to look like the reference."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.bias.evidence import Evidence
from registry.curate.bias.population import Population
from registry.curate.bias.report import BiasReport
from registry.curate.bias.statistics import jensen_shannon
from registry.curate.bias.words import plain
from registry.curate.layers.land import is_land
from registry.curate.layers.moments import SEASONS, seasons_of
from registry.curate.layers.strata import STRATA, Lookup, place_strata
from registry.errors import InvalidInputError

__all__ = ["Allotment", "Plan", "allot", "checked", "suggest"]

Floats = npt.NDArray[np.float64]

MOST: Final = 100_000
"""Greatest number of points a plan has."""

_DRAWN: Final = 200_000  # candidates at a time
_TURNS: Final = 60
_MONTHS: Final = ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12")
_WINDOWS: Final = {
    ("winter", True): "12-01/02-28", ("spring", True): "03-01/05-31",
    ("summer", True): "06-01/08-31", ("autumn", True): "09-01/11-30",
    ("winter", False): "06-01/08-31", ("spring", False): "09-01/11-30",
    ("summer", False): "12-01/02-28", ("autumn", False): "03-01/05-31",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    """How many samples a combination of strata should get."""

    strata: tuple[str, ...]
    """One a dimension of the plan."""

    count: int
    """How many to collect."""

    have: int
    """How many samples are known to be there."""

    share: float
    """Share of the reference, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to collect next; the same report, number and seed give the same plan."""

    ref: str
    """What was measured."""

    against: str
    """Reference that the samples should come to look like."""

    dimensions: tuple[str, ...]
    """By which."""

    seed: int
    """Of the points."""

    divergence: tuple[float, float]
    """Bits from the reference over the combinations, now and once the plan is collected."""

    allotments: tuple[Allotment, ...]
    """Most wanted first."""

    features: tuple[Mapping[str, Any], ...] = field(repr=False)
    """GeoJSON features, one a point."""

    unmet: int = 0
    """How many points found no place on land in their strata."""

    samples: int = 0
    """How many samples there are."""

    unplaced: int = 0
    """How many of them have no place: the plan takes them for nowhere."""

    @property
    def blind(self) -> bool:
        """Whether nobody knows where any sample was collected."""
        return 0 < self.samples == self.unplaced

    def to_geojson(self) -> str:
        """Return the plan as a GeoJSON document (RFC 7946)."""
        document = {
            "type": "FeatureCollection",
            "ref": self.ref,
            "against": self.against,
            "dimensions": self.dimensions,
            "seed": self.seed,
            "features": self.features,
        }
        return json.dumps(document, ensure_ascii=False, indent=1) + "\n"

    def to_text(self) -> str:
        """Return it for people."""
        before, after = self.divergence
        lines = []
        if self.unplaced:
            unknown = f"{self.unplaced:,} of {self.samples:,} samples have no place"
            taken = "nothing" if self.blind else "none of them"
            lines.append(f"{unknown}, so the plan takes {taken} as collected")
        far = f"divergence {before:.2g}, then {after:.2g} (0 is alike, 1 has nothing in common)"
        places = f"{len(self.features):,} places to sample next for {self.ref}"
        lines.append(f"{places}, towards {self.against}" + ("" if self.blind else f"; {far}"))
        for one in self.allotments[:12]:
            named = " & ".join(plain(stratum) for stratum in one.strata)
            now = "unknown" if self.blind else f"{one.have:,}"
            lines.append(f"  {one.count:,} in {named} ({now} now)")
        if (more := len(self.allotments) - 12) > 0:  # lines that fit a screen
            lines.append(f"  and {more:,} more combination{'s' * (more > 1)}")
        if self.unmet:
            lines.append(f"  {self.unmet:,} found no place on land in their strata")
        return "\n".join(lines)


def suggest(
    report: BiasReport,
    population: Population,
    count: int,
    *,
    seed: int = 0,
    layers: Mapping[str, Lookup] = MappingProxyType({}),
) -> Plan:
    """Return where, when and how many to collect next.

    Args:
        report: Of the samples there are.
        population: What they should come to look like; needs strata of place.
        count: How many samples can be collected, in [1, 100000].
        seed: Of the points within strata.
        layers: Further strata that the report was made with.

    Returns:
        The plan. Each point has its strata, ``priority`` (1 is most wanted), a ``reason``, a
        ``season`` and its ``window`` in any year (month and day, UTC).

    Raises:
        InvalidInputError: The count is out of range, or the reference knows no strata of place.
    """
    checked(count)
    evidence = Evidence(counts=report.counts)
    dimensions, have = evidence.joint()
    dimensions = dimensions or report.recipe.joint
    strange = [
        name for name in dimensions
        if name not in layers and (name not in STRATA or STRATA[name].kind != "place")
    ]  # fmt: skip
    if strange or not dimensions:
        raise InvalidInputError(
            f"{population.words} knows no strata of place alone: {', '.join(strange) or 'none'}",
            hint="suggest against land, or a table with lon, lat and weight",
        )
    shares = population.joint(dimensions)
    allotments = allot(have, shares, count)
    now = np.array([have.get(key, 0) for key in shares], np.float64)
    given = {one.strata: one.count for one in allotments}
    then = now + [given.get(key, 0) for key in shares]
    wanted = np.array(list(shares.values()))
    before = jensen_shannon(now, wanted) if now.sum() else 1.0
    points, unmet = _points(allotments, dimensions, seed, layers)
    seasons = _seasons(evidence, [lat for _, _, lat in points])
    facts = evidence.facts
    blind = 0 < facts["samples"] == facts["unplaced"]
    features = tuple(_features(points, allotments, dimensions, seasons, population, blind=blind))
    return Plan(
        ref=report.ref,
        against=population.words,
        dimensions=dimensions,
        seed=seed,
        divergence=(before, jensen_shannon(then, wanted)),
        allotments=tuple(allotments),
        features=features,
        unmet=unmet,
        samples=facts["samples"],
        unplaced=facts["unplaced"],
    )


def checked(count: int) -> None:
    """Refuse to plan for no samples or too many; costs nothing, so it comes before counting.

    Args:
        count: How many samples can be collected.

    Raises:
        InvalidInputError: It is outside [1, 100000].
    """
    if not 1 <= count <= MOST:
        most = f"at most {MOST:,}: -n {MOST}"
        raise InvalidInputError(
            f"{count} samples are outside [1, {MOST}]",
            hint=f"ask for {'at least one: -n 200' if count < 1 else most}",
        )


def allot(
    have: Mapping[tuple[str, ...], int], shares: Mapping[tuple[str, ...], float], count: int
) -> list[Allotment]:
    """Return how many samples each combination of strata should get.

    Samples fill the combinations like water: up to one level of samples per share. That leaves
    the least divergence that so many samples can reach, by every f-divergence (Jensen-Shannon,
    Pearson, Kullback-Leibler): for each, the marginal gain depends on that level alone. Whole
    samples are given by the largest remainders.

    Args:
        have: How many samples each combination has.
        shares: Share of the reference of each, above 0, one in all.
        count: How many there are to give, 1 or more.

    Returns:
        Combinations that get any, most wanted first.

    References:
        Hamilton's method of largest remainders: Balinski and Young (1982), Fair Representation.

    Examples:
        >>> given = allot({("a",): 8}, {("a",): 0.5, ("b",): 0.25, ("c",): 0.25}, 8)
        >>> [(one.strata, one.count) for one in given]
        [(('b',), 4), (('c',), 4)]
    """
    keys = list(shares)
    share = np.array([shares[key] for key in keys])
    held = np.array([have.get(key, 0) for key in keys], np.float64)
    order = np.argsort(held / share, kind="stable")
    # The level at which the first m combinations hold all: the largest m whose members are below.
    levels = (count + held[order].cumsum()) / share[order].cumsum()
    full = held[order] / share[order]
    level = float(levels[np.flatnonzero(full <= levels)[-1]])
    wanted = np.maximum(0.0, level * share - held)
    wanted *= count / wanted.sum()
    given = np.floor(wanted).astype(np.int64)
    rest = np.argsort(-(wanted - given), kind="stable")[: count - int(given.sum())]
    given[rest] += 1
    found = [
        Allotment(strata=key, count=int(given[i]), have=int(held[i]), share=float(share[i]))
        for i, key in enumerate(keys)
        if given[i]
    ]
    return sorted(found, key=lambda one: (-one.count, one.strata))


def _points(
    allotments: Sequence[Allotment],
    dimensions: Sequence[str],
    seed: int,
    layers: Mapping[str, Lookup],
) -> tuple[list[tuple[int, float, float]], int]:
    """Return points on land (place of the allotment, lon, lat), and how many are missing."""
    generator = np.random.default_rng(seed)
    place_of = {one.strata: place for place, one in enumerate(allotments)}
    missing = np.array([one.count for one in allotments], np.int64)
    found: list[tuple[int, float, float]] = []
    for _ in range(_TURNS):
        if not missing.any():
            break
        lon = generator.uniform(-180, 180, _DRAWN)
        lat = np.degrees(np.arcsin(generator.uniform(-1, 1, _DRAWN)))
        ashore = is_land(lon, lat) == 1
        lon, lat = lon[ashore].round(5), lat[ashore].round(5)
        columns = place_strata(lon, lat, dimensions, layers=layers).values()
        keys = zip(*(column.to_pylist() for column in columns), strict=True)
        places = np.array([place_of.get(key, -1) for key in keys], np.int64)
        for place in np.flatnonzero(missing):
            rows = np.flatnonzero(places == place)[: missing[place]]
            missing[place] -= len(rows)
            found += [(int(place), float(lon[row]), float(lat[row])) for row in rows]
    return sorted(found, key=lambda one: one[0]), int(missing.sum())


def _seasons(evidence: Evidence, latitudes: Sequence[float]) -> list[str]:
    """Return a season for each point: those that the samples lack come first."""
    names = SEASONS[:4]
    days, counts = evidence.days()
    held = evidence.strata("season")
    have: dict[tuple[str, ...], int] = {(name,): held.get(name, 0) for name in names}
    if not any(have.values()) and len(days):  # samples without a place have months alone
        month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1
        season = seasons_of(month, np.full(len(month), 45.0))
        have = {(name,): int(counts[season == place].sum()) for place, name in enumerate(names)}
    if not latitudes:
        return []
    given = {
        one.strata[0]: one.count for one in allot(have, dict.fromkeys(have, 0.25), len(latitudes))
    }
    # In turn, so that each combination of strata gets of each season.
    listed: list[str] = []
    left = dict(given)
    while len(listed) < len(latitudes):
        for name in names:
            if left.get(name, 0):
                left[name] -= 1
                listed.append(name)
    return listed


def _features(
    points: Sequence[tuple[int, float, float]],
    allotments: Sequence[Allotment],
    dimensions: Sequence[str],
    seasons: Sequence[str],
    population: Population,
    *,
    blind: bool,
) -> Iterator[dict[str, Any]]:
    for number, ((place, lon, lat), season) in enumerate(zip(points, seasons, strict=True), 1):
        one = allotments[place]
        named = " & ".join(plain(stratum) for stratum in one.strata)
        yield {
            "type": "Feature",
            "id": number,
            "geometry": {"type": "Point", "coordinates": [lon, lat]},
            "properties": {
                **dict(zip(dimensions, one.strata, strict=True)),
                "priority": place + 1,
                "count": one.count,
                "have": None if blind else one.have,
                "season": season,
                "window": _WINDOWS[season, lat >= 0],
                "reason": (
                    f"{named} is {100 * one.share:.2g} % of {population.name} and has "
                    f"{'an unknown number of' if blind else f'{one.have:,}'} samples; "
                    f"collect {one.count:,}"
                ),
            },
        }

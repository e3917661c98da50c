"""What a dataset promises, as its README's front matter says it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from registry.catalog.card import front as front_matter
from registry.catalog.card.licence import spdx
from registry.catalog.card.reading import Reader, slug
from registry.errors import InvalidInputError
from registry.lake.names import check_repository

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AssetSpec", "DatasetType", "Provider", "Spec", "Task"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class DatasetType(StrEnum):
    """What a dataset is for."""

    TRAINING = "training"
    VALIDATION = "validation"
    TEST = "test"
    BENCHMARK = "benchmark"
    REFERENCE = "reference"


class Task(StrEnum):
    """What is learnt from it."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"
    SEGMENTATION = "segmentation"
    REGRESSION = "regression"
    CHANGE = "change"
    THREE_D = "3d"
    SELF_SUPERVISED = "self-supervised"


_HUGGING_FACE_TASKS = {
    "image-classification": Task.CLASSIFICATION,
    "zero-shot-image-classification": Task.CLASSIFICATION,
    "object-detection": Task.DETECTION,
    "image-segmentation": Task.SEGMENTATION,
    "mask-generation": Task.SEGMENTATION,
    "depth-estimation": Task.REGRESSION,
    "tabular-regression": Task.REGRESSION,
    "image-feature-extraction": Task.SELF_SUPERVISED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who made the data, hosts them or licensed them."""

    name: str
    """The organisation or person."""

    roles: tuple[str, ...] = ()
    """As STAC has them: ``licensor``, ``producer``, ``processor``, ``host``."""

    url: str | None = None
    """Where more is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSpec:
    """What one asset of every sample holds."""

    title: str | None = None
    """For people: ``Sentinel-2 L2A``."""

    role: str | None = None
    """``data``, ``labels`` or another STAC asset role."""

    bands: tuple[str, ...] = ()
    """Names in the order of the array's bands; empty if unknown."""

    unit: str | None = None
    """Physical unit after scale and offset, such as ``reflectance``, ``m``, ``dB``."""

    scale: float | None = None
    """Factor from stored to physical values; None is 1."""

    offset: float | None = None
    """Added after scaling; None is 0."""

    gsd: float | None = None
    """Ground sampling distance in metres, above 0."""

    values: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """For a mask: which class each pixel value is."""

    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Keys that the lab does not know, kept as they were."""

    def __post_init__(self) -> None:
        if self.gsd is not None and not self.gsd > 0:
            raise InvalidInputError(
                f"a ground sampling distance of {self.gsd} m", hint="give metres above 0"
            )
        if len(set(self.bands)) != len(self.bands):
            twice = sorted({band for band in self.bands if self.bands.count(band) > 1})
            raise InvalidInputError(
                f"bands {', '.join(twice)} are named twice", hint="give each band its own name"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    r"""What a dataset promises.

    Examples:
        >>> card = Spec.from_readme("---\nname: ships\nlicense: cc-by-4.0\n---\nBoats.\n")
        >>> card.name, card.spdx, card.description
        ('ships', 'CC-BY-4.0', 'Boats.')
    """

    name: str
    """The dataset's name in the lake."""

    title: str | None = None
    """For people."""

    type: DatasetType = DatasetType.TRAINING
    """What the dataset is for."""

    task: Task | None = None
    """What is learnt from it; None where nobody said."""

    authors: tuple[str, ...] = ()
    """Who is to be cited, in their order."""

    licence: str | None = None
    """Of the data, as the provider says it; see :attr:`spdx`."""

    providers: tuple[Provider, ...] = ()
    """Who made or hosts the data."""

    source: str | None = None
    """Address the data came from."""

    thumbnail: str | None = None
    """Address or path of a picture."""

    tags: tuple[str, ...] = ()
    """Keywords."""

    classes: tuple[str, ...] = ()
    """Class names in their order; empty if the dataset has none or nobody said."""

    assets: Mapping[str, AssetSpec] = field(default_factory=lambda: _NOTHING)
    """What each asset of a sample holds, by the asset's name."""

    properties: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Further typed columns of ``samples.properties``: name to type, such as ``double``."""

    target_unit: str | None = None
    """Unit of ``samples.target``."""

    before: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    """Checks that must find nothing before ``merge`` and before ``publish``, by name."""

    declared: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """What the user stated at ingest because the data do not say it: ``time``, ``crs``, …"""

    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Front matter that the lab does not know, kept as it was."""

    body: str = ""
    """The prose after the front matter, as Markdown."""

    text: str | None = field(default=None, compare=False, repr=False)
    """The README it was read from; given back as it was while nothing changes."""

    def __post_init__(self) -> None:
        check_repository(self.name)
        if len(set(self.classes)) != len(self.classes):
            twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
            raise InvalidInputError(
                f"classes {', '.join(twice)} are named twice", hint="give each class once"
            )

    @property
    def spdx(self) -> str | None:
        """SPDX identifier of the licence; None if it has none or is not known."""
        return spdx(self.licence)

    @property
    def description(self) -> str:
        """The first paragraph of prose that is no heading, on one line; may be empty."""
        for paragraph in re.split(r"\n\s*\n", self.body.replace("\r\n", "\n")):
            lines = [line for line in paragraph.splitlines() if not line.lstrip().startswith("#")]
            said = " ".join(" ".join(lines).split())
            if said:
                return said
        return ""

    @classmethod
    def from_readme(cls, text: str, *, name: str | None = None) -> "Spec":
        """Return what a README promises.

        EOTDL's keys (``name authors license source thumbnail``) and Hugging Face's
        (``pretty_name tags task_categories license``, …) are understood, others are kept.

        Args:
            text: The whole README.
            name: The dataset's name in the lake, where it is known; wins over the card's.

        Raises:
            InvalidInputError: The front matter is no YAML, a value has the wrong type, or there
                is no name.
        """
        values, body = front_matter.split(text)
        read = Reader(values=values, where="README.md")
        said = read.text("name")
        title = read.text("title", "pretty_name")
        if name is None:
            if said is None:
                raise InvalidInputError(
                    "the front matter of README.md has no name", hint="add a line 'name: …'"
                )
            name = slug(said)
        return cls(
            name=name,
            title=title or (said if said != name else None),
            type=read.choice(DatasetType, "type") or DatasetType.TRAINING,
            task=read.choice(Task, "task") or _task_of(values.get("task_categories")),
            authors=read.names("authors", "author"),
            licence=_licence(read, values),
            providers=tuple(map(_provider, read.items("providers", "provider"))),
            source=read.address("source"),
            thumbnail=read.address("thumbnail"),
            tags=read.names("tags"),
            classes=read.names("classes"),
            assets={key: _asset(key, value) for key, value in read.mapping("assets").items()},
            properties=read.texts("properties"),
            target_unit=read.text("target_unit"),
            before=_before(read.mapping("before")),
            declared=read.texts("declared"),
            extra=read.rest(),
            body=body,
            text=text,
        )

    def to_readme(self) -> str:
        """Return the README; the one it was read from, byte for byte, if nothing has changed."""
        if self.text is not None and Spec.from_readme(self.text, name=self.name) == self:
            return self.text
        front: dict[str, object] = {
            "name": self.name,
            "pretty_name": self.title,
            "type": str(self.type),
            "task": self.task and str(self.task),
            "authors": list(self.authors),
            "license": self.licence,
            "providers": [_plain(provider) for provider in self.providers],
            "source": self.source,
            "thumbnail": self.thumbnail,
            "tags": list(self.tags),
            "classes": list(self.classes),
            "assets": {name: _plain(asset) for name, asset in self.assets.items()},
            "properties": dict(self.properties),
            "target_unit": self.target_unit,
            "before": {name: list(checks) for name, checks in self.before.items()},
            "declared": dict(self.declared),
        }
        front = {key: value for key, value in front.items() if value not in (None, [], {})}
        return front_matter.join(front | dict(self.extra), self.body)

    def properties_type(self) -> "pa.StructType | None":
        """Return the Arrow type of ``samples.properties``; None if the dataset has none.

        Raises:
            InvalidInputError: A column's type is not known.
        """
        from registry.catalog.card.columns import column_type

        if not self.properties:
            return None
        import pyarrow as pa

        return pa.struct([
            pa.field(name, column_type(said, column=name)) for name, said in self.properties.items()
        ])


def _before(said: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    if unknown := sorted(set(said) - {"merge", "publish"}):
        raise InvalidInputError(
            f"'before' in README.md names '{unknown[0]}'",
            hint="name checks before 'merge' and before 'publish', such as "
            "'before: {publish: [exact-duplicates]}'",
        )
    read = Reader(values=said, where="README.md: before")
    return {operation: read.names(operation) for operation in said}


def _task_of(categories: object) -> Task | None:
    said = categories if isinstance(categories, list) else [categories]
    known = [_HUGGING_FACE_TASKS[name] for name in said if name in _HUGGING_FACE_TASKS]
    return known[0] if known else None


def _licence(read: Reader, values: Mapping[str, object]) -> str | None:
    said = ", ".join(read.names("licence", "license"))
    if said.lower() == "other" and isinstance(values.get("license_name"), str):
        return str(values["license_name"])
    return None if said.lower() in {"", "unknown", "other"} else said


def _provider(value: object) -> Provider:
    if not isinstance(value, Mapping):
        return Provider(name=str(value))
    read = Reader(values=value, where="README.md: provider")
    name = read.text("name")
    if name is None:
        raise InvalidInputError(
            "a provider in README.md has no name", hint="write 'providers: [{name: …}]'"
        )
    return Provider(name=name, roles=read.names("roles"), url=read.text("url"))


def _asset(name: str, value: object) -> AssetSpec:
    if not isinstance(value, Mapping):
        raise InvalidInputError(
            f"asset '{name}' in README.md is {value!r}",
            hint="write a mapping, such as '{bands: [B02, B03], gsd: 10}'",
        )
    read = Reader(values=value, where=f"README.md: asset '{name}'")
    bands = read.items("bands")
    names = tuple(str(b.get("name", "")) if isinstance(b, Mapping) else str(b) for b in bands)
    details = [dict(band) for band in bands if isinstance(band, Mapping) and len(band) > 1]
    return AssetSpec(
        title=read.text("title"),
        role=read.text("role"),
        bands=names,
        unit=read.text("unit"),
        scale=read.number("scale"),
        offset=read.number("offset"),
        gsd=read.number("gsd"),
        values=read.values_of("values"),
        extra=read.rest() | ({"band_details": details} if details else {}),
    )


def _plain(noun: Provider | AssetSpec) -> dict[str, object]:
    plain: dict[str, object] = {}
    for key in noun.__slots__:
        value = getattr(noun, key)
        if key != "extra" and value not in (None, (), {}):
            is_list, is_mapping = isinstance(value, tuple), isinstance(value, Mapping)
            plain[key] = list(value) if is_list else dict(value) if is_mapping else value
    return plain | dict(noun.extra if isinstance(noun, AssetSpec) else {})

"""What a source says about itself becomes the dataset's card, or joins the card it has."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog import AssetSpec, Provider, Spec
from registry.catalog.card.columns import column_type_text
from registry.catalog.card.spec import Task
from registry.curate.formats.contract import Plan, SourceOptions
from registry.curate.formats.roles import is_mask_word
from registry.curate.ingest.matching import bands_of
from registry.errors import InvalidInputError

__all__ = ["heeding", "joined", "spec_of", "with_card"]

_IMAGE: Final = "image"
_MASK: Final = "mask"


def heeding(options: SourceOptions, card: Spec | None) -> SourceOptions:
    """Return what a format's reader is told: the user's words, then those of the source's card."""
    if card is None:
        return options
    task = str(card.task) if card.task else None
    return replace(options, task=options.task or task, classes=options.classes or card.classes)


def with_card(plan: Plan, card: Spec | None) -> Plan:
    """Return a plan whose samples and assets are what the source's card says of them.

    Args:
        plan: What was made of the source.
        card: What its README promises; None if it has none.

    Returns:
        The plan with the card's licence and provider, and with its name for the one image or the
        one mask whose name says no more than that.
    """
    if card is None:
        return plan
    provider = card.providers[0].name if len(card.providers) == 1 else None
    stated = {"licence": card.licence, "provider": provider}
    known = {what: said for what, said in stated.items() if said}
    plan = replace(plan, card={**plan.card, **known})
    names = _names(plan.assets["asset"].unique().to_pylist(), card)
    return _renamed(plan, names) if names else plan


def _names(found: list[str], card: Spec) -> dict[str, str]:
    """Return the card's name of each nameless asset, where there is one it must mean."""
    names = {}
    for plain, masks in ((_IMAGE, False), (_MASK, True)):
        missing = [name for name in card.assets if name not in found]
        meant = [name for name in missing if _is_mask(name, card.assets[name]) is masks]
        if plain in found and plain not in card.assets and len(meant) == 1:
            names[plain] = meant[0]
    return names


def _is_mask(name: str, spec: AssetSpec) -> bool:
    return spec.role.startswith("label") if spec.role else is_mask_word(name)


def _renamed(plan: Plan, names: Mapping[str, str]) -> Plan:
    assets = [names.get(name, name) for name in plan.assets["asset"].to_pylist()]
    place = plan.assets.column_names.index("asset")
    return replace(
        plan,
        assets=plan.assets.set_column(place, plan.assets.schema.field(place), [assets]),
        specs={names.get(name, name): spec for name, spec in plan.specs.items()},
        findings=tuple(
            replace(each, asset=names.get(each.asset, each.asset)) if each.asset else each
            for each in plan.findings
        ),
    )


def spec_of(
    name: str,
    plan: Plan,
    options: SourceOptions,
    rasters: pa.Table,
    *,
    card: Spec | None = None,
) -> Spec:
    """Return the card that a source makes for a dataset.

    Args:
        name: The dataset's name.
        plan: What was made of the source.
        options: What the user declared; recorded as declared.
        rasters: Rows of ``RASTERS`` of the plan's files, for names of bands.
        card: What the source's README promises; the user and the files themselves know better.

    Raises:
        InvalidInputError: The task is none that there is, or declared bands fit no asset.
    """
    card = card or Spec(name=name)
    said = plan.card
    stated = tuple(Provider(name=each) for each in _texts(said.get("providers")))
    found = _assets(plan, options, rasters)
    return replace(
        card,
        title=card.title or _text(said.get("title")),
        task=_task(plan.task) or card.task,
        authors=card.authors or tuple(_texts(said.get("authors"))),
        licence=options.licence or card.licence or _text(said.get("licence")),
        providers=_providers(options, card) or stated,
        source=card.source or _text(said.get("source")),
        classes=tuple(dict.fromkeys(options.classes or card.classes or plan.classes)),
        assets={**card.assets, **{
            name: _filled(spec, card.assets.get(name)) for name, spec in found.items()
        }},
        properties=_properties(plan),
        declared={**card.declared, **_declared(options)},
        body=card.body or _text(said.get("description")) or "",
    )  # fmt: skip


def _providers(options: SourceOptions, card: Spec) -> tuple[Provider, ...]:
    if options.provider is None:
        return card.providers
    named = tuple(each for each in card.providers if each.name == options.provider)
    return named or (Provider(name=options.provider),)


def joined(card: Spec, said: Spec) -> Spec:
    """Return a dataset's card with what a further source adds; what is there stays."""
    return replace(
        card,
        title=card.title or said.title,
        task=card.task or said.task,
        licence=card.licence or said.licence,
        providers=_union(card.providers, said.providers),
        authors=_union(card.authors, said.authors),
        source=card.source or said.source,
        thumbnail=card.thumbnail or said.thumbnail,
        tags=_union(card.tags, said.tags),
        target_unit=card.target_unit or said.target_unit,
        classes=_union(card.classes, said.classes),
        assets={**said.assets, **{
            name: _filled(spec, said.assets.get(name)) for name, spec in card.assets.items()
        }},
        properties={**said.properties, **card.properties},
        declared={**said.declared, **card.declared},
        extra={**said.extra, **card.extra},
        body=card.body or said.body,
    )  # fmt: skip


def _filled(spec: AssetSpec, said: AssetSpec | None) -> AssetSpec:
    if said is None:
        return spec
    return replace(
        spec,
        title=spec.title or said.title,
        bands=spec.bands or said.bands,
        unit=spec.unit or said.unit,
        scale=said.scale if spec.scale is None else spec.scale,
        offset=said.offset if spec.offset is None else spec.offset,
        role=spec.role or said.role,
        gsd=spec.gsd or said.gsd,
        values=spec.values or said.values,
        extra={**said.extra, **spec.extra},
    )


def _union(ours: Iterable[Any], theirs: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*ours, *theirs)))


def _task(name: str | None) -> Task | None:
    if name is None:
        return None
    try:
        return Task(name)
    except ValueError as error:
        raise InvalidInputError(
            f"there is no task {name!r}", hint=f"use one of {', '.join(Task)}"
        ) from error


def _assets(plan: Plan, options: SourceOptions, rasters: pa.Table) -> Mapping[str, AssetSpec]:
    """Return what is the same in all files of each asset; the source's own word counts first.

    Raises:
        InvalidInputError: Declared bands fit no asset.
    """
    places = pc.index_in(plan.assets["file"], value_set=rasters["file"].combine_chunks())
    said = pa.table({
        "asset": plan.assets["asset"],
        "said": rasters["said"].take(places),
        "bands": bands_of(rasters["shape"]).take(places),
    })  # fmt: skip
    kinds = said.group_by(["asset", "said", "bands"]).aggregate([]).to_pylist()
    found: dict[str, AssetSpec] = {}
    for asset in sorted({kind["asset"] for kind in kinds}):
        own = [kind for kind in kinds if kind["asset"] == asset and kind["said"] is not None]
        spec = _read(own, options.bands)
        found[asset] = _filled(plan.specs[asset], spec) if asset in plan.specs else spec
    if options.bands and kinds and all(spec.bands != options.bands for spec in found.values()):
        counts = {kind["asset"]: kind["bands"] for kind in kinds if kind["bands"] is not None}
        shown = ", ".join(f"{asset} has {count}" for asset, count in sorted(counts.items()))
        raise InvalidInputError(
            f"{len(options.bands)} bands are declared, but {shown}, or its files name their own",
            hint="give one name a band, or leave --bands out",
        )
    return found


def _read(kinds: list[dict[str, Any]], declared: tuple[str, ...]) -> AssetSpec:
    headers = [json.loads(kind["said"]) for kind in kinds]
    bands = _same(headers, "bands")
    if not bands and declared and all(kind["bands"] == len(declared) for kind in kinds):
        bands = list(declared)
    if not all(bands) or len(set(bands)) != len(bands):
        bands = []
    scales, offsets, units = (set(_same(headers, key)) for key in ("scales", "offsets", "units"))
    return AssetSpec(
        bands=tuple(bands),
        unit=units.pop() or None if len(units) == 1 else None,
        scale=scales.pop() if len(scales) == 1 else None,
        offset=offsets.pop() if len(offsets) == 1 else None,
    )


def _same(headers: list[dict[str, Any]], key: str) -> list[Any]:
    values = {tuple(header.get(key, ())) for header in headers}
    return list(values.pop()) if len(values) == 1 else []


def _properties(plan: Plan) -> Mapping[str, str]:
    if "properties" not in plan.samples.column_names:
        return {}
    kind = plan.samples.schema.field("properties").type
    return {field.name: column_type_text(field.type) for field in kind}


def _declared(options: SourceOptions) -> Mapping[str, str]:
    said = {
        "bands": ", ".join(options.bands),
        "crs": options.crs,
        "licence": options.licence,
        "provider": options.provider,
        "time": None if options.time is None else str(options.time),
    }
    return {name: value for name, value in said.items() if value}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [text for each in values if (text := _text(each)) is not None]

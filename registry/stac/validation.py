"""STAC objects judged against the schemas at hand; nothing is fetched."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from registry.errors import InvalidInputError

__all__ = ["EXTENSIONS", "STAC_VERSION", "register_schemas", "validate"]

STAC_VERSION: Final = "1.1.0"
"""The version of STAC that is written."""

_VERSIONS: Final = {
    "eo": "2.0.0",
    "file": "2.1.0",
    "label": "1.0.1",
    "ml-aoi": "0.2.0",
    "projection": "2.0.0",
    "raster": "2.0.0",
    "scientific": "1.0.0",
    "version": "1.2.0",
}

EXTENSIONS: Final[Mapping[str, str]] = {
    name: f"https://stac-extensions.github.io/{name}/v{version}/schema.json"
    for name, version in _VERSIONS.items()
}
"""Extensions that are written and can be checked: name to the address that names its schema."""


def validate(document: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a STAC object; an empty list if nothing is.

    Objects of STAC 1.0 are migrated first. An extension whose schema is not at hand is a
    problem that says so: it was not looked at.

    Args:
        document: A decoded item, collection or catalog.

    Returns:
        One line a problem, with the place in the document.

    Raises:
        InvalidInputError: It is no STAC object at all.

    References:
        STAC 1.1.0, https://github.com/radiantearth/stac-spec/tree/v1.1.0.

    Examples:
        >>> validate({"type": "Catalog", "stac_version": "1.1.0", "id": "a", "links": []})
        ["catalog 'a': 'description' is a required property"]
    """
    import pystac

    kind = _kind(document)
    whole = dict(document)
    if whole.get("stac_version") != STAC_VERSION:
        try:
            whole = pystac.read_dict(whole).to_dict(include_self_link=False, transform_hrefs=False)
        except (pystac.STACError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                f"{kind} {document.get('id')!r} cannot be read as STAC: {error}",
                hint="check its stac_version and its required fields",
            ) from error
    extensions = list(whole.get("stac_extensions") or [])
    known = [url for url in extensions if url in EXTENSIONS.values()]
    problems = [
        f"{kind} {whole.get('id')!r}: the schema {url} is not at hand; it was not looked at"
        for url in extensions
        if url not in known
    ]
    return problems + [f"{kind} {whole.get('id')!r}: {found}" for found in _judged(whole, known)]


def register_schemas() -> None:
    """Make pystac's own ``validate()`` know the extensions without fetching their schemas."""
    from pystac.validation import RegisteredValidator

    RegisteredValidator.set_validator(_validator())


def _kind(document: Mapping[str, Any]) -> str:
    kinds = {"Feature": "item", "Collection": "collection", "Catalog": "catalog"}
    said = document.get("type")
    if said not in kinds:
        raise InvalidInputError(
            f"an object of type {said!r} is no STAC item, collection or catalog",
            hint="pass one decoded object; check an item collection item by item",
        )
    return kinds[said]


def _judged(document: Mapping[str, Any], extensions: list[str]) -> list[str]:
    from pystac import STACObjectType
    from pystac.errors import STACValidationError

    kinds = {
        "Feature": STACObjectType.ITEM,
        "Collection": STACObjectType.COLLECTION,
        "Catalog": STACObjectType.CATALOG,
    }
    plain = json.loads(json.dumps(document))
    kind, validator = kinds[plain["type"]], _validator()
    problems: list[str] = []
    try:
        validator.validate_core(plain, kind, STAC_VERSION)
    except STACValidationError as error:
        problems += _lines(error)
    for extension in extensions:
        try:
            validator.validate_extension(plain, kind, STAC_VERSION, extension)
        except STACValidationError as error:
            problems += _lines(error)
    return problems


def _lines(error: Any) -> list[str]:  # noqa: ANN401 — pystac's error carries jsonschema's
    return [line for found in error.source or [] for line in _leaves(found)] or [str(error)]


def _leaves(error: Any) -> list[str]:  # noqa: ANN401 — jsonschema's error, untyped
    """Return the innermost complaints of the branch that fits best."""
    from jsonschema.exceptions import best_match

    inner = best_match(error.context) if error.context else None
    if inner is not None:
        return _leaves(inner)
    place = "/".join(map(str, error.absolute_path))
    return [f"{place}: {error.message[:300]}" if place else error.message[:300]]


@cache
def _validator() -> Any:  # noqa: ANN401 — pystac exports the class untyped when jsonschema lacks
    import logging

    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    logging.getLogger("pystac.validation.stac_validator").setLevel(logging.CRITICAL)
    validator = JsonSchemaSTACValidator()
    for name, url in EXTENSIONS.items():
        text = (files("registry.stac") / "schemas" / f"{name}-{_VERSIONS[name]}.json").read_text()
        validator.schema_cache[url] = json.loads(text)
    return validator

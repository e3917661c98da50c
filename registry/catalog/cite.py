"""How a version is cited.

References:
    BibTeX (Patashnik, 1988); DataCite Metadata Schema 4.5 (2024), as JSON; Citation File
    Format 1.2.0 (Druskat et al., 2021), https://doi.org/10.5281/zenodo.5171937.
"""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import yaml

from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["STYLES", "cite"]

_BIBTEX_SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " ",
})  # fmt: skip


def cite(version: "Version", style: str = "bibtex") -> str:
    """Return how to cite a version, with the content id that proves which bytes are meant.

    Args:
        version: What is cited.
        style: ``bibtex``, ``datacite`` (JSON) or ``cff`` (YAML).

    Raises:
        InvalidInputError: There is no such style.
    """
    if style not in STYLES:
        raise InvalidInputError(
            f"there is no citation style {style!r}", hint=f"use one of {', '.join(STYLES)}"
        )
    return STYLES[style](version)


def _bibtex(version: "Version") -> str:
    spec = version.spec
    note = f"content id sha256:{version.content_id}"
    if version.tombstone is not None:
        note += f"; withdrawn: {version.tombstone.reason}"
    fields = {
        "author": " and ".join(f"{{{_escaped(name)}}}" for name in _authors(version)),
        "title": f"{{{_escaped(_title(version))}}}",
        "year": str(version.commit.at.year),
        "version": _escaped(version.label),
        "publisher": _escaped(_publisher(version)),
        "url": spec.source or "",
        "note": _escaped(note),
    }
    if spec.licence:
        fields["license"] = _escaped(spec.spdx or spec.licence)
    key = re.sub(r"[^a-z0-9]+", "-", f"{version.dataset}-{version.label}".lower())
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@dataset{{{key},", *lines, "}", ""])


def _datacite(version: "Version") -> str:
    spec = version.spec
    record: dict[str, object] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "training data"},
        "titles": [{"title": _title(version)}],
        "creators": [{"name": name} for name in _authors(version)],
        "publisher": {"name": _publisher(version)},
        "publicationYear": str(version.commit.at.year),
        "dates": [{"date": version.commit.at.date().isoformat(), "dateType": "Issued"}],
        "version": version.label,
        "alternateIdentifiers": [
            {
                "alternateIdentifier": f"sha256:{version.content_id}",
                "alternateIdentifierType": "content id",
            },
            {"alternateIdentifier": version.commit.id, "alternateIdentifierType": "commit"},
        ],
    }
    if spec.licence:
        rights = {"rights": spec.licence}
        if spec.spdx:
            rights |= {
                "rightsIdentifier": spec.spdx,
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        record["rightsList"] = [rights]
    if spec.description:
        record["descriptions"] = [{"description": spec.description, "descriptionType": "Abstract"}]
    if spec.tags:
        record["subjects"] = [{"subject": tag} for tag in spec.tags]
    if spec.source:
        record["relatedIdentifiers"] = [
            {
                "relatedIdentifier": spec.source,
                "relatedIdentifierType": "URL",
                "relationType": "IsDerivedFrom",
            }
        ]
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _cff(version: "Version") -> str:
    spec = version.spec
    record: dict[str, object] = {
        "cff-version": "1.2.0",
        "message": "If you use these data, please cite them as below.",
        "type": "dataset",
        "title": _title(version),
        "authors": [{"name": name} for name in _authors(version)],
        "version": version.label,
        "date-released": version.commit.at.date().isoformat(),
        "commit": version.commit.id,
        "identifiers": [
            {
                "type": "other",
                "value": f"sha256:{version.content_id}",
                "description": "content id of exactly these bytes",
            }
        ],
    }
    optional = {
        "abstract": spec.description,
        "keywords": list(spec.tags),
        "license": spec.spdx,
        "url": spec.source if re.match(r"https?://", spec.source or "") else None,
    }
    record |= {key: value for key, value in optional.items() if value}
    text: str = yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=100)
    return text


STYLES: dict[str, Callable[["Version"], str]] = {
    "bibtex": _bibtex,
    "datacite": _datacite,
    "cff": _cff,
}
"""How each style is written, by its name."""


def _escaped(text: str) -> str:
    return text.translate(_BIBTEX_SPECIAL)


def _title(version: "Version") -> str:
    return version.spec.title or version.dataset


def _authors(version: "Version") -> list[str]:
    spec = version.spec
    return [*(spec.authors or [provider.name for provider in spec.providers] or ["Anonymous"])]


def _publisher(version: "Version") -> str:
    spec = version.spec
    hosts = [provider.name for provider in spec.providers if "host" in provider.roles]
    return next(iter(hosts or [provider.name for provider in spec.providers]), "unknown")

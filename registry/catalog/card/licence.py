"""Licences: what people write, and the SPDX identifier it means.

References:
    SPDX Licence List 3.25, https://spdx.org/licenses/; only the licences that data come under.
"""

import re

__all__ = ["spdx"]

_IDENTIFIERS = (
    "0BSD", "AGPL-3.0-only", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause",
    "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0",
    "CC-BY-NC-2.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0",
    "CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-3.0", "CC-BY-ND-4.0",
    "CC-BY-SA-2.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-PDDC", "CC0-1.0",
    "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0",
    "etalab-2.0", "EUPL-1.1", "EUPL-1.2", "GPL-2.0-only", "GPL-3.0-only", "GPL-3.0-or-later",
    "ISC", "LGPL-3.0-only", "MIT", "MIT-0", "MPL-2.0", "O-UDA-1.0",
    "ODbL-1.0", "ODC-By-1.0", "OGL-UK-2.0", "OGL-UK-3.0", "PDDL-1.0", "Unlicense", "WTFPL",
)  # fmt: skip

_OTHERWISE = {
    "apache": "Apache-2.0",
    "apache2": "Apache-2.0",
    "apachelicense2.0": "Apache-2.0",
    "cc0": "CC0-1.0",
    "creativecommonszero": "CC0-1.0",
    "publicdomain": "CC-PDDC",
    "mitlicense": "MIT",
    "odbl": "ODbL-1.0",
    "opendatabaselicense": "ODbL-1.0",
    "odcby": "ODC-By-1.0",
    "pddl": "PDDL-1.0",
    "gpl3.0": "GPL-3.0-only",
    "gpl3": "GPL-3.0-only",
    "agpl3.0": "AGPL-3.0-only",
    "lgpl3.0": "LGPL-3.0-only",
    "licenceouverte2.0": "etalab-2.0",
}

_PARTS = {
    "creativecommons": "cc",
    "attribution": "by",
    "noncommercial": "nc",
    "noderivatives": "nd",
    "noderivs": "nd",
    "sharealike": "sa",
    "international": "",
    "unported": "",
    "licence": "",
    "license": "",
}

_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/(\d\.\d)"
)


def _folded(text: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", text.lower())


_BY_FOLDED = {_folded(identifier): identifier for identifier in _IDENTIFIERS} | _OTHERWISE


def spdx(said: str | None) -> str | None:
    """Return the SPDX identifier of a licence as people write it.

    Args:
        said: An identifier in any spelling, a Creative Commons address, or a licence's name.

    Returns:
        The identifier; None if the words name no licence that is known here, which says nothing
        against it: a provider's own terms have no identifier.

    Examples:
        >>> spdx("CC BY 4.0"), spdx("mit"), spdx("free for research, ask first")
        ('CC-BY-4.0', 'MIT', None)
        >>> spdx("Creative Commons Attribution-ShareAlike 4.0 International")
        'CC-BY-SA-4.0'
    """
    if not said:
        return None
    address = _ADDRESS.match(said.strip().lower())
    if address:
        name = "cc0" if address[1] == "zero" else f"cc{address[1]}"
        return _BY_FOLDED.get(_folded(f"{name}{address[2]}"))
    folded = _folded(said)
    if folded in _BY_FOLDED:
        return _BY_FOLDED[folded]
    for word, part in _PARTS.items():
        folded = folded.replace(word, part)
    return _BY_FOLDED.get(folded)

"""A version as a static STAC catalogue: one file the collection, one file an item."""

import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from registry.errors import ConflictError
from registry.stac.documents import collection, items

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["write_catalog"]

_COLLECTION: Final = "collection.json"
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_OWN: Final = ("pixels#", "annotations#")


def write_catalog(version: "Version", folder: Path) -> int:
    """Write a version's collection and items as files that any STAC tool reads.

    Links are relative, so the folder can be moved. Addresses of pixels and annotations are
    relative to the collection, as in ``items.parquet``.

    Args:
        version: What is written.
        folder: A new or empty folder.

    Returns:
        How many items were written.

    Raises:
        ConflictError: The folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConflictError(f"the folder {folder} is not empty", hint="name a new folder")
    (folder / "items").mkdir(parents=True, exist_ok=True)
    links = [_link("root", f"./{_COLLECTION}")]
    count = 0
    for item in items(version):
        file = _file_name(item["id"])
        (folder / "items" / file).write_bytes(_text(_moved(item)))
        links.append(_link("item", f"./items/{file}", "application/geo+json"))
        count += 1
    whole = collection(version)
    whole["links"] = links + whole["links"]
    del whole["assets"]  # items.parquet stays where it is
    (folder / _COLLECTION).write_bytes(_text(whole))
    return count


def _file_name(name: str) -> str:
    """Return a file's name for an item; an odd id, which no file should bear, gives its digest."""
    if _PLAIN.fullmatch(name) and ".." not in name:
        return f"{name}.json"
    return f"{sha256(name.encode()).hexdigest()[:32]}.json"


def _moved(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as it stands one folder below its collection."""
    others = [link for link in item["links"] if link["rel"] != "collection"]
    up = f"../{_COLLECTION}"
    links = [_link(rel, up) for rel in ("root", "parent", "collection")] + others
    assets = {
        key: asset | {"href": f"../{asset['href']}"} if asset["href"].startswith(_OWN) else asset
        for key, asset in item["assets"].items()
    }
    return item | {"links": links, "assets": assets}


def _link(rel: str, href: str, kind: str = "application/json") -> dict[str, str]:
    return {"rel": rel, "href": href, "type": kind}


def _text(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

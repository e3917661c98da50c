"""Where each asset's file goes, so that the same format reads it back and no name escapes."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from registry.curate.formats.filenames import escape_id
from registry.curate.formats.roles import is_image_word, is_mask_word

__all__ = ["Places", "folders_of", "primary_asset"]

_NOT_IN_NAMES: Final = re.compile(r"[^\w .,()+-]")
_LONGEST: Final = 100


def primary_asset(
    assets: Iterable[str], href: str | None = None, *, beside: Collection[str] = ()
) -> str | None:
    """Return the asset that stands for a sample.

    Args:
        assets: Its assets' names.
        href: Where the sample came from, which names the folder of its first asset.
        beside: Assets that the card calls labels or metadata: they come last.

    Returns:
        An ``image``, else the one that the address names, else the first; None if all are masks.

    Examples:
        >>> primary_asset(["dnbr", "mask", "post_fire"], "post_fire/POLE_20240730.tif")
        'post_fire'
        >>> primary_asset(["reference_map", "s2"], beside=["reference_map"])
        's2'
    """
    images = [asset for asset in assets if not is_mask_word(asset)]
    named = re.split(r"[/.]", href or "")
    return min(
        images,
        key=lambda asset: (asset in beside, not is_image_word(asset), asset not in named),
        default=None,
    )


def folders_of(assets: Iterable[str]) -> dict[str, str]:
    """Return the folder of each asset's files.

    Examples:
        >>> folders_of(["s2", "mask"])
        {'s2': 'images', 'mask': 'masks'}
        >>> folders_of(["post_fire", "pre_fire", "mask"])
        {'post_fire': 'post_fire', 'pre_fire': 'pre_fire', 'mask': 'masks'}
    """
    names = list(dict.fromkeys(assets))
    images = [name for name in names if not is_mask_word(name)]
    folders: dict[str, str] = {}
    for name in names:
        if name in images:
            folder = "images" if len(images) == 1 or name == "image" else _safe(name)
        else:
            folder = "masks" if name == "mask" else _safe(name)
        folded = {other.casefold() for other in folders.values()}
        folders[name] = folder if folder.casefold() not in folded else _marked(folder, name)
    return folders


def _safe(text: str) -> str:
    """Return a text as one harmless part of a path."""
    name = _NOT_IN_NAMES.sub("_", text).strip(" .")
    return name if name and len(name) <= _LONGEST else _marked("x", text)


def _marked(name: str, text: str) -> str:
    return f"{name}-{sha256(text.encode()).hexdigest()[:12]}"


@dataclass(slots=True, kw_only=True)
class Places:
    """Paths given out so far; none twice, also where case does not count."""

    folders: Mapping[str, str]
    """Folder of each asset's files."""

    by_class: bool
    """Whether files lie in the folder of their class."""

    taken: set[str] = field(default_factory=set)
    """Paths without suffix, case folded."""

    def of(self, sample: str, asset: str, labels: Sequence[str] | None) -> str:
        """Return the path of an asset's file, relative and without suffix.

        Args:
            sample: The sample's id.
            asset: The asset's name.
            labels: The sample's scene classes.
        """
        parts = [] if self.by_class and len(self.folders) == 1 else [self.folders[asset]]
        if self.by_class and labels:
            parts.append(_safe("+".join(labels)))
        return self.only("/".join([*parts, escape_id(sample)]), sample)

    def only(self, path: str, sample: str) -> str:
        """Return the path, marked with the sample's hash if another one has it."""
        if path.casefold() in self.taken:
            path = _marked(path, sample)
        self.taken.add(path.casefold())
        return path

"""Which words of folder and file names mean an image, and which its mask."""

import re
from functools import lru_cache
from typing import Final

__all__ = ["asset_name", "is_image_word", "is_mask_word", "is_role", "without_mask_word"]

_LETTERS: Final = re.compile(r"[^a-z]")
_MASKS: Final = frozenset({
    "mask", "masks", "msk", "label", "labels", "lbl", "labelhand", "gt", "groundtruth", "seg",
    "segmentation", "annotation", "annotations", "target", "targets",
})  # fmt: skip
_QUALITY: Final = frozenset({"fmask", "cloudmask", "cloudmasks", "qamask", "udm", "udmmask"})
_IMAGES: Final = frozenset({
    "image", "images", "img", "imgs", "chip", "chips", "input", "inputs", "merged", "patch",
    "patches", "raster", "rasters", "scene", "scenes", "source", "tile", "tiles",
})  # fmt: skip
_ENDING: Final = re.compile(r"^(?P<key>.+?)[._-](?P<word>[A-Za-z]+)$")


def _letters(word: str) -> str:
    return _LETTERS.sub("", word.lower())


@lru_cache(maxsize=1 << 12)
def is_mask_word(word: str) -> bool:
    """Return whether a word names a label raster; masks of clouds and quality are none.

    Examples:
        >>> is_mask_word("binarymasks"), is_mask_word("LabelHand"), is_mask_word("Fmask")
        (True, True, False)
    """
    tokens = [letters for token in re.split(r"[._ -]", word) if (letters := _letters(token))]
    letters = tokens[-1] if tokens else ""
    return letters not in _QUALITY and (letters in _MASKS or letters.endswith(("mask", "masks")))


def is_image_word(word: str) -> bool:
    """Return whether a word says no more of a file than that it is an image."""
    return _letters(word) in _IMAGES


def is_role(word: str) -> bool:
    """Return whether a word says what a file is for its sample, so is no class of scenes."""
    return is_mask_word(word) or is_image_word(word)


def without_mask_word(name: str) -> str | None:
    """Return what stands before a name's last word if that means a mask; else None.

    Examples:
        >>> without_mask_word("OAM-1238448-1046528-21.mask")
        'OAM-1238448-1046528-21'
    """
    found = _ENDING.match(name)
    return found["key"] if found and is_mask_word(found["word"]) else None


def asset_name(role: str) -> str:
    """Return a role as the name of an asset.

    Examples:
        >>> asset_name("binarymasks"), asset_name("chips"), asset_name("pre_fire")
        ('mask', 'image', 'pre_fire')
    """
    if is_mask_word(role):
        return "mask"
    if not role or is_image_word(role):
        return "image"
    name = re.sub(r"[^A-Za-z0-9._-]", "_", role).lstrip("._-")
    return name or "image"

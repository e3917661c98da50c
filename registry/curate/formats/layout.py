"""How names tie the images of one sample together: by folder, by ending or by the name itself."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from registry.curate.formats.filenames import stem
from registry.curate.formats.roles import is_image_word, is_mask_word, without_mask_word

__all__ = ["Layout", "folders_alike", "images_first", "layout_of"]

_SEPARATORS: Final = "._-"
_MOST_ROLES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which files belong to which sample, and what each is for it."""

    files: Mapping[str, Mapping[str, str]]
    """Sample key to role to path; keys are paths without what tells roles apart."""

    kind: str
    """``folders`` (``masks/a.tif``), ``endings`` (``a_mask.tif``) or ``names`` (``a/mask.tif``)."""

    @property
    def pairs(self) -> int:
        """How many samples have both an image and a mask."""
        return sum(_is_pair(roles) for roles in self.files.values())


def _is_pair(roles: Iterable[str]) -> bool:
    masks = [is_mask_word(role) for role in roles]
    return any(masks) and not all(masks)


def layout_of(paths: Sequence[str]) -> Layout | None:
    """Return the layout that pairs most images with masks; None if none pairs any.

    Args:
        paths: Of all rasters of a source.

    Returns:
        The layout, which holds every path once, paired or not.

    Examples:
        >>> layout_of(["chips/a.tif", "masks/a.tif"]).files["a"]
        {'chips': 'chips/a.tif', 'masks': 'masks/a.tif'}
        >>> layout_of(["a.tif", "a_mask.tif"]).kind
        'endings'
    """
    schemes = {"folders": _by_folder, "endings": _by_ending, "names": _by_name}
    found = []
    for kind, scheme in schemes.items():
        files: dict[str, dict[str, str]] = defaultdict(dict)
        for key, role, path in scheme(paths):
            if role in files[key]:  # two files for one place: the scheme does not fit
                break
            files[key][role] = path
        else:
            found.append(Layout(files=dict(files), kind=kind))
    best = max(found, key=lambda layout: layout.pairs, default=None)
    return best if best is not None and best.pairs else None


def folders_alike(paths: Sequence[str]) -> Layout | None:
    """Return the layout of folders that are samples: in each lie a few files of the same names.

    Args:
        paths: Of all rasters of a source.

    Returns:
        The layout; None unless names recur in most folders and most folders have several.

    Examples:
        >>> folders_alike(["a/s1.tif", "a/s2.tif", "b/s1.tif", "b/s2.tif"]).files["b"]
        {'s1': 'b/s1.tif', 's2': 'b/s2.tif'}
    """
    names = {stem(path) for path in paths}
    files: dict[str, dict[str, str]] = defaultdict(dict)
    for path in paths:
        files[str(PurePosixPath(path).parent)][stem(path)] = path
    full = sum(len(roles) == len(names) for roles in files.values())
    if not 1 < len(names) <= _MOST_ROLES or len(files) == 1 or full * 2 < len(files):
        return None
    if sum(map(len, files.values())) < len(paths):  # a.tif beside a.jpg
        return None
    return Layout(files=dict(files), kind="names")


_Placed = Iterator[tuple[str, str, str]]


def _by_folder(paths: Sequence[str]) -> _Placed:
    # <folders>/<role>/<folders>/<name>: the role is where mask files have a mask's word.
    depths = Counter(
        depth for path in paths if (depth := _mask_depth(PurePosixPath(path).parts)) is not None
    )
    if not depths:
        return
    depth = depths.most_common(1)[0][0]
    for path in paths:
        *folders, name = PurePosixPath(path).with_suffix("").parts
        if len(folders) < depth:
            yield str(PurePosixPath(*folders, name)), "", path
            continue
        role = folders.pop(-depth)
        bare = (without_mask_word(name) or name) if is_mask_word(role) else name
        yield str(PurePosixPath(*folders, bare)), role, path


def _mask_depth(parts: Sequence[str]) -> int | None:
    folders = parts[:-1]
    return next(
        (depth for depth in range(1, len(folders) + 1) if is_mask_word(folders[-depth])), None
    )


def _by_name(paths: Sequence[str]) -> _Placed:
    # <sample>/<role>: every folder is a sample, and names recur.
    names = {stem(path) for path in paths}
    if len(names) > _MOST_ROLES or not any(is_mask_word(name) for name in names):
        return
    for path in paths:
        parent = PurePosixPath(path).parent
        yield str(parent), stem(path), path


def _by_ending(paths: Sequence[str]) -> _Placed:
    # <sample>_<role>: what other files add to a mask's key is their role.
    keys = {path: str(PurePosixPath(path).with_suffix("")) for path in paths}
    masks = {path: key for path, name in keys.items() if (key := without_mask_word(name))}
    known = frozenset(masks.values())
    placed = {path: (key, keys[path][len(key) + 1 :]) for path, key in masks.items()}
    endings: Counter[str] = Counter()
    for path, name in keys.items():
        if path not in placed and (found := _split(name, known)) is not None:
            placed[path] = found
            endings[found[1]] += 1
    for path, name in keys.items():
        if path not in placed:
            placed[path] = _split_at(name, endings) or (name, "")
    for path, (key, role) in placed.items():
        yield key, role, path


def _split(name: str, known: frozenset[str]) -> tuple[str, str] | None:
    if name in known:
        return name, ""
    for at in range(len(name) - 1, 0, -1):
        if name[at] in _SEPARATORS and name[:at] in known:
            return name[:at], name[at + 1 :]
    return None


def _split_at(name: str, endings: Iterable[str]) -> tuple[str, str] | None:
    for ending in sorted(endings, key=len, reverse=True):
        bare = name.removesuffix(ending)
        if ending and bare != name and bare[-1:] in set(_SEPARATORS):
            return bare[:-1], ending
    return None


def images_first(layout: Layout) -> list[str]:
    """Return a layout's roles: images by how many samples have one, masks last."""
    counts = Counter(role for roles in layout.files.values() for role in roles)
    return sorted(
        counts,
        key=lambda role: (is_mask_word(role), -counts[role], not is_image_word(role), role),
    )

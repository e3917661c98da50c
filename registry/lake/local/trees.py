"""Git trees: read, write, edit and compare, always touching only what differs.

libgit2's own diff and merge build an index of the whole tree; walking the tree objects by hand
costs as much as there are differences.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from registry.errors import CorruptError, InvalidInputError
from registry.lake.names import check_key

__all__ = ["Edits", "Node", "Tree", "apply", "differences", "find", "parse", "serialise", "walk"]

BLOB = b"100644"
TREE = b"40000"

_PLAIN = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_=-]*(\.[A-Za-z0-9_=-]+)*")
_ENTRY = re.compile(rb"(\d{5,6}) ([^\x00]+)\x00(.{20})", re.DOTALL)


class Node(NamedTuple):
    """What a name in a folder stands for."""

    folder: bool
    """Whether it is a folder."""

    id: bytes
    """Git object id of the pointer or of the folder's tree, 20 bytes."""


Tree = dict[bytes, Node]
"""A folder: nodes by name."""

Load = Callable[[bytes], Tree]
"""Gives the folder of a tree's object id."""

Store = Callable[[str, bytes], bytes]
"""Takes an object's kind and content, gives its id."""


def parse(data: bytes) -> Tree:
    """Return the folder that a Git tree object describes.

    Raises:
        CorruptError: It holds anything but plain files and folders under names that a lake takes:
            whoever wrote it, no name leads out of a view.
    """
    tree: Tree = {}
    length = 0
    found = _ENTRY.findall(data)
    for mode, name, oid in found:
        if mode not in {BLOB, TREE}:
            raise CorruptError(
                f"{name!r} in the history is neither file nor folder but of mode {mode.decode()}",
                hint="add data by eolab, not by git",
            )
        if not _PLAIN.fullmatch(name):
            _check_name(name)
        tree[name] = Node(mode == TREE, oid)
        length += len(mode) + len(name) + 22
    if length != len(data) or len(tree) != len(found):
        raise CorruptError("a tree of the history cannot be read", hint="run eolab fsck")
    return tree


def _check_name(name: bytes) -> None:
    try:
        if b"/" in name:
            raise InvalidInputError(f"the name {name!r} has '/' in it", hint="")  # noqa: TRY301 — one place says what a bad name is
        check_key(name.decode())
    except (InvalidInputError, UnicodeDecodeError) as error:
        problem = getattr(error, "problem", str(error))
        raise CorruptError(
            f"the history holds a name that none may have: {problem}",
            hint="add data by eolab, not by git",
        ) from error


def serialise(tree: Tree) -> bytes:
    """Return the Git tree object of a folder; Git sorts folders as if they ended with a slash."""
    ordered = sorted(tree.items(), key=lambda item: item[0] + b"/" if item[1].folder else item[0])
    return b"".join(
        (TREE if node.folder else BLOB) + b" " + name + b"\x00" + node.id for name, node in ordered
    )


def find(load: Load, root: bytes, path: str) -> Node | None:
    """Return what lies at a path; the root itself for an empty one."""
    node: Node | None = Node(folder=True, id=root)
    for name in path.encode().split(b"/") if path else ():
        if node is None or not node.folder:
            return None
        node = load(node.id).get(name)
    return node


def walk(load: Load, root: bytes, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield the path and pointer id of each object at or below a path, sorted by path."""
    prefix = prefix.rstrip("/")
    node = find(load, root, prefix)
    if node is None:
        return
    if not node.folder:
        yield prefix, node.id
        return
    yield from _walk(load, node.id, f"{prefix}/".encode() if prefix else b"")


def _walk(load: Load, root: bytes, before: bytes) -> Iterator[tuple[str, bytes]]:
    for name, node in _in_order(load(root)):
        if node.folder:
            yield from _walk(load, node.id, before + name + b"/")
        else:
            yield (before + name).decode(), node.id


def _in_order(tree: Tree) -> list[tuple[bytes, Node]]:
    """Return a folder sorted so that whole paths come out in the order of their bytes."""
    return sorted(tree.items(), key=lambda item: item[0] + b"/" if item[1].folder else item[0])


def differences(
    load: Load, before: bytes | None, after: bytes | None, prefix: str = ""
) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Yield path, pointer before and pointer after of each path that differs, sorted by path.

    Folders that are the same object are not looked into.
    """
    prefix = prefix.rstrip("/")
    old = None if before is None else find(load, before, prefix)
    new = None if after is None else find(load, after, prefix)
    yield from _compare(load, old, new, prefix.encode())


def _compare(
    load: Load, old: Node | None, new: Node | None, path: bytes
) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    if old == new:
        return
    old_file = old.id if old is not None and not old.folder else None
    new_file = new.id if new is not None and not new.folder else None
    if old_file is not None or new_file is not None:
        yield path.decode(), old_file, new_file
    old_tree = load(old.id) if old is not None and old.folder else {}
    new_tree = load(new.id) if new is not None and new.folder else {}
    changed = {name for name, _ in old_tree.items() ^ new_tree.items()}
    before = path + b"/" if path else b""

    def order(name: bytes) -> bytes:
        node = new_tree.get(name) or old_tree[name]
        return name + b"/" if node.folder else name

    for name in sorted(changed, key=order):
        yield from _compare(load, old_tree.get(name), new_tree.get(name), before + name)


@dataclass(slots=True)
class Edits:
    """Changes to one folder, nested as the folders are."""

    cleared: bool = False
    """Whether all that was there goes first."""

    files: dict[bytes, bytes | None] = field(default_factory=dict)
    """New pointer content by name; None removes the file."""

    folders: dict[bytes, "Edits"] = field(default_factory=dict)
    """Changes further down."""

    def put(self, path: str, pointer: bytes) -> None:
        """Set a path to a pointer's content."""
        folder, name = self._descend(path)
        folder.files[name] = pointer

    def remove(self, path: str) -> None:
        """Remove the object at a path and all below it."""
        folder, name = self._descend(path)
        folder.files[name] = None
        folder.folders[name] = Edits(cleared=True)

    def _descend(self, path: str) -> tuple["Edits", bytes]:
        *above, name = path.encode().split(b"/")
        folder = self
        for component in above:
            folder = folder.folders.setdefault(component, Edits())
        return folder, name


def apply(load: Load, store: Store, root: bytes | None, edits: Edits, at: str = "") -> bytes | None:
    """Write the trees that edits make of a folder.

    Args:
        load: Reads a tree.
        store: Writes an object.
        root: The folder before; None if there was none.
        edits: What changes.
        at: Path of the folder, for messages.

    Returns:
        Id of the new tree; None if nothing is left in it.

    Raises:
        InvalidInputError: A path would be a file and a folder at once.
    """  # noqa: DOC501 — made by the function below
    tree = {} if root is None or edits.cleared else dict(load(root))
    for name, content in edits.files.items():
        if content is None and name in tree and not tree[name].folder:
            del tree[name]
    for name, inner in edits.folders.items():
        node = tree.get(name)
        below = node.id if node is not None and node.folder else None
        made = apply(load, store, below, inner, f"{at}{name.decode()}/")
        if made is None:
            if below is not None:
                del tree[name]
        elif node is not None and not node.folder:
            raise _twofold(at, name)
        else:
            tree[name] = Node(folder=True, id=made)
    for name, content in edits.files.items():
        if content is not None:
            if name in tree and tree[name].folder:
                raise _twofold(at, name)
            tree[name] = Node(folder=False, id=store("blob", content))
    return store("tree", serialise(tree)) if tree else None


def _twofold(at: str, name: bytes) -> InvalidInputError:
    return InvalidInputError(
        f"'{at}{name.decode()}' would be an object and a folder at once",
        hint="remove one of the two, or use another name",
    )

"""Slices: the samples that a query chose in a version, kept for ever under an id to be cited."""

import io
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.catalog.registry import Registry
from registry.catalog.slicing import slice_id
from registry.catalog.version import Version
from registry.errors import ConflictError, CorruptError, InvalidInputError, NotFoundError
from registry.lake.contract import Repository
from registry.lake.purges import purges
from registry.query.execution import run
from registry.query.limits import Limits
from registry.query.parsing import parse
from registry.query.sources import SLICES, folders_of_version, resolved

__all__ = ["Slice", "find_slice", "slice", "slice_id", "version_of_slice"]

ID_DIGITS: Final = 32
"""Hex digits of a slice's id: 128 bits."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_METADATA: Final = b"slice"
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some samples of one version, for ever the same."""

    id: str
    """32 hex digits, computed from the content id and the ids: see :func:`slice_id`."""

    dataset: str
    """The dataset's name."""

    version: str
    """The version's tag, or the commit where nothing was published."""

    content_id: str
    """Of the version: SHA-256 in hex, equal on every lake."""

    query: str
    """What was asked when it was made first."""

    ids: tuple[str, ...] = field(repr=False)
    """The samples, sorted by code point, each once."""

    @property
    def ref(self) -> str:
        """How a query names the version."""
        return f"{self.dataset}@{self.version}"

    def to_text(self) -> str:
        """Return what people want to know about it."""
        return (
            f"{self.id}\n  {len(self.ids):,} samples of {self.ref}\n"
            f"  content id {self.content_id}\n  {self.query}\n"
        )


def slice(  # noqa: A001 — the word users write
    registry: Registry, text: str, *, limits: Limits | None = None, message: str | None = None
) -> Slice:
    """Keep the samples that a query chooses, so that they can be cited and found again.

    Args:
        registry: Where the ref is looked up and the slice is kept.
        text: One ``SELECT`` over one ref whose column ``id``, else ``sample``, else only column
            holds sample ids; their order and repetitions do not matter.
        limits: What the query may use.
        message: Why; by default which slice it is.

    Returns:
        The slice, stored. The same samples of the same content give the same slice.

    Raises:
        InvalidInputError: Not one ref, no column of ids, ids of no sample, or no row at all.
    """
    refs = parse(text).refs
    if len(refs) != 1:
        named = ", ".join(refs) or "none"
        raise InvalidInputError(
            f"a slice is cut from one version, but the query names {named}",
            hint='ask one: SELECT id FROM "name@v1".samples WHERE ...',
        )
    version = resolved(registry, refs[0])
    folders = folders_of_version(version)
    chosen = _chosen(run(text, lambda _: folders, limits))
    _check_exist(version, chosen)
    ids = tuple(sorted(chosen.to_pylist()))
    made = Slice(
        id=slice_id(version.content_id, ids),
        dataset=version.dataset,
        version=version.tag or version.commit.id,
        content_id=version.content_id,
        query=text,
        ids=ids,
    )
    return _kept(registry, version, made, message or f"slice {made.id}")


def find_slice(registry: Registry, id: str) -> Slice:  # noqa: A002 — the word users write
    """Return a slice that was kept on this lake, or came to it with its dataset.

    Args:
        registry: Where to look.
        id: Its 32 hex digits.

    Raises:
        InvalidInputError: That is no slice's id.
        NotFoundError: No dataset of this lake has it.
        CorruptError: What is kept is not what the id says.
    """
    if not _ID.fullmatch(id):
        raise InvalidInputError(f"{id!r} is no slice's id", hint="give its 32 hex digits")
    for name in registry.names():
        repository = registry.lake.repository(name)
        now = id
        for purge in purges(repository):  # it was cut again, without what was forgotten
            now = purge.slices.get(now, now)
        for branch in repository.branches("derived/"):
            if found := _read(repository, now, branch):
                return found
    raise NotFoundError(
        f"no dataset of this lake has slice {id}", hint="pull the dataset that it was cut from"
    )


def version_of_slice(registry: Registry, found: Slice) -> Version:
    """Return the version that a slice was cut from, whatever it is called on this lake.

    Raises:
        NotFoundError: This lake has no version of that content.
    """
    for version in reversed(registry.versions(found.dataset)):
        if version.content_id == found.content_id:
            return version
    with suppress(NotFoundError):
        version = registry.resolve(found.ref)
        if version.content_id == found.content_id:
            return version
    raise NotFoundError(
        f"{found.dataset} has no version with content id {found.content_id}",
        hint=f"pull {found.ref} from where the slice was made",
    )


def _chosen(reader: pa.RecordBatchReader) -> pa.Array:
    column = _id_column(reader.schema)
    kind = reader.schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InvalidInputError(
            f"column {column!r} holds {kind}, not sample ids", hint="select the samples' id"
        )
    parts = [pc.unique(batch.column(column)).cast(pa.string()) for batch in reader]
    ids = pc.unique(pa.chunked_array(parts, pa.string()))
    if not len(ids):
        raise InvalidInputError("the query chooses no sample", hint="loosen its WHERE")
    if ids.null_count:
        raise InvalidInputError(
            f"column {column!r} has rows without an id", hint=f"add WHERE {column} IS NOT NULL"
        )
    return ids


def _id_column(schema: pa.Schema) -> str:
    for name in ("id", "sample"):
        if schema.names.count(name) == 1:
            return name
    if len(schema.names) == 1:
        return str(schema.names[0])
    raise InvalidInputError(
        f"no column is called id or sample, but {', '.join(schema.names)}",
        hint="select the samples' id",
    )


def _check_exist(version: Version, ids: pa.Array) -> None:
    there = version.table("samples", columns=["id"]).column("id")
    strangers = ids.filter(pc.invert(pc.is_in(ids, value_set=there)))
    if len(strangers):
        shown = ", ".join(map(repr, strangers.slice(0, _SHOWN).to_pylist()))
        raise InvalidInputError(
            f"{len(strangers):,} ids are no samples of {version.ref}: {shown}",
            hint="select the samples' id, not that of annotations",
        )


def _kept(registry: Registry, version: Version, made: Slice, message: str) -> Slice:
    repository, branch = version.repository, _branch(registry, version)
    if found := _read(repository, made.id, branch):
        return found
    try:
        with repository.transaction(branch, message=message) as transaction:
            transaction.put(_path(made.id), _to_parquet(made))
    except ConflictError:
        if found := _read(repository, made.id, branch):  # somebody cut the same meanwhile
            return found
        raise
    return made


def _branch(registry: Registry, version: Version) -> str:
    # the branch beside a version; its being there keeps the version from collection
    if version.tag is not None:
        return registry.derive(version).branch
    branch = f"derived/{version.commit.id}"
    if branch not in version.repository.branches(branch):
        try:
            version.repository.create_branch(branch, at=version.commit.id)
        except ConflictError:
            if branch not in version.repository.branches(branch):
                raise
    return branch


def _path(id_: str) -> str:
    return f"{SLICES}/{id_}.parquet"


def _to_parquet(made: Slice) -> bytes:
    about = {
        "dataset": made.dataset,
        "version": made.version,
        "content_id": made.content_id,
        "query": made.query,
    }
    schema = pa.schema([("id", pa.string())], metadata={_METADATA: json.dumps(about)})
    out = io.BytesIO()
    pq.write_table(pa.table([pa.array(made.ids, pa.string())], schema), out, compression="zstd")
    return out.getvalue()


def _read(repository: Repository, id_: str, branch: str) -> Slice | None:
    try:
        data = repository.read(_path(id_), at=branch)
    except NotFoundError:
        return None
    try:
        table = pq.read_table(io.BytesIO(data))
        about = json.loads((table.schema.metadata or {})[_METADATA])
        ids = tuple(table.column("id").to_pylist())
        found = Slice(id=id_, ids=ids, **{name: str(value) for name, value in about.items()})
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise _corrupt(id_) from error
    if slice_id(found.content_id, found.ids) != id_:
        raise _corrupt(id_)
    return found


def _corrupt(id_: str) -> CorruptError:
    return CorruptError(
        f"what is kept as slice {id_} is something else",
        hint="find damage by eolab fsck, then restore the dataset from a copy",
    )

"""No Git-LFS pointer stands where data should be.

References:
    Git-LFS specification, https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer is
    a text of less than 1,024 bytes that begins with its version line.
"""

import json

import pyarrow as pa

from registry.catalog.trees import table_of
from registry.curate.quality.check import ERROR, Check
from registry.curate.quality.subject import BREACHES, Subject

__all__ = ["LFS_POINTER"]

_LARGEST = 1024
_HEAD = b"version https://git-lfs.github.com/spec/v1"
_FIX = "fetch the real file (git lfs pull) and ingest again"


def _find(subject: Subject) -> pa.Table:
    stored = subject.sql(
        f"""
        select a.sample, a.asset, 'error' as severity,
            'a Git-LFS pointer is in place of its pixels' as message,
            to_json({{'sha256': lower(hex(a.pixels))}})::varchar as evidence,
            '{_FIX}' as fix
        from assets a join observed o on a.pixels = o.sha256
        where o.pointer
        order by 1, 2
        """  # noqa: S608 — only a constant of this file goes in
    )
    return pa.concat_tables([stored, _files(subject)])


def _files(subject: Subject) -> pa.Table:
    version = subject.version
    repository, at = version.repository, version.commit.id
    tables = frozenset(version.tables_published())
    paths = [
        entry.path
        for entry in repository.entries(at)
        if entry.size < _LARGEST
        and table_of(entry.path, tables) is None
        and repository.read(entry.path, at=at).startswith(_HEAD)
    ]
    rows = [
        {
            "severity": ERROR,
            "message": f"a Git-LFS pointer is in place of the file '{path}'",
            "evidence": json.dumps({"path": path}),
            "fix": _FIX,
        }
        for path in paths
    ]
    return pa.Table.from_pylist(rows, schema=BREACHES)


LFS_POINTER = Check(
    name="lfs-pointer",
    about="No Git-LFS pointer stands where data should be.",
    find=_find,
    denies="Q0",
)

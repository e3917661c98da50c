"""A version that is a folder of tables, without the lake below it."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from registry.catalog import Spec
from registry.errors import NotFoundError
from registry.tables import ANNOTATIONS, ASSETS, PIXELS, SAMPLES, append, names, read


@dataclass
class FolderVersion:
    root: Path
    spec: Spec
    commit: object = field(default_factory=lambda: SimpleNamespace(id="0" * 40))

    @property
    def repository(self):
        return self

    def read(self, path, *, at):
        if path == "README.md":
            return self.spec.to_readme().encode()
        raise NotFoundError(path, hint="")

    def tables(self):
        return names(self.root)

    def table(self, name):
        return read(self.root, name)


@pytest.fixture
def version_of(tmp_path):
    """Make a version of rows as dictionaries; arrays are encoded for their assets."""
    import pyarrow as pa

    def make(*, samples, assets=(), annotations=(), pixels=(), assets_spec=None, **spec):
        spec |= {"assets": assets_spec} if assets_spec else {}
        root = tmp_path / "root"
        tables = ((SAMPLES, samples), (ASSETS, assets), (ANNOTATIONS, annotations))
        for schema, rows in tables:
            known = pa.schema([one for one in schema.arrow if any(one.name in r for r in rows)])
            if rows:
                append(root, schema, pa.Table.from_pylist(list(rows), schema=known))
        if pixels:
            found = [{"sha256": p.sha256, "codec": p.codec, "data": p.data} for p in pixels]
            append(root, PIXELS, pa.Table.from_pylist(found, schema=PIXELS.arrow))
        return FolderVersion(root=root, spec=Spec(name="toy", **spec))

    return make

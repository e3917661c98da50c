"""``python -m tests.golden.make_lake``: keep a lake of today's format, to be read for ever.

A lake that was made is never made again: a new format gets a new file beside the old ones.
"""

import hashlib
import json
import sys
import tarfile
import tempfile
from importlib.metadata import version as version_of
from pathlib import Path

from registry.catalog import Registry, edit_rows
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.ingest.simulator import write_folder
from registry.curate.publishing import publish
from registry.lake import init
from registry.query import slice as keep

ROOM = Path(__file__).parent
CACHES = {"views", "workspaces", "tmp", ".ingest"}


def facts(lab: Registry, slice_id: str) -> dict[str, object]:
    """Return what must be found in the lake by whoever reads it, whenever."""
    versions = {}
    for version in lab.versions("golden"):
        samples = version.table("samples", columns=["id", "label"])
        assets = version.table("assets", columns=["sample", "asset"]).to_pylist()
        versions[version.label] = {
            "content_id": version.content_id,
            "labels": dict(zip(*(samples[c].to_pylist() for c in ("id", "label")), strict=True)),
            "annotations": version.count("annotations"),
            "chips": {
                f"{a['sample']}/{a['asset']}": hashlib.sha256(
                    version.chip(a["sample"], a["asset"]).tobytes()
                ).hexdigest()
                for a in assets
            },
        }
    history = [commit.message for commit in lab.log("golden@v2")]
    return {"versions": versions, "history": history, "slice": slice_id}


def make(folder: Path) -> dict[str, object]:
    """Make the lake below ``folder`` and return its facts."""
    lab = Registry(lake=init(str(folder / "lake")))
    source = write_folder("detection", folder / "boats", samples=4, seed=3, size=32)
    said = SourceOptions.of(licence="CC0-1.0", provider="Example lab")
    ingest(lab, source.path, into="golden", options=said)
    publish(lab, "golden", message="first release")
    some = lab.resolve("golden@v1").table("samples", columns=["id"])["id"][0].as_py()
    edit_rows(lab, "golden@draft", assignments=["label=['Boat']"], where=f"id = '{some}'")
    publish(lab, "golden", message="one was looked at")
    cut = keep(lab, f"select id from \"golden@v2\".samples where id = '{some}'")  # noqa: S608
    return facts(lab, cut.id)


def main() -> None:
    name = f"lake-{version_of('eo-training-data-lab')}"
    with tempfile.TemporaryDirectory() as scratch:
        found = make(Path(scratch))
        with tarfile.open(ROOM / f"{name}.tar.gz", "x:gz") as archive:
            archive.add(
                Path(scratch) / "lake",
                "lake",
                filter=lambda entry: None if CACHES & set(Path(entry.name).parts[:-1]) else entry,
            )
        (ROOM / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    sys.stdout.write(f"{ROOM / name}.tar.gz\n")


if __name__ == "__main__":
    main()

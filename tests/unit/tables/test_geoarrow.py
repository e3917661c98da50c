"""Geometry columns are what geoarrow says they are."""

import json
import subprocess
import sys

import pyarrow as pa

from registry.curate.ingest.simulator import samples_table
from registry.tables import store
from registry.tables.schemas import SAMPLES

# Importing geoarrow types such columns everywhere in a process, so it has one of its own.
READ = """
import json, sys
import geoarrow.pyarrow as ga
import pyarrow as pa
typed = pa.ipc.open_file(sys.argv[1]).read_all()["geometry"].combine_chunks()
code = typed.type.crs.to_json_dict()["id"]
west = ga.box(typed).storage.field("xmin").to_pylist()
print(json.dumps([typed.type.extension_name, code, west]))
"""


def test_geoarrow_types_the_footprints_and_finds_their_boxes(tmp_path):
    store.append(tmp_path, SAMPLES, samples_table(5, 1).select(SAMPLES.arrow.names))
    read = store.read(tmp_path, "samples")
    with pa.ipc.new_file(str(tmp_path / "samples.arrow"), read.schema) as writer:
        writer.write_table(read)

    command = [sys.executable, "-c", READ, str(tmp_path / "samples.arrow")]
    said = subprocess.run(command, check=True, capture_output=True, text=True)

    assert json.loads(said.stdout) == [
        "geoarrow.wkb",
        {"authority": "OGC", "code": "CRS84"},
        [box["xmin"] for box in read["bbox"].to_pylist()],
    ]

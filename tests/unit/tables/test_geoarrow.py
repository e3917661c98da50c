"""Geometry columns are what geoarrow says they are."""

import io

import geoarrow.pyarrow as ga
import pyarrow as pa

from registry.curate.ingest.simulator import samples_table
from registry.tables import store
from registry.tables.schemas import SAMPLES


def test_geoarrow_types_the_footprints_and_finds_their_boxes(tmp_path):
    rows = samples_table(5, 1).select(SAMPLES.arrow.names)
    store.append(tmp_path, SAMPLES, rows)
    read = store.read(tmp_path, "samples")
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, read.schema) as writer:
        writer.write_table(read)

    typed = pa.ipc.open_stream(stream.getvalue()).read_all()["geometry"].combine_chunks()

    assert typed.type.extension_name == "geoarrow.wkb"
    assert typed.type.crs.to_json_dict()["id"] == {"authority": "OGC", "code": "CRS84"}
    assert ga.box(typed).storage.field("xmin").to_pylist() == [
        box["xmin"] for box in read["bbox"].to_pylist()
    ]

import os

import pyarrow as pa
import pytest

from registry.curate.ingest.pixels import stream_pixels
from registry.errors import CorruptError


@pytest.fixture
def parts(tmp_path):
    """Two parts of known bytes, and the rows that point into them."""
    sizes = {"part-a": [5, 17 << 20, 1], "part-b": [300, 0, 9 << 20, 9 << 20]}
    rows, contents = [], {}
    for part, lengths in sizes.items():
        data = os.urandom(sum(lengths))
        (tmp_path / f"{part}.bin").write_bytes(data)
        offset = 0
        for length in lengths:
            key = len(rows).to_bytes(32)
            contents[key] = data[offset : offset + length]
            rows.append((key, "blosc-lz4-bitshuffle", part, offset, length))
            offset += length
    names = ("sha256", "codec", "part", "offset", "length")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return tmp_path, pa.table({name: list(column) for name, column in columns.items()}), contents


@pytest.mark.parametrize("order", [range(7), range(6, -1, -1), [3, 0, 6, 1, 5, 2, 4]], ids=str)
def test_pixels_come_in_the_order_wanted_and_a_few_at_a_time(parts, order):
    folder, rows, contents = parts
    wanted = rows.take(list(order))
    batches = list(stream_pixels(wanted, folder))
    keys = [key for batch in batches for key in batch["sha256"].to_pylist()]
    data = [value for batch in batches for value in batch["data"].to_pylist()]
    assert keys == wanted["sha256"].to_pylist()
    assert data == [contents[key] for key in keys]
    assert all(batch.num_rows == 1 or batch.nbytes <= 17 << 20 for batch in batches)


def test_nothing_wanted_is_nothing_read(parts):
    folder, rows, _ = parts
    assert list(stream_pixels(rows.slice(0, 0), folder)) == []


@pytest.mark.parametrize("rows_wanted", [[1], [4, 6]])
def test_a_part_that_is_cut_short_is_not_taken(parts, rows_wanted):
    folder, rows, _ = parts
    for part in folder.glob("*.bin"):
        part.write_bytes(part.read_bytes()[: 6 << 20])
    with pytest.raises(CorruptError, match="is cut short at byte"):
        list(stream_pixels(rows.take(rows_wanted), folder))

"""HDF5 leads nowhere, declares no more than it has, and its numbers come as they are stored."""

import io
import zlib

import h5py
import numpy as np
import pytest

from registry.curate.formats.decode import Decoder
from registry.curate.formats.decoded import UnreadableError
from registry.curate.formats.listing import open_listing
from registry.curate.formats.raster import RasterJob, RasterPool


def hdf5(fill, **options):
    memory = io.BytesIO()
    with h5py.File(memory, "w", **options) as file:
        fill(file)
    return memory.getvalue()


def layer(data, name="*"):
    return Decoder().decode(f"a.h5/{name}", data)


def refusal(data, name="*"):
    with pytest.raises(UnreadableError) as caught:
        layer(data, name)
    return caught.value


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "<f2", "<f4", ">f8", "<i8", "bool"])
@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_numbers_come_as_they_are_stored(dtype, compression):
    array = np.arange(3 * 2 * 5 * 4).reshape(3, 2, 5, 4).astype(dtype)
    data = hdf5(
        lambda file: file.create_dataset(
            "data", data=array, compression=compression, chunks=(2, 2, 3, 4), shuffle=True
        )
    )
    read = layer(data)
    assert read.header.dtype == array.dtype.newbyteorder("=").name
    assert read.header.shape == (3, 2, 5, 4)
    np.testing.assert_array_equal(read.array, array)


def test_a_plane_becomes_one_band():
    assert layer(hdf5(lambda file: file.create_dataset("m", data=np.eye(4)))).array.shape == (
        1,
        4,
        4,
    )


def test_planes_are_picked_by_their_place():
    cube = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    data = hdf5(lambda file: file.create_dataset("data", data=cube))
    np.testing.assert_array_equal(layer(data, "data[0]").array, cube[:1])
    np.testing.assert_array_equal(layer(data, "data[1:]").array, cube[1:])
    np.testing.assert_array_equal(layer(data, "data[0:2]").array, cube[:2])
    assert refusal(data, "data[7]").check == "absent-layer"
    assert refusal(data, "other").check == "absent-layer"


def test_arrays_of_another_size_are_left_out_and_named():
    def fill(file):
        file["a"], file["b"] = np.ones((4, 4), "u1"), np.ones((4, 4), "u1")
        file["small"] = np.ones((2, 2), "u1")
        file.create_group("inside")["deep"] = np.ones((4, 4))

    read = layer(hdf5(fill))
    assert read.array.shape == (2, 4, 4)
    assert read.header.warnings == ("variables: leaves out small, inside",)


# ------------------------------------------------------------------------ bombs
def test_a_terabyte_in_ten_kilobytes_is_refused_before_memory_is_taken():
    data = hdf5(lambda file: file.create_dataset("data", (1 << 10, 1 << 10, 1 << 10, 1 << 9), "u2"))
    assert len(data) < 10_000
    assert refusal(data).check == "too-large"


def test_a_terabyte_in_chunks_is_refused():
    shape = (1 << 20, 1, 1 << 10, 1 << 10)
    data = hdf5(
        lambda file: file.create_dataset(
            "data", shape, "u1", chunks=(1 << 10, 1, 1 << 8, 1 << 8), compression="gzip"
        )
    )
    assert len(data) < 10_000
    assert refusal(data).check == "too-large"


def test_zeros_that_pack_a_thousandfold_are_refused_where_they_are_many():
    shape = (40, 1, 1024, 1024)
    data = hdf5(
        lambda file: file.create_dataset("data", shape, "u1", chunks=(1, 1, 64, 64), fillvalue=0)
    )
    assert refusal(data).check == "too-large"


def test_a_chunk_larger_than_any_array_is_refused():
    data = hdf5(
        lambda file: file.create_dataset(
            "data", (1, 1, 4, 4), "u1", chunks=(1 << 10, 1, 1 << 10, 1 << 10), maxshape=(None,) * 4
        )
    )
    assert refusal(data).check == "too-large"


def test_a_million_chunks_of_a_byte_are_refused():
    data = hdf5(
        lambda file: file.create_dataset("data", (1, 1, 1024, 1024), "u1", chunks=(1, 1, 1, 1))
    )
    assert refusal(data).check == "too-large"


def test_a_chunk_that_unpacks_to_more_than_it_is_is_refused():
    bomb = zlib.compress(bytes(64 << 20), 9)

    def fill(file):
        planes = file.create_dataset("data", (8, 8), "u1", chunks=(8, 8), compression="gzip")
        planes.id.write_direct_chunk((0, 0), bomb)

    assert refusal(hdf5(fill)).check == "too-large"


def test_more_arrays_than_anybody_needs_are_refused():
    def fill(file):
        for number in range(2_100):
            file[f"a{number}"] = 1

    assert refusal(hdf5(fill)).check == "too-large"


# ------------------------------------------------------------------ ways out
def test_links_are_never_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = np.ones((4, 4))
    outside = hdf5(
        lambda file: file.__setitem__(
            "data", h5py.ExternalLink(str(tmp_path / "secret.h5"), "data")
        )
    )
    inside = hdf5(lambda file: file.__setitem__("data", h5py.SoftLink("/elsewhere")))
    for data in (outside, inside):
        found = refusal(data)
        assert found.check == "format-refused"
        assert "link 'data'" in found.message


def test_arrays_whose_values_lie_in_other_files_are_refused(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(16))
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["data"] = np.ones((4, 4))
    layout = h5py.VirtualLayout((4, 4), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "source.h5"), "data", (4, 4))
    for data in (
        hdf5(lambda file: file.create_virtual_dataset("data", layout)),
        hdf5(
            lambda file: file.create_dataset(
                "data", (4, 4), "u1", external=[(str(tmp_path / "raw"), 0, 16)]
            )
        ),
    ):
        found = refusal(data)
        assert found.check == "format-refused"
        assert "lies in other files" in found.message


def test_filters_from_outside_are_refused():
    def fill(file):
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((4, 4))
        how.set_filter(32_004, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((4, 4))
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT8, space, how)

    found = refusal(hdf5(fill))
    assert found.check == "format-refused"
    assert "filter 32004" in found.message


@pytest.mark.parametrize(
    "kind",
    [
        h5py.string_dtype(),
        h5py.vlen_dtype(np.int32),
        h5py.ref_dtype,
        h5py.regionref_dtype,
        np.dtype([("a", "i4"), ("b", "f8")]),
        np.dtype("S8"),
    ],
)
def test_what_is_no_plain_number_is_refused(kind):
    data = hdf5(lambda file: file.create_dataset("data", (4, 4), kind))
    assert refusal(data, "data").check == "dtype"


def test_a_group_within_itself_is_no_way_down():
    def fill(file):
        group = file.create_group("group")
        group["again"], group["root"] = group, file["/"]
        file["data"] = np.ones((4, 4), "u1")

    assert layer(hdf5(fill)).array.shape == (1, 4, 4)


def test_attributes_that_are_large_or_lead_elsewhere_are_no_tags():
    def fill(file):
        file["data"] = np.ones((4, 4), "u1")
        file.attrs["note"] = "kept"
        file.attrs["many"] = np.zeros(1_000)
        file.attrs["lead"] = file["data"].ref
        file.attrs["words"] = ["a", "b"]

    said = layer(hdf5(fill)).header.said
    assert '"note": "kept"' in said
    assert "lead" not in said
    assert "words" not in said


@pytest.mark.parametrize("keep", [9, 100, 1_000, 2_000])
def test_a_file_that_is_cut_short_is_refused(keep):
    data = hdf5(lambda file: file.create_dataset("data", data=np.ones((4, 64, 64)), chunks=True))
    assert refusal(data[:keep]).check == "unreadable"


def test_an_hdf5_that_calls_itself_tiff_is_refused_as_before():
    data = hdf5(lambda file: file.create_dataset("data", data=np.ones((4, 4))))
    with pytest.raises(UnreadableError, match="is HDF5"):
        Decoder().decode("a.tif", data)


# ---------------------------------------------------------------- in the child
@pytest.fixture
def read(tmp_path):
    """Read layers of files in limited processes; what was learnt of each, by name."""

    def run(files, **limits):
        source = tmp_path / "source"
        source.mkdir()
        for name, data in files.items():
            (source / name).write_bytes(data)
        listing = open_listing(source)
        jobs = [RasterJob(file=f"{name}/*", span=listing.span(f"{name}/*")) for name in files]
        into = tmp_path / "parts"
        into.mkdir()
        with RasterPool(workers=1, **limits) as pool:
            tables = list(pool.read(jobs, into=into))
        return {row["file"]: row for table in tables for row in table.to_pylist()}

    return run


def test_rotten_files_harm_none_but_themselves(read):
    sound = hdf5(
        lambda file: file.create_dataset(
            "data",
            data=np.arange(4096.0).reshape(4, 32, 32),
            compression="gzip",
            chunks=(1, 16, 16),
        )
    )
    random = np.random.default_rng(5)
    files = {"sound.h5": sound}
    for number in range(60):
        rotten = bytearray(sound)
        for place in random.integers(0, min(len(rotten), 3_000), 4):
            rotten[place] ^= 1 << int(random.integers(0, 8))
        files[f"rotten{number}.h5"] = bytes(rotten)
    rows = read(files)
    assert rows.keys() == {f"{name}/*" for name in files}
    assert rows["sound.h5/*"]["sha256"] is not None
    for row in rows.values():
        assert (row["sha256"] is None) == (row["check"] is not None)


def test_a_file_that_needs_more_memory_than_there_is_fails_alone(read):
    large = hdf5(
        lambda file: file.create_dataset(
            "data",
            data=np.random.default_rng(1).integers(0, 255, (60, 1, 1024, 1024), np.uint8),
            chunks=(60, 1, 1024, 1024),
        )
    )
    small = hdf5(lambda file: file.create_dataset("data", data=np.ones((4, 4), "u1")))
    rows = read({"large.h5": large, "small.h5": small}, memory=700 << 20)
    assert rows["small.h5/*"]["sha256"] is not None
    assert rows["large.h5/*"]["shape"] in (None, [60, 1, 1024, 1024])


def test_the_child_knows_no_folder_of_filters():
    from registry.curate.formats import child

    assert child._SETTINGS["HDF5_PLUGIN_PRELOAD"] == "::"

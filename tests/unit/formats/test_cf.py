"""What netCDF says of time, place and packing, in both of its formats."""

import io
import struct

import h5py
import numpy as np
import pytest
from scipy.io import netcdf_file

from registry.curate.formats.decode import Decoder
from registry.curate.formats.decoded import UnreadableError

UTM = (
    'PROJCS["WGS 84 / UTM zone 33N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,'
    '298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",15],'
    'PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
    'PARAMETER["false_northing",0],UNIT["metre",1],AUTHORITY["EPSG","32633"]]'
)
STEPS = {"units": "days since 2018-01-01", "values": np.array([0, 10, 20], "i4")}


def netcdf4(variables, *, t=STEPS, y=None, x=None, crs=UTM, **said):
    """Return a netCDF 4 file: variables over (t, y, x), or the axes that they name."""
    memory = io.BytesIO()
    axes = {
        "t": t["values"],
        "y": np.array([45.0, 35.0, 25.0, 15.0]) if y is None else y,
        "x": np.array([5.0, 15.0]) if x is None else x,
    }
    with h5py.File(memory, "w") as file:
        for name, values in axes.items():
            kind = h5py.string_dtype() if values.dtype == object else values.dtype
            file.create_dataset(name, data=values, dtype=kind).make_scale(name)
        file["t"].attrs.update({name: value for name, value in t.items() if name != "values"})
        if crs:
            file["crs"] = 0
            file["crs"].attrs["crs_wkt"] = crs
        for name, (dims, array, attributes) in variables.items():
            one = file.create_dataset(name, data=array)
            for axis, letter in enumerate(dims):
                one.dims[axis].attach_scale(file[letter])
            one.attrs.update({"grid_mapping": "crs"} | attributes)
        file.attrs.update(said)
    return memory.getvalue()


def cube(shape=(3, 4, 2), dtype="i2", start=0):
    return (start + np.arange(np.prod(shape))).reshape(shape).astype(dtype)


def layer(data, name="*"):
    return Decoder().decode(f"a.nc/{name}", data)


def test_variables_become_bands_with_their_times_and_place():
    variables = {"B02": ("tyx", cube(), {}), "B03": ("tyx", cube(start=100), {})}
    read = layer(netcdf4(variables))
    assert read.header.shape == (3, 2, 4, 2)
    np.testing.assert_array_equal(read.array[:, 1], cube(start=100))
    assert [moment.isoformat() for moment in read.header.times] == [
        "2018-01-01T00:00:00+00:00", "2018-01-11T00:00:00+00:00", "2018-01-21T00:00:00+00:00",
    ]  # fmt: skip
    assert read.header.crs == "EPSG:32633"
    assert read.transform == (10, 0, 0, 0, -10, 50)
    assert '"bands": ["B02", "B03"]' in read.header.said


def test_rows_from_south_to_north_stay_so():
    data = netcdf4({"a": ("tyx", cube(), {})}, y=np.array([15.0, 25.0, 35.0, 45.0]))
    read = layer(data)
    np.testing.assert_array_equal(read.array[:, 0], cube())
    assert read.transform == (10, 0, 0, 0, 10, 10)


def test_fill_scale_offset_and_unit_are_kept_beside_the_stored_numbers():
    packed = {"_FillValue": np.int16(-9), "scale_factor": 1e-4, "add_offset": -0.1, "units": "K"}
    read = layer(netcdf4({"a": ("tyx", cube(), packed), "b": ("tyx", cube(), packed)}))
    assert read.header.nodata == -9
    np.testing.assert_array_equal(read.array[:, 0], cube())
    for said in ('"scales": [0.0001, 0.0001]', '"offsets": [-0.1, -0.1]', '"units": ["K", "K"]'):
        assert said in read.header.said


def test_fill_values_that_differ_are_none_and_said():
    read = layer(
        netcdf4({
            "a": ("tyx", cube(), {"_FillValue": np.int16(-9)}),
            "b": ("tyx", cube(), {"_FillValue": np.int16(0)}),
        })
    )
    assert read.header.nodata is None
    assert read.header.warnings == ("nodata: has different fill values, -9.0, 0.0: none is kept",)


def test_unsigned_numbers_are_taken_for_what_they_are():
    stored = np.array([-1, -2, 5, 6], "i2").reshape(1, 2, 2)
    data = netcdf4(
        {"a": ("tyx", stored, {"_Unsigned": "true", "_FillValue": np.int16(-1)})},
        t={"units": "days since 2018-01-01", "values": np.array([0])},
        y=np.array([15.0, 5.0]),
    )
    read = layer(data)
    assert read.header.dtype == "uint16"
    assert read.header.nodata == 65_535
    assert read.array.reshape(-1).tolist() == [65_535, 65_534, 5, 6]


@pytest.mark.parametrize(
    ("units", "value", "expected"),
    [
        ("seconds since 2017-08-04 10:53:28", 10, "2017-08-04T10:53:38+00:00"),
        ("hours since 1900-01-01 00:00:00.0", 24, "1900-01-02T00:00:00+00:00"),
        ("minutes since 2020-02-28T23:59:00Z", 2, "2020-02-29T00:01:00+00:00"),
        ("milliseconds since 1970-1-1 0:0:0 UTC", 1_500, "1970-01-01T00:00:01.500000+00:00"),
        ("days since 1990-01-01", 0.5, "1990-01-01T12:00:00+00:00"),
    ],
)
def test_times_are_counted_from_where_their_unit_says(units, value, expected):
    data = netcdf4(
        {"a": ("tyx", cube((1, 4, 2)), {})}, t={"units": units, "values": np.array([value])}
    )
    assert [moment.isoformat() for moment in layer(data).header.times] == [expected]


def test_signed_and_unsigned_numbers_are_not_taken_for_each_other():
    variables = {
        "a": ("tyx", cube(), {"_Unsigned": "true"}), "b": ("tyx", -cube(), {}),
        "c": ("tyx", -cube(), {}),
    }  # fmt: skip
    read = layer(netcdf4(variables))
    assert (read.array.min(), read.header.dtype) == (-23, "int16")
    assert read.header.warnings == ("variables: leaves out a",)


def test_times_may_be_texts():
    days = np.array(["2018-01-01", "2018-01-09T10:00:00Z", "20180117"], object)
    read = layer(netcdf4({"a": ("tyx", cube(), {})}, t={"values": days, "axis": "T"}))
    assert [moment.day for moment in read.header.times] == [1, 9, 17]


@pytest.mark.parametrize(
    "t",
    [
        {"units": "months since 2018-01-01", "values": np.arange(3)},
        {"units": "days since 2018-01-01", "calendar": "360_day", "values": np.arange(3)},
        {"units": "days since 2018-13-01", "values": np.arange(3)},
        {"units": "days since 2018-01-01", "values": np.array([0, np.nan, 2])},
        {"units": "days since 2018-01-01", "values": np.array([0, 1e12, 2])},
        {"values": np.array(["2018-01-01", "soon", "2018-01-03"], object), "axis": "T"},
    ],
)
def test_times_that_are_none_leave_the_series_undated_and_say_so(t):
    read = layer(netcdf4({"a": ("tyx", cube(), {})}, t=t))
    assert read.header.times == ()
    assert read.header.warnings[0].startswith("times: has ")
    assert read.header.shape == (3, 1, 4, 2)


def test_an_uneven_grid_has_no_place():
    read = layer(netcdf4({"a": ("tyx", cube(), {})}, y=np.array([45.0, 35.0, 20.0, 15.0])))
    assert read.transform is None
    assert read.header.warnings == (
        "grid: has coordinates that are no even grid, so it has no place",
    )


@pytest.mark.parametrize("y", [np.zeros(0), np.array([45.0, 35.0]), np.arange(9.0)])
def test_coordinates_of_another_number_than_rows_give_no_place(y):
    read = layer(netcdf4({"B02": ("tyx", cube(), {})}, y=y))
    assert read.transform is None
    assert any(one.startswith("grid: ") for one in read.header.warnings)


def test_one_pixel_is_as_wide_as_the_file_says():
    one = {"a": ("tyx", cube((3, 1, 1)), {"resolution": 1000})}
    data = netcdf4(one, y=np.array([500.0]), x=np.array([250.0]))
    assert layer(data).transform == (1000, 0, -250, 0, -1000, 1000)
    unsaid = netcdf4({"a": ("tyx", cube((3, 1, 1)), {})}, y=np.array([500.0]), x=np.array([250.0]))
    assert layer(unsaid).transform is None


def test_what_is_one_number_a_step_is_a_series_of_single_pixels_without_a_place():
    read = layer(netcdf4({"sun": ("t", np.array([10.0, 20.0, 30.0], "f4"), {})}), "sun")
    assert read.header.shape == (3, 1, 1, 1)
    assert (read.header.crs, read.transform, len(read.header.times)) == (None, None, 3)


def test_planes_without_time_are_bands():
    read = layer(netcdf4({"LC": ("yx", cube((4, 2)), {}), "CT": ("yx", cube((4, 2)), {})}))
    assert read.header.shape == (2, 4, 2)
    assert read.header.times == ()


def test_a_crs_may_be_said_by_an_attribute_and_a_null_shift_is_none():
    said = netcdf4({"a": ("tyx", cube(), {"crs": "+init=epsg:32631"})}, crs=None)
    assert layer(said).header.crs == "EPSG:32631"
    shifted = UTM.replace(',AUTHORITY["EPSG","6326"]]', ",TOWGS84[0,0,0,0,0,0,0]]")
    assert layer(netcdf4({"a": ("tyx", cube(), {})}, crs=shifted)).header.crs == "EPSG:32633"


def test_a_crs_that_calls_itself_by_a_wrong_code_is_not_believed():
    wrong = UTM.replace('"central_meridian",15', '"central_meridian",9')
    assert layer(netcdf4({"a": ("tyx", cube(), {})}, crs=wrong)).header.crs != "EPSG:32633"


def test_a_crs_that_is_none_is_refused():
    with pytest.raises(UnreadableError) as caught:
        layer(netcdf4({"a": ("tyx", cube(), {})}, crs="PROJCS[nonsense"))
    assert caught.value.check == "crs"


# --------------------------------------------------------------- classic format
def classic(version=1, *, records=3):
    """Return a classic netCDF file with records of odd size, as an independent writer makes it."""
    memory = io.BytesIO()
    file = netcdf_file(memory, "w", version=version)
    for name, size in {"t": None, "y": 4, "x": 2}.items():
        file.createDimension(name, size)
    values = {
        "t": (("t",), "i4", np.arange(records) * 10, {"units": "days since 2018-01-01"}),
        "y": (("y",), "f8", 45.0 - 10 * np.arange(4), {}),
        "x": (("x",), "f8", 5.0 + 10 * np.arange(2), {}),
        "B1": (("t", "y", "x"), "i2", cube((records, 4, 2)), {"grid_mapping": "crs"}),
        "odd": (("t",), "i2", np.arange(records), {}),
    }
    for name, (axes, kind, array, said) in values.items():
        variable = file.createVariable(name, kind, axes)
        variable[:] = array
        for key, value in said.items():
            setattr(variable, key, value)
    file.title = "small"
    file.flush()
    return memory.getvalue()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("records", [1, 3])
def test_classic_files_are_read_like_new_ones(version, records):
    read = layer(classic(version, records=records), "B*")
    np.testing.assert_array_equal(read.array[:, 0], cube((records, 4, 2)))
    assert read.array.dtype == np.int16
    assert read.transform == (10, 0, 0, 0, -10, 50)
    assert [moment.day for moment in read.header.times] == [1, 11, 21][:records]
    assert '"title": "small"' in read.header.said
    odd = layer(classic(version, records=records), "odd").array
    assert odd.reshape(-1).tolist() == list(range(records))


@pytest.mark.parametrize("keep", [4, 7, 30, 120, 200, 300, -8])
def test_classic_files_that_are_cut_short_are_refused(keep):
    with pytest.raises(UnreadableError):
        layer(classic()[:keep], "B*")


def test_classic_files_that_rot_are_refused_or_read():
    sound = classic()
    random = np.random.default_rng(3)
    for _ in range(400):
        rotten = bytearray(sound)
        for place in random.integers(4, len(sound), 3):
            rotten[place] ^= 1 << int(random.integers(0, 8))
        try:
            layer(bytes(rotten), "*")
        except UnreadableError:
            continue


def test_a_classic_file_that_declares_more_than_it_has_is_refused_before_memory_is_taken():
    side = b"\0\0\0\x01y\0\0\0" + struct.pack(">I", 4)
    data = classic()
    assert data.count(side) == 1
    with pytest.raises(UnreadableError) as caught:
        layer(data.replace(side, side[:-4] + struct.pack(">I", 1 << 30)), "B*")
    assert caught.value.check == "too-large"


def test_an_unknown_version_is_refused():
    with pytest.raises(UnreadableError, match="netCDF of version 9"):
        layer(b"CDF\x09" + bytes(64))

"""NumPy's own files are read without running anything that they say."""

import io
import pickle

import numpy as np
import pytest

from registry.curate.formats.decode import Decoder
from registry.curate.formats.decoded import UnreadableError


def npy(array, **options):
    memory = io.BytesIO()
    np.lib.format.write_array(memory, array, **options)
    return memory.getvalue()


def layer(data, name="data"):
    return Decoder().decode(f"a.npy/{name}", data)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<i2", ">f4", "<f2", "u1", "bool"])
def test_arrays_come_as_they_are_stored(order, dtype):
    array = np.asarray(np.arange(120).reshape(2, 3, 4, 5) % 7, dtype, order=order)
    np.testing.assert_array_equal(layer(npy(array)).array, array)
    np.testing.assert_array_equal(layer(npy(array[0]), "data[1:]").array, array[0, 1:])


class Trap:
    def __reduce__(self):
        return print, ("run",)


def header(text, version=b"\x01\x00"):
    size = len(text).to_bytes(2, "little")
    return b"\x93NUMPY" + version + size + text.encode() + bytes(64)


@pytest.mark.parametrize(
    "data",
    [
        npy(np.array([Trap()], object), allow_pickle=True),
        npy(np.zeros((4, 4), [("a", "i4")])),
        npy(np.zeros((4, 4)))[:-1],
        npy(np.zeros((4, 4)))[:20],
        header("{'descr': '<u1', 'fortran_order': False, 'shape': (1048576, 1048576)}"),
        header("{'descr': '<u1', 'fortran_order': False, 'shape': (-4, 4)}"),
        header("{'descr': '<u1', 'fortran_order': False, 'shape': (4, 4, 4, 4, 4)}"),
        header("__import__('os').abort()"),
        header("{[]: 1}"),
        header("(" * 9_000),
        header("{'descr': '<u1'"),
        header("{}", version=b"\x03\x00"),
        b"\x93NUMPY" + pickle.dumps(1),
    ],
)
def test_hostile_files_are_refused(data, capsys, recwarn):
    with pytest.raises(UnreadableError):
        layer(data)
    assert capsys.readouterr().out == ""

"""A path may name one array of a file that holds several."""

import pytest

from registry.curate.formats.layers import Layer, split_layer
from registry.errors import InvalidInputError, NotFoundError


@pytest.mark.parametrize(
    ("path", "file", "layer"),
    [
        ("10186/s2.h5/*", "10186/s2.h5", "*"),
        ("a/B.NC/B*,!B10", "a/B.NC", "B*,!B10"),
        ("a.h5", "a.h5", None),
        ("a.tif/data", "a.tif/data", None),
        ("a.h5/b/c", "a.h5/b/c", None),
        ("DATA_S2/S2_1.npy/data[0]", "DATA_S2/S2_1.npy", "data[0]"),
    ],
)
def test_a_layer_stands_behind_a_file(path, file, layer):
    assert split_layer(path) == (file, layer)


@pytest.mark.parametrize("text", ["", "[0]", "a[", "a[x]", "a[-1]", "a[1:2:3]", "a[0]b"])
def test_what_names_no_array_is_refused(text):
    with pytest.raises(InvalidInputError):
        Layer.parse(text)


def test_a_listing_finds_the_file_of_a_layer(listed):
    listing = listed({"a.h5": b"x", "b.nc/real.tif": b"y"})
    assert listing.span("a.h5/data") == listing.span("a.h5")
    assert listing.span("b.nc/real.tif").size == 1
    with pytest.raises(NotFoundError):
        listing.span("c.h5/data")

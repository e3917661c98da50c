"""Words for subsets, and folders that stand for them."""

import pyarrow as pa
import pytest

from registry.catalog.splits import is_subset_word, subset_of
from registry.curate.formats.splits import folder_split, split_of


@pytest.mark.parametrize(
    ("word", "subset"),
    [
        ("train", "train"),
        ("Training", "train"),
        (" val ", "validate"),
        ("validation", "validate"),
        ("dev", "validate"),
        ("test", "test"),
        ("test-europe", "test:europe"),
        ("testament", None),
        ("test_../x", None),
        ("", None),
    ],
)
def test_a_source_s_word_becomes_the_lab_s(word, subset):
    assert subset_of(word) == subset


def test_a_class_may_begin_like_a_subset():
    assert is_subset_word("Val")
    assert not is_subset_word("Valley")


def test_samples_without_a_known_word_are_in_no_subset():
    ids = pa.chunked_array([["a", "b", "c"]])
    split = split_of(ids, pa.chunked_array([["test", None, "nobody knows"]]))
    assert split.to_pylist() == [{"sample": "a", "subset": "test", "fold": None}]


def planned(**files):
    return pa.table({"sample": list(files), "file": pa.array(files.values(), pa.string())})


def test_folders_are_a_split():
    split = folder_split(planned(a="x/Train/Forest/a.tif", b="x/val2017/Forest/b.tif", c="c.tif"))
    assert dict(zip(split["sample"].to_pylist(), split["subset"].to_pylist(), strict=True)) == {
        "a": "train",
        "b": "validate",
    }


@pytest.mark.parametrize(
    "files",
    [
        {"a": "test/a.tif", "b": "test/b.tif"},  # somebody's folder of trials
        {"a": "trains/a.tif", "b": "tests.tif"},
        {"a": None},
    ],
)
def test_what_divides_nothing_is_no_split(files):
    assert folder_split(planned(**files)) is None


def test_a_sample_in_two_subsets_is_in_none():
    files = pa.table({
        "sample": ["a", "a", "b"],
        "file": ["train/a.tif", "test/a_mask.tif", "train/b.tif"],
    })
    assert folder_split(files)["sample"].to_pylist() == ["b"]

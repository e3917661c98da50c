from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.formats.filenames import NamePattern, escape_id, sample_ids, time_from_name
from registry.errors import InvalidInputError


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57", "2017-06-13T10:10:31", None),
        (
            "S1A_IW_GRDH_1SDV_20240419T045904_20240419T045916_053498_067DF2",
            "2024-04-19T04:59:04",
            "2024-04-19T04:59:16",
        ),
        ("LC09_L2SP_089090_20240417_20240420_02_T1", "2024-04-17", "2024-04-17T23:59:59.999999"),
        ("HLS.S30.T13RCN.2024128T173909.v2.0.Fmask", "2024-05-07T17:39:09", None),
        ("x_HLS.S30.T10TGS.2018285.v1.4_merged", "2018-10-12", "2018-10-12T23:59:59.999999"),
        ("global_monthly_2018_02_mosaic_L15", "2018-02-01", "2018-02-28T23:59:59.999999"),
        ("Boadella_2020-01-13", "2020-01-13", "2020-01-13T23:59:59.999999"),
        ("1-12_20200824", "2020-08-24", "2020-08-24T23:59:59.999999"),
        ("T32VPH_20220825T103641_B04", "2022-08-25T10:36:41", None),
    ],
)
def test_a_name_says_the_time_as_exactly_as_it_is_written(name, start, end):
    time = time_from_name(name)
    assert time.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert time.end == datetime.fromisoformat(end or start).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    ["ship_219000177", "OAM-1238448-1046528-21", "patch_20201345", "change_20200113_20200117",
     "Forest_12", "tile_2020-02-30", "id_12345678901234"],
)  # fmt: skip
def test_a_name_without_one_plain_date_says_no_time(name):
    assert time_from_name(name) is None


def test_ids_are_the_last_names_when_those_differ():
    ids = sample_ids(["2750/Forest/Forest_12", "2750/River/River_1"])
    assert list(ids.values()) == ["Forest_12", "River_1"]


def test_ids_are_paths_below_what_all_have_in_common_when_names_recur():
    ids = sample_ids(["x/train/a/1", "x/train/b/1", "x/test/a/1"])
    assert list(ids.values()) == ["train__a__1", "train__b__1", "test__a__1"]


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), unique=True))
def test_ids_are_lawful_and_differ_under_case_folding(names):
    keys = [name for name in names if name.strip("/.")]
    ids = sample_ids(keys)
    assert len(ids) == len(set(keys))
    assert len({one.casefold() for one in ids.values()}) == len(ids)
    for one in ids.values():
        assert escape_id(one) == one
        assert ".." not in one


def test_a_pattern_names_parts_and_dates():
    parts = NamePattern.parse("{group}_%Y%m%d").match("post_fire/5-6_CASCADE_CREEK_20200817.tif")
    assert parts.group == "5-6_CASCADE_CREEK"
    assert parts.time.start == datetime(2020, 8, 17, tzinfo=UTC)


def test_a_pattern_may_be_a_regular_expression_over_folders():
    parts = NamePattern.parse(r"(?P<label>\w+)/{id}_(?P<date>\d{8})").match(
        "x/Forest/a_20200817.jpg"
    )
    assert (parts.label, parts.id, parts.time.end.day) == ("Forest", "a", 17)


def test_a_pattern_that_does_not_fit_says_nothing():
    assert NamePattern.parse("{id}_%Y%m%d").match("a/b.tif") is None


@pytest.mark.parametrize("text", ["(", "no_parts", "{other}", "x" * 501])
def test_a_pattern_that_cannot_be_meant_is_refused(text):
    with pytest.raises(InvalidInputError, match="pattern"):
        NamePattern.parse(text)

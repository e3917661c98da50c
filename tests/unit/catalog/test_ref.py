import pytest

from registry.catalog.ref import Ref, caller, draft_branch, is_tag
from registry.errors import InvalidInputError


@pytest.mark.parametrize(
    ("text", "dataset", "at"),
    [
        ("ships", "ships", None),
        ("ships@v3", "ships", "v3"),
        ("ships@anna/fix", "ships", "anna/fix"),
        ("ships@4be1d07", "ships", "4be1d07"),
        ("ships@draft", "ships", "draft"),
    ],
)
def test_a_ref_is_read_and_written_the_same(text, dataset, at):
    ref = Ref.parse(text)

    assert (ref.dataset, ref.at) == (dataset, at)
    assert str(ref) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@v1",
        "ships@",
        "Ships",
        "a",
        "ships@../x",
        "ships@v1@v2",
        "sh ips",
        "ships@a\nb",
        "ships@-x",
    ],
)
def test_what_can_name_nothing_is_refused(text):
    with pytest.raises(InvalidInputError):
        Ref.parse(text)


def test_only_numbers_without_leading_zeros_are_versions():
    assert is_tag("v1")
    assert is_tag("v120")
    assert not any(map(is_tag, ["v0", "v01", "v", "1", "v1.0", "V1", "v-1"]))


def test_a_draft_belongs_to_whoever_asks(monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "Anna Weiß/../x")

    assert caller() == "anna-wei-..-x"
    assert draft_branch("bob") == "draft/bob"


def test_a_user_without_a_name_is_told_how_to_give_one(monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "///")

    with pytest.raises(InvalidInputError, match="EOLAB_USER"):
        caller()

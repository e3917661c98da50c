"""Branches and tags keep their names on a server that allows fewer characters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidInputError
from registry.lake.lakefs.names import (
    OWN,
    branch_here,
    branch_on_server,
    is_hidden_key,
    tag_here,
    tag_on_server,
)
from registry.lake.names import check_branch

PART = st.text("ax_025ef.+-", min_size=1, max_size=8)


@given(st.lists(PART, min_size=1, max_size=4).map("/".join))
def test_a_name_comes_back_from_the_server(name):
    try:
        check_branch(name)
    except InvalidInputError:
        return
    on_server = branch_on_server(name)
    assert re.fullmatch(r"\w[-\w]*", on_server, re.ASCII)
    assert branch_here(on_server) == name
    assert tag_here(tag_on_server(name)) == name
    assert "/" not in tag_on_server(name)


@pytest.mark.parametrize(
    ("name", "on_server"),
    [("main", "main"), ("anna/fix", "anna__fix"), ("my_branch", "my_branch"), ("a.b", "a_x2e_b")],
)
def test_plain_names_stay_as_they_are(name, on_server):
    assert branch_on_server(name) == on_server


def test_nobodys_branch_is_taken_for_one_of_the_machinery():
    assert not branch_on_server(f"{OWN}notes").startswith(OWN)
    assert branch_here(branch_on_server(f"{OWN}notes")) == f"{OWN}notes"


@pytest.mark.parametrize("name", ["__", "a___b", "_x00_", "_x2f_", "a_x61_", "-a", ""])
def test_what_no_name_becomes_is_no_name_here(name):
    assert branch_here(name) is None


def test_the_machinerys_objects_are_told_from_a_datasets():
    assert is_hidden_key("_eolab/head")
    assert is_hidden_key("_lakefs_actions/x.yaml")
    assert not is_hidden_key("_eolab")
    assert not is_hidden_key("a/_eolab/head")

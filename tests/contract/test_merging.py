"""Merges, decisions, reverts and picks are the same on every lake; the facts are stated elsewhere.

``tests/unit/catalog/test_pending.py`` holds them all to the embedded lake; here those that lean on
what a lake does are held to lakeFS.
"""

import pytest

from registry.catalog import Registry, Spec
from tests.unit.catalog.test_pending import (  # noqa: F401 — collected here once more
    clashing,
    parted,
    test_a_commit_in_the_middle_is_taken_back_row_by_row,
    test_a_commit_that_was_built_upon_is_a_conflict_to_decide,
    test_a_deleted_sample_that_stays_comes_back_with_all_that_speaks_of_it,
    test_a_file_where_the_other_side_has_a_folder,
    test_a_half_kept_merge_counts_for_nothing,
    test_a_key_of_the_card_that_both_changed,
    test_a_merge_that_waits_can_be_dropped,
    test_a_pick_that_conflicts_waits_and_ends_once,
    test_a_table_that_was_compacted_since_is_reverted_by_its_rows,
    test_decisions_hold_when_sides_move_and_only_what_is_new_is_asked,
    test_one_commit_of_another_branch_is_picked,
    test_the_last_decision_ends_the_merge,
    test_what_a_merge_brought_is_taken_back_whole,
    test_what_waits_survives_garbage_collection_and_the_deletion_of_its_source,
)


@pytest.fixture
def registry(lakefs_lake, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    return Registry(lake=lakefs_lake)


@pytest.fixture
def ships(registry):
    registry.create(Spec(name="ships", licence="MIT", authors=("Ada Lovelace",)))
    return registry

"""Many writers at once: nothing is lost, doubled or failed."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from registry import lake
from registry.errors import ConflictError
from tests.faults.crowd import (
    check_history,
    commit_on_a_branch_each,
    commit_on_one_branch,
    in_children,
)

WRITERS = 8
COMMITS = 12


@pytest.fixture
def repo(tmp_path):
    return lake.init(str(tmp_path / "lake")).create("ships")


def address(repo):
    return str(repo._layout.root.parents[1])


def test_eight_processes_commit_on_one_branch(repo):
    commit_on_one_branch(address(repo), writers=WRITERS, commits=COMMITS)


def test_eight_processes_commit_on_eight_branches(repo):
    commit_on_a_branch_each(address(repo), writers=WRITERS, commits=COMMITS)


def test_a_counter_that_all_increase_by_compare_and_swap_misses_no_step(repo):
    with repo.transaction("main", message="begin") as transaction:
        transaction.put("counter", b"0")

    def increase(own):
        head = own.resolve("main")
        value = int(own.read("counter", at=head))
        with own.transaction("main", message="step", expected=head) as transaction:
            transaction.put("counter", b"%d" % (value + 1))

    def work(_):
        own, done = lake.connect(address(repo)).repository("ships"), 0
        while done < 5:
            try:
                increase(own)
                done += 1
            except ConflictError:
                continue

    in_children(4, work)
    assert repo.read("counter", at="main") == b"20"
    check_history(repo, "main", 22)


def test_threads_share_one_repository(repo):
    failures = []

    def work(number):
        try:
            for turn in range(COMMITS):
                with repo.transaction("main", message="thread") as transaction:
                    transaction.put(f"t{number}/{turn}", b"x" * number)
                assert repo.read(f"t{number}/{turn}", at="main") == b"x" * number
                repo.locate("main")
        except Exception as error:  # noqa: BLE001 — told to the main thread, which fails
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    check_history(repo, "main", 6 * COMMITS + 1)


def test_one_transaction_is_filled_by_many_threads(repo):
    with repo.transaction("main", message="together") as transaction:
        threads = [
            threading.Thread(target=lambda n=n: transaction.put(f"f/{n}", b"%d" % (n % 3)))
            for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(list(repo.entries("main"))) == 20


def test_one_name_is_given_to_one_of_many(repo):
    def work(number):
        own = lake.connect(address(repo))
        made = 0
        for name in ("alpha", "beta", "gamma"):
            try:
                own.create(name)
                made += 1
            except ConflictError:
                pass
        try:
            own.repository("ships").create_tag("v1", at="main")
            made += 100
        except ConflictError:
            pass
        Path(address(repo), f"made-{number}").write_text(str(made))

    in_children(WRITERS, work)
    made = sum(int(Path(address(repo), f"made-{number}").read_text()) for number in range(WRITERS))
    assert made == 103


def test_garbage_collection_runs_beside_writers_and_readers(repo):
    with repo.transaction("main", message="begin") as transaction:
        for number in range(30):
            transaction.put(f"kept/{number}", b"kept %d" % number)

    def work(number):
        own = lake.connect(address(repo)).repository("ships")
        for turn in range(6):
            if number < 2:
                own.gc(grace=timedelta(0))
            elif number < 5:
                with own.transaction("main", message="write") as transaction:
                    transaction.put(f"w{number}/{turn}", b"same bytes in all of them")
                own.create_branch(f"b{number}/{turn}", at="main")
                with own.transaction(f"b{number}/{turn}", message="drop") as transaction:
                    transaction.put("dropped", b"same bytes again, soon garbage")
                own.delete_branch(f"b{number}/{turn}")
            else:
                view = own.locate("main").path
                for kept in range(30):
                    assert (view / f"kept/{kept}").read_bytes() == b"kept %d" % kept
                    assert own.read(f"kept/{kept}", at="main") == b"kept %d" % kept

    in_children(WRITERS, work)
    assert list(repo.fsck()) == []
    assert len(list(repo.entries("main"))) == 30 + 3 * 6


def test_two_workspaces_of_one_branch_edited_at_once(repo):
    with repo.transaction("main", message="begin") as transaction:
        transaction.put("a", b"0")
    with repo.workspace("main") as one, repo.workspace("main") as two:
        (one.path / "a").write_bytes(b"one")
        (two.path / "a").write_bytes(b"two")
        one.commit("one")
        with pytest.raises(ConflictError):
            two.commit("two")
        assert (two.path / "a").read_bytes() == b"two"
    assert repo.read("a", at="main") == b"one"
    assert list(repo.fsck()) == []

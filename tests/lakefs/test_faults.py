"""A lake on a server that fails: what was asked for is done or is not, and what to do is said."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from registry.errors import RegistryError, UnavailableError
from registry.lake import connect
from tests.lakefs.conftest import hidden
from tests.lakefs.operations import OPERATIONS, content, prepare, put, state

WRITES = "^(POST|PUT|DELETE) "

PASSING = (
    {"status": 500, "message": "predicate failed"},
    {"drop": True},
    {"status": 429, "message": "Too many attempts, try again later", "applied": True},
    {"drop": True, "applied": True},
)


@pytest.fixture(params=OPERATIONS)
def operation(request, ships, place, fake):
    """An operation that is tried on one branch after another, and what it leads to."""
    act = OPERATIONS[request.param]

    def seen(number):
        return state(connect(place).repository("ships"), number)

    def attempt(number, match, **fault):
        """Return the state before, and the error."""
        prepare(ships, number)
        before = seen(number)
        fake.faults.add(match, **fault)
        try:
            act(ships, number)
        except RegistryError as error:
            return before, error
        finally:
            fake.faults.clear()
        return before, None

    attempt(0, ".", times=0)  # what is looked up once, is looked up here
    prepare(ships, 1)
    requests, writes = (fake.faults.add(match, times=0) for match in (".", WRITES))
    act(ships, 1)
    fake.faults.clear()
    return Operation(
        act=lambda number: act(ships, number),
        attempt=attempt,
        state=seen,
        after=seen(1),
        requests=requests.seen,
        writes=writes.seen,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    act: Callable
    attempt: Callable
    state: Callable
    after: dict
    requests: int
    writes: int


@pytest.mark.parametrize("applied", [False, True], ids=["lost", "done"])
def test_a_server_that_is_gone_from_any_write_on_leaves_all_or_nothing(operation, fake, applied):
    def end():
        fake.faults.add(".", times=None, drop=True)

    assert operation.writes > 1
    for step in range(1, operation.writes + 1):
        number = step + 1
        # Where applied, the last write still took effect; the client never hears of it.
        before, raised = operation.attempt(
            number, WRITES, nth=step, applied=applied, drop=True, meanwhile=end
        )
        found = operation.state(number)
        assert found in (before, operation.after), (step, raised)
        assert raised is None or (isinstance(raised, UnavailableError) and raised.hint), step
        assert raised is not None or found == operation.after, step
        if found == before:
            operation.act(number)
            assert operation.state(number) == operation.after, step


@pytest.mark.parametrize("first", [0, 2], ids=["lost-first", "done-first"])
def test_a_passing_fault_at_any_step_is_passed_over(operation, first):
    for step in range(1, operation.requests + 1):
        # Each step has a fault before it took effect in one run, and one after it in the other.
        fault = PASSING[(step + first) % len(PASSING)]
        _, raised = operation.attempt(step + 1, ".", nth=step, **fault)
        assert raised is None, step
        assert operation.state(step + 1) == operation.after, step


def test_a_slow_server_is_waited_for(ships, fake):
    fake.faults.add("POST", times=None, wait=0.05)
    ships.merge("anna/fix", into="main", message="merge")
    assert content(ships, "main")["b"] == b"2"


def test_a_server_that_is_stopped_says_so_and_comes_back(ships, fake):
    before = content(ships, "main")
    fake.stop()
    with pytest.raises(UnavailableError, match="does not answer"):
        put(ships, "main", {"d": b"4"})
    with pytest.raises(UnavailableError):
        ships.resolve("main")
    fake.start()
    assert content(ships, "main") == before
    put(ships, "main", {"d": b"4"})
    assert content(ships, "main")["d"] == b"4"


# -------------------------------------------------------------- large objects
def test_an_upload_that_loses_its_connection_once_arrives_whole(ships, fake, tmp_path):
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * (16 << 12))
    fake.faults.add("POST .*/objects", upload_bytes=5 << 20)
    with ships.transaction("main", message="large") as transaction:
        transaction.put_file("large.bin", file)
    assert ships.read("large.bin", at="main") == file.read_bytes()


def test_an_upload_that_never_gets_through_changes_nothing(ships, fake, tmp_path):
    before = content(ships, "main")
    file = tmp_path / "large"
    file.write_bytes(bytes(8 << 20))
    fake.faults.add("POST .*path=large", upload_bytes=1 << 20, times=None)
    with (
        pytest.raises(UnavailableError) as raised,
        ships.transaction("main", message="large") as transaction,
    ):
        transaction.put_file("large.bin", file)
    assert raised.value.hint
    fake.faults.clear()
    assert content(ships, "main") == before
    assert [branch for branch in hidden(fake) if "tx-" in branch] == []


def test_a_download_that_loses_its_connection_goes_on_where_it_was(ships, fake, strangers):
    data = bytes(range(256)) * (8 << 12)
    put(ships, "main", {"large.bin": data})
    other = strangers()
    fault = fake.faults.add("GET .*path=large", download_bytes=3 << 20, times=2)
    assert other.read("large.bin", at="main") == data
    assert fault.seen == 3

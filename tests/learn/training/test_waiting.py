"""A run tells how much of its time it waited for data, and what to do if that is much."""

from functools import partial
from itertools import count, islice

from registry.learn.training import fit
from registry.learn.training.waiting import Waiting, advice


def ticking(seconds):
    """Return a clock that goes on by so much whenever somebody looks."""
    times = count(step=seconds)
    return lambda: next(times)


def test_time_is_waited_for_or_worked_in():
    waiting = Waiting(clock=ticking(1))

    assert [*waiting.watched("abc")] == ["a", "b", "c"]
    assert (waiting.waited, waiting.worked, waiting.share) == (3, 3, 0.5)


def test_work_counts_even_if_no_more_is_asked_for():
    waiting = Waiting(clock=ticking(1))

    assert [*islice(waiting.watched("abc"), 1)] == ["a"]
    assert (waiting.waited, waiting.worked) == (1, 1)


def test_nothing_is_waited_for_where_nothing_comes():
    waiting = Waiting()
    assert [*waiting.watched(())] == []
    assert waiting.share == 0


def test_short_or_rare_waits_need_no_advice():
    assert advice([Waiting(waited=3, worked=3)], threads=2) is None
    assert advice([Waiting(waited=60, worked=6000)], threads=2) is None
    assert advice([], threads=2) is None
    assert "data.threads above 2" in advice([Waiting(waited=60, worked=60)] * 2, threads=2)


def test_a_run_knows_what_it_waited_for_data_in_each_epoch(shared, recipe_of, tmp_path):
    run = fit(shared.registry, recipe_of(shared.burns), seed=1, workdir=tmp_path)

    assert len(run.fitted.waiting) == 2
    assert all(0 < share < 1 for share in run.fitted.waiting)
    assert not any("wait" in name for *_, name, _ in run.fitted.history)


def test_a_hungry_run_says_so_when_it_ends(shared, recipe_of, tmp_path, monkeypatch, caplog):
    caplog.set_level("DEBUG", "eolab.training")
    monkeypatch.setattr("registry.learn.training.loop.Waiting", partial(Waiting, clock=ticking(10)))

    fit(shared.registry, recipe_of(shared.burns), seed=1, workdir=tmp_path)

    first, _, last = caplog.messages
    assert first.endswith("50 % of the time waiting for data")
    assert "waited for data 50 % of the time: set data.threads above 1" in last

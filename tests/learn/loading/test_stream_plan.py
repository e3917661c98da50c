"""The order of samples: pure arithmetic, so its properties are proven on numbers alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.geo import hilbert_key
from registry.learn.loading.foresight import spans_of
from registry.learn.loading.places import Places, Stored
from registry.learn.loading.plan import PIECES, Plan, pieces_of, window_of

GRID, BATCH, WINDOW, GROUP = 64, 32, 1024, 64


@st.composite
def plans(draw):
    groups = np.repeat(np.arange(8), draw(st.lists(st.integers(0, 30), min_size=8, max_size=8)))
    if not len(groups):
        groups = np.zeros(1, np.int64)
    sizes = np.full(len(groups), 10)
    pieces = pieces_of(groups=groups, sizes=sizes, piece_bytes=draw(st.integers(1, 200)))
    return {
        "pieces": pieces,
        "key": "k",
        "batch_size": draw(st.integers(1, 9)),
        "window": draw(st.integers(1, 300)),
        "seed": draw(st.integers(0, 3)),
        "shuffle": draw(st.booleans()),
    }


@given(plans(), st.integers(1, 5), st.integers(0, 3))
def test_ranks_have_each_sample_and_equally_many(plan, world, epoch):
    orders = [Plan(**plan, rank=rank, world=world).order(epoch) for rank in range(world)]
    count = len(plan["pieces"])
    assert {len(order) for order in orders} == {-(-count // world)}
    assert set(np.concatenate(orders)) == set(range(count))
    assert len(np.unique(np.concatenate(orders)[:count])) >= count - world


@given(plans())
def test_batches_are_the_order_cut_into_lengths(plan):
    made = Plan(**plan)
    order = made.order()
    batches = [made.batch(order, step) for step in range(len(made))]
    assert (np.concatenate(batches) == order).all()
    assert all(len(batch) == made.batch_size for batch in batches[:-1])
    parts = [made.of_window(order, window) for window in range(made.windows)]
    assert (np.concatenate(parts) == order).all()
    for step, batch in enumerate(batches):
        assert batch[0] in parts[made.window_at(step)]


@given(plans())
def test_a_piece_is_a_stretch_of_one_group(plan):
    assert (np.diff(plan["pieces"]) >= 0).all()
    assert set(np.diff(plan["pieces"]).tolist()) <= {0, 1}


def test_what_is_shuffled_is_part_of_the_chance():
    told = {"pieces": np.arange(100) // 4, "batch_size": 4, "window": 50, "seed": 1}
    assert (Plan(key="a", **told).order() != Plan(key="b", **told).order()).any()


def test_a_window_holds_so_many_bytes_and_enough_batches():
    small, large = np.full(10**6, 100), np.full(10**6, 4_000_000)
    assert window_of(sizes=small, batch_size=32) == 10**6
    assert window_of(sizes=large, batch_size=8) == PIECES
    assert window_of(sizes=large, batch_size=64) == 1024
    assert window_of(sizes=large, batch_size=64, window=5) == 5


@pytest.fixture(scope="module")
def ground():
    """Places of samples in the order that they lie in on disk."""
    y, x = np.divmod(np.arange(GRID * GRID), GRID)
    key = hilbert_key(x * 360 / GRID - 180 + 1, y * 180 / GRID - 90 + 1)
    return np.column_stack([x, y])[np.argsort(key)].astype(float)


def _plan(count, **more):
    groups = np.arange(count) // GROUP
    pieces = pieces_of(groups=groups, sizes=np.ones(count, np.int64), piece_bytes=WINDOW / PIECES)
    return Plan(pieces=pieces, key="k", batch_size=BATCH, window=WINDOW, **more)


def _spread(ground, order):
    """Return how far samples of a batch lie from their middle, squared, over all batches."""
    return ground[order].reshape(-1, BATCH, 2).var(axis=1).sum(axis=1).mean()


def test_batches_are_spread_over_the_ground_as_after_a_full_shuffle(ground):
    count = len(ground)
    full = [_spread(ground, np.random.default_rng(n).permutation(count)) for n in range(200)]
    ours = [_spread(ground, _plan(count, seed=n).order()) for n in range(40)]
    low, high = np.percentile(full, [2.5, 97.5])
    assert low <= np.mean(ours) <= high
    assert np.mean([low <= one <= high for one in ours]) >= 0.85
    assert _spread(ground, np.arange(count)) < 0.1 * low  # it would be seen
    by_group = _plan(count).order()[np.argsort(_plan(count).order() // GROUP, kind="stable")]
    assert _spread(ground, by_group) < 0.1 * low


def test_what_is_learnt_is_what_a_full_shuffle_teaches(ground):
    """The curve of validation losses lies where those of full shuffles lie; unshuffled not."""
    count = len(ground)
    chance = np.random.default_rng(0)
    waves = chance.normal(0, 0.08, (2, 40))
    inputs = np.cos(ground @ waves + chance.uniform(0, 6, 40)) / 4
    truth = inputs @ chance.normal(0, 4, 40) + chance.normal(0, 0.2, count)
    held = chance.random(count) < 0.2

    def curve(order_of):
        weights, losses = np.zeros(40), []
        for epoch in range(3):
            for batch in order_of(epoch).reshape(-1, BATCH):
                seen = batch[~held[batch]]
                error = inputs[seen] @ weights - truth[seen]
                weights -= 0.3 * inputs[seen].T @ error / max(1, len(seen))
            losses.append(((inputs[held] @ weights - truth[held]) ** 2).mean())
        return losses

    def shuffled(seed):
        return curve(lambda epoch: np.random.default_rng([seed, epoch]).permutation(count))

    low, high = np.percentile([shuffled(seed) for seed in range(60)], [2.5, 97.5], axis=0)
    ours = np.mean([curve(_plan(count, seed=seed).order) for seed in range(20)], axis=0)
    assert ((low <= ours) & (ours <= high)).all()
    assert (curve(lambda _: np.arange(count)) > high + 3 * (high - low)).all()


def _places(count, *, length=100):
    zeros = np.zeros(count, np.int32)
    stored = Stored(
        files=(), file=zeros, group=zeros, row=np.arange(count, dtype=np.int32),
        offset=4 + np.arange(count) * (length + 4), length=np.full(count, length),
        codec=np.ones(count, np.uint8),
    )  # fmt: skip
    return Places(
        asset="s2", stored=stored, form=zeros, forms=(("uint8", (1, 8, 8)),),
        nodata=np.full(count, np.nan), rows=np.arange(count),
    )  # fmt: skip


@given(st.sets(st.integers(0, 99), min_size=1))
def test_stretches_hold_what_is_wanted_and_at_most_four_times_as_much(samples):
    wanted = np.array(sorted(samples))
    place = _places(100)
    spans = list(spans_of(place, wanted, np.arange(100) // 20))
    read = sum(span.length for span in spans)
    assert read <= 4 * 100 * len(wanted)
    for sample in wanted:
        offset = int(place.stored.offset[sample])
        assert any(s.offset <= offset and offset + 100 <= s.offset + s.length for s in spans)


def test_a_whole_piece_is_one_read_and_scattered_chips_are_one_each():
    place = _places(100)
    pieces = np.zeros(100, np.int64)
    assert len(list(spans_of(place, np.arange(100), pieces))) == 1
    assert len(list(spans_of(place, np.array([0, 50, 99]), pieces))) == 3

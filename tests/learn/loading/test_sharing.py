"""What training reads is the same for any number of threads, and what plain formulas say."""

import numpy as np
import pytest

from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.loading.conversion import conversion
from registry.learn.loading.feed import feed
from registry.learn.loading.sharing import sharing
from registry.learn.loading.turning import Turn, quick
from tests.learn.loading.lakes import chip, lake_of, sample
from tests.learn.loading.simulated import simulated

MOVES = [(), ("flip", "rotate90"), ("crop:4x2", "flip"), ("rotate90", "jitter", "drop-modality")]


@pytest.fixture(scope="module")
def scars(tmp_path_factory):
    registry, ref = simulated(tmp_path_factory.mktemp("scars"), "burn-scars", samples=16)
    return registry.resolve(ref)


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    """Return a version of which some samples lack an asset, and some pixels were not observed."""

    def arrays(number):
        dem = {"dem": chip(number, bands=1, dtype=np.float32)} if number else {}
        return {"arrays": {"s2": chip(number)} | dem, "nodata": 101.0}

    registry, ref = lake_of(
        tmp_path_factory.mktemp("gaps"), [sample(n, **arrays(n)) for n in range(5)]
    )
    return registry.resolve(ref)


def epoch(version, threads, augment):
    return [
        {
            name: (one.dtype, one.shape, one.tobytes()) if isinstance(one, np.ndarray) else one
            for name, one in batch.items()
        }
        for batch in feed(version, batch_size=3, threads=threads, augment=augment)
    ]


@pytest.mark.parametrize("augment", MOVES)
@pytest.mark.parametrize("name", ["scars", "gaps"])
def test_batches_are_the_same_to_the_bit_for_any_number_of_threads(name, augment, request):
    version = request.getfixturevalue(name)
    alone = epoch(version, 0, augment)
    assert alone
    for threads in (1, 3):
        assert epoch(version, threads, augment) == alone


def test_a_turned_batch_is_what_the_formula_says_of_its_stored_values(scars):
    made = feed(scars, batch_size=3, threads=3, augment=("flip", "rotate90"), seed=5)
    plain = feed(scars, batch_size=3, threads=0, normalise=False, augment=("flip", "rotate90"),
                 seed=5)  # fmt: skip
    steps = made.conversion.steps[next(iter(made.conversion.steps))]
    centre, gain = (
        np.array([getattr(step, name) for step in steps]).reshape(-1, 1, 1)
        for name in ("centre", "gain")
    )
    for batch, stored in zip(made, plain, strict=True):
        values = stored["image"].astype(np.float64)
        wanted = (values - centre) * gain
        # the centre, the difference and the product are each rounded once
        room = 2 * np.finfo(np.float32).eps * (np.abs(values) + np.abs(centre)) * np.abs(gain)
        assert (np.abs(batch["image"] - wanted) <= room + 1e-12).all()
        assert np.array_equal(batch["mask"], stored["mask"])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_converting_a_turned_view_is_turning_what_was_converted(dtype):
    bands = tuple(Band(name=name, mean=40.0, std=7.0) for name in ("a", "b"))
    contract = Contract(inputs=(Input(asset="s2", bands=bands, nodata=9.0),))
    found = conversion(contract, contract)
    image = np.arange(70).reshape(2, 5, 7).astype(dtype)
    for number in range(16):
        turn = Turn(down=bool(number & 1), across=bool(number & 2), quarters=number // 4)
        view = turn.plane(image, size=None, step=(1, 1))
        assert np.array_equal(quick(view), view)
        turned = turn.plane(found.apply("s2", image), size=None, step=(1, 1))
        assert found.apply("s2", quick(view)).tobytes() == turned.tobytes()


def test_all_are_made_once_and_the_first_error_is_the_one_that_is_told():
    for threads in (0, 1, 3):
        with sharing(threads) as share:
            for count in (0, 1, 5, 32):
                made = np.zeros(count, int)

                def fill(numbers, made=made):
                    made[numbers.start : numbers.stop] += 1

                share(fill, count)
                assert (made == 1).all()

            def fail(numbers):
                raise ValueError(numbers.start)

            with pytest.raises(ValueError, match=r"^0$"):
                share(fail, 32)

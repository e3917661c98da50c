import signal
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from registry.catalog.card.spec import AssetSpec
from registry.curate.features.computing import FeaturesExistError, compute
from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.evaluating import FeatureFailedError
from registry.curate.features.planning import UnmetNeedsError, VersionWithdrawnError
from registry.curate.features.records import record_at
from registry.curate.features.scene import MissingInputError
from registry.curate.features.threads import on_threads
from registry.curate.features.verifying import FeaturesDifferError
from registry.errors import CorruptError, InvalidInputError
from registry.tables import store
from registry.tables.edit import delete, upsert
from registry.tables.schemas import ASSETS, PIXELS, SAMPLES

BY_ROW = FeatureSet(
    name="when", version=1, title="when",
    features=(Feature(name="day", meaning="d", formula="day", source="t", type=pa.int64()),),
    needs=Needs(columns=("datetime",)),
    by_row=lambda rows: pa.table({"day": pc.day(rows["datetime"])}),
)  # fmt: skip


@pytest.fixture
def version(lake, publish, counted, offered):
    offered(counted.set(), BY_ROW)
    return publish(lake)


def values(lake, ref, name="counted"):
    return lake.resolve(ref).table(f"features/{name}").sort_by("sample")


def commits(version):
    return [commit.id for commit in version.repository.log("derived/v1")]


# ------------------------------------------------------------------------------ what is kept
def test_a_set_is_a_table_beside_the_version(lake, version, toy):
    done = compute(lake, "toy@v1", ["counted", "when"])
    assert [(one.set, one.status, one.evaluated) for one in done.sets] == [
        ("counted", "computed", 12), ("when", "computed", 12),
    ]  # fmt: skip
    rows = values(lake, "toy@v1")
    assert rows["most"].to_pylist() == [int(toy.chip(n).max()) for n in range(12)]
    assert values(lake, "toy@v1", "when")["day"].to_pylist() == list(range(1, 13))
    assert rows["_problem"].null_count == 12
    assert lake.resolve("toy@v1").content_id == version.content_id


def test_all_sets_of_a_run_come_in_one_commit(lake, version):
    lake.derive(version)
    before = commits(version)
    done = compute(lake, "toy@v1", ["counted", "when"])
    assert commits(version) == [done.commit, *before]


def test_the_table_says_how_it_was_made(lake, version, counted):
    compute(lake, "toy@v1", ["counted"])
    record = record_at(lake.resolve("toy@v1").derived, "counted")
    assert (record.recipe, record.code) == (counted.set().recipe, counted.set().code)
    assert (record.content_id, record.commit) == (version.content_id, version.commit.id)
    assert (record.engine, record.evaluated, record.kept) == ("library", 12, 0)
    assert record.packages["numpy"] == np.__version__
    assert [one["formula"] for one in record.columns] == ["mean(b0)", "max"]


def test_a_draft_has_no_features_of_its_own(lake, version):
    with lake.draft("toy").edit("more to come") as root:
        (root / "NOTES.md").write_text("a draft", "utf-8")
    with pytest.raises(InvalidInputError, match="not published"):
        compute(lake, "toy@draft", ["counted"])


# ---------------------------------------------------------------------------- computed again
def test_what_is_up_to_date_is_not_computed_again(lake, version, counted):
    compute(lake, "toy@v1", ["counted"])
    counted.seen.clear()
    done = compute(lake, "toy@v1", ["counted"])
    assert (done.commit, done.sets[0].status, counted.seen) == (None, "there", [])


def test_computed_again_it_is_the_same_to_the_last_bit(lake, version, counted):
    compute(lake, "toy@v1", ["counted", "when"])
    before = commits(version)
    counted.seen.clear()
    done = compute(lake, "toy@v1", ["counted", "when"], again=True)
    assert [one.status for one in done.sets] == ["equal", "equal"]
    assert (len(counted.seen), commits(version)) == (12, before)


@pytest.mark.parametrize("moved", [np.nextafter(1.5, 2), -0.0])
def test_a_last_bit_that_moved_is_told_and_changes_nothing(lake, publish, offered, moved):
    first = 0.0 if moved == 0 else 1.5
    said = [first]
    made = FeatureSet(
        name="moody", version=1, title="m", needs=Needs(),
        features=(Feature(name="a", meaning="m", formula="?", source="t"),),
        by_scene=lambda _: {"a": said[0]},
    )  # fmt: skip
    offered(made)
    publish(lake)
    compute(lake, "toy@v1", ["moody"])
    said[0] = moved
    with pytest.raises(FeaturesDifferError, match=r"12 rows differ.*not pure"):
        compute(lake, "toy@v1", ["moody"], again=True)
    assert values(lake, "toy@v1", "moody")["a"].to_pylist() == [first] * 12


def test_another_recipe_takes_the_place_only_where_it_is_asked_to(lake, version, counted, offered):
    compute(lake, "toy@v1", ["counted"])
    offered(counted.set(version=2))
    with pytest.raises(FeaturesExistError, match="version"):
        compute(lake, "toy@v1", ["counted"])
    assert compute(lake, "toy@v1", ["counted"], again=True).sets[0].status == "computed"
    assert record_at(lake.resolve("toy@v1").derived, "counted").version == 2


# ------------------------------------------------------------------------ changed rows alone
@pytest.fixture
def edited(lake, version, publish, toy):
    """A second version: s03 has other pixels, s05 another time, s20 came and s11 went."""

    def change(root):
        fresh = [toy.encode(toy.chip(n, seed=7)) for n in (3, 20)]
        store.append(root, PIXELS, toy.rows(PIXELS, map(toy.pixels, fresh)))
        moved = [toy.asset(3, fresh[0]), toy.asset(20, fresh[1])]
        upsert(root, ASSETS, toy.rows(ASSETS, moved))
        late = toy.sample(5) | {"datetime": toy.sample(9)["datetime"]}
        upsert(root, SAMPLES, toy.rows(SAMPLES, [late, toy.sample(20)]))
        for table, key in (("samples", "id"), ("assets", "sample"), ("splits/default", "sample")):
            delete(root, table, where=f"{key} = 's11'")
        delete(root, "annotations", where="sample = 's11'")

    return lambda: publish(lake, change)


def test_only_changed_samples_are_computed_on_a_new_version(lake, counted, edited):
    compute(lake, "toy@v1", ["counted", "when"])
    counted.seen.clear()
    edited()
    done = compute(lake, "toy@v2", ["counted", "when"])
    assert sorted(counted.seen) == ["s03", "s20"]
    assert [(one.set, one.evaluated, one.kept, one.kept_from) for one in done.sets] == [
        ("counted", 2, 10, "v1"), ("when", 2, 10, "v1"),
    ]  # fmt: skip
    assert values(lake, "toy@v2", "when")["day"].to_pylist()[5] == 10


def test_what_was_taken_over_is_what_a_full_computation_gives(lake, counted, edited):
    compute(lake, "toy@v1", ["counted", "when"])
    edited()
    compute(lake, "toy@v2", ["counted", "when"])
    counted.seen.clear()
    done = compute(lake, "toy@v2", ["counted", "when"], again=True)
    assert [(one.status, one.evaluated) for one in done.sets] == [("equal", 12), ("equal", 12)]
    assert len(counted.seen) == 12


def test_a_failed_sample_stays_failed_with_its_reason(lake, counted, edited):
    counted.fails_on = frozenset({"s02"})
    compute(lake, "toy@v1", ["counted"])
    edited()
    done = compute(lake, "toy@v2", ["counted"])
    assert (done.sets[0].failed, done.sets[0].reasons[0].such_as) == (1, ("s02",))
    assert "ZeroDivisionError" in values(lake, "toy@v2")["_problem"].to_pylist()[2]


def test_a_failed_sample_is_computed_again_rather_than_taken_over(lake, counted, edited):
    counted.fails_on = frozenset({"s02"})
    compute(lake, "toy@v1", ["counted"])
    edited()
    counted.fails_on = frozenset()
    done = compute(lake, "toy@v2", ["counted"])
    assert (done.sets[0].failed, done.sets[0].reasons) == (0, ())
    row = values(lake, "toy@v2").to_pylist()[2]
    assert (row["_problem"], row["mean"] is None) == (None, False)


@pytest.mark.parametrize("ref", ["toy@v1", "toy@v2"])
def test_failures_that_are_there_stop_the_work_too(lake, counted, edited, ref):
    counted.fails_on = frozenset({"s02"})
    compute(lake, "toy@v1", ["counted"])
    edited()
    with pytest.raises(FeatureFailedError, match=r"'counted' fails on sample 's02'"):
        compute(lake, ref, ["counted"], on_error="stop")


def test_samples_that_lack_what_a_set_needs_do_not_stop_the_work(lake, publish, offered, counted):
    def lacking(scene):
        if scene.sample == "s02":
            raise MissingInputError("it has no band", hint="name it")
        return {"mean": 1.0}

    offered(counted.set(by_scene=lacking))
    publish(lake)
    said = [compute(lake, "toy@v1", ["counted"], on_error="stop").sets[0] for _ in range(2)]
    assert [(one.status, one.failed) for one in said] == [("computed", 1), ("there", 1)]


def test_another_card_is_another_input(lake, version, publish, counted):
    compute(lake, "toy@v1", ["counted"])
    counted.seen.clear()

    def rescaled(root):
        text = (root / "README.md").read_text("utf-8")
        (root / "README.md").write_text(text.replace("0.0001", "0.001"), "utf-8")

    publish(lake, rescaled)
    compute(lake, "toy@v2", ["counted"])
    assert len(counted.seen) == 12


def test_another_mask_of_clouds_is_another_input(lake, counted, offered, publish, toy):
    """The mask's role is not one that the set looks at, but it decides which pixels count."""
    clear, cloudy = (toy.encode(np.full((1, 6, 5), value, np.uint8)) for value in (4, 9))

    def with_masks(root):
        toy.fill(root)
        store.append(root, PIXELS, toy.rows(PIXELS, [toy.pixels(clear), toy.pixels(cloudy)]))
        masks = [toy.asset(n, clear, "scl") for n in range(12)]
        store.append(root, ASSETS, toy.rows(ASSETS, masks))

    def darken(root):
        upsert(root, ASSETS, toy.rows(ASSETS, [toy.asset(7, cloudy, "scl")]))

    card = replace(toy.card, assets={**toy.card.assets, "scl": AssetSpec(role="cloud")})
    offered(counted.set())
    publish(lake, with_masks, card)
    compute(lake, "toy@v1", ["counted"])
    counted.seen.clear()
    publish(lake, darken, card)
    compute(lake, "toy@v2", ["counted"])
    assert counted.seen == ["s07"]


# ---------------------------------------------------------------------------------- failures
def test_a_sample_on_which_a_function_raises_is_reported_and_the_rest_goes_on(
    lake, version, counted
):
    counted.fails_on = frozenset({"s04"})
    done = compute(lake, "toy@v1", ["counted"])
    said = done.sets[0]
    assert (said.failed, said.reasons[0].samples, said.reasons[0].such_as) == (1, 1, ("s04",))
    assert "nothing to divide in s04" in said.reasons[0].problem
    rows = values(lake, "toy@v1").to_pylist()
    assert rows[4]["mean"] is None
    assert rows[5]["mean"] is not None


def test_what_the_table_says_as_a_whole_names_no_sample(lake, version, counted):
    """A purge rewrites rows: what the log says beside them must not keep an id."""
    counted.fails_on = frozenset({"s04"})
    compute(lake, "toy@v1", ["counted"])
    log = lake.resolve("toy@v1").derived.path / "features/counted/_delta_log"
    said = "".join(
        line for file in log.glob("*.json") for line in file.read_text("utf-8").splitlines()
        if "metaData" in line
    )  # fmt: skip
    assert "eolab.features.recipe" in said
    assert "s04" not in said
    again = compute(lake, "toy@v1", ["counted"])
    assert again.sets[0].reasons[0].such_as == ("s04",)


def test_it_stops_at_the_first_failure_where_that_is_asked(lake, version, counted):
    counted.fails_on = frozenset({"s04"})
    with pytest.raises(FeatureFailedError, match=r"'counted' fails on sample 's04'"):
        compute(lake, "toy@v1", ["counted"], on_error="stop")
    assert "features/counted" not in lake.resolve("toy@v1").tables()


def test_a_set_that_the_version_cannot_have_is_refused_with_what_it_lacks(lake, publish, offered):
    needs = Needs(arrays=True, bands=("VV",))
    offered(FeatureSet(
        name="radarish", version=1, title="r", features=(), needs=needs, by_scene=lambda _: {}
    ))  # fmt: skip
    publish(lake)
    with pytest.raises(UnmetNeedsError, match="no asset has bands VV"):
        compute(lake, "toy@v1", ["radarish"])


@pytest.mark.parametrize(("letters", "named"), [
    (("VV", "VH"), "bands: [VV, VH], unit: dB"),
    (("E",), "bands: [E], unit: m"),
    (("N", "R"), "bands: [B02, B03, …], unit: reflectance, scale: 0.0001"),
])  # fmt: skip
def test_where_bands_have_no_names_the_hint_is_the_command_that_names_them(
    lake, publish, offered, toy, letters, named
):
    offered(FeatureSet(
        name="some", version=1, title="s", features=(), needs=Needs(arrays=True, any_band=letters),
        by_scene=lambda _: {},
    ))  # fmt: skip
    publish(lake, card=replace(toy.card, assets={}))
    with pytest.raises(UnmetNeedsError) as caught:
        compute(lake, "toy@v1", ["some"])
    assert f"eolab card toy --set 'assets.s2={{{named}}}'; then publish" in caught.value.hint


def test_all_leaves_out_what_the_version_cannot_have_and_says_why(
    lake, version, counted, monkeypatch
):
    from registry.curate.features import planning

    monkeypatch.setattr(planning, "names", lambda: ["counted", "terrain", "when"])
    done = compute(lake, "toy@v1", ["all"])
    assert [one.set for one in done.sets] == ["counted", "when"]
    assert done.left_out == {"terrain": "no asset has bands E"}


def test_a_dataset_without_samples_gets_empty_tables(lake, publish, counted, offered):
    offered(BY_ROW)
    publish(lake, lambda root: store.create(root, SAMPLES))
    assert compute(lake, "toy@v1", ["when"]).sets[0].evaluated == 0
    assert values(lake, "toy@v1", "when").num_rows == 0


# --------------------------------------------------------------------- meanwhile, and broken
def test_of_two_jobs_that_write_one_set_the_later_finds_it_there(lake, version):
    def while_running(work, out, progress):
        compute(lake, "toy@v1", ["counted"])
        on_threads(work, out, progress)

    done = compute(lake, "toy@v1", ["counted"], run=while_running)
    assert (done.sets[0].status, done.commit) == ("there", None)


def test_two_jobs_that_write_two_sets_both_keep_theirs(lake, version):
    barrier = threading.Barrier(2)

    def together(work, out, progress):
        on_threads(work, out, progress)
        barrier.wait()

    jobs = [
        threading.Thread(target=compute, args=(lake, "toy@v1", [name]), kwargs={"run": together})
        for name in ("counted", "when")
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    tables = lake.resolve("toy@v1").tables()
    assert {"features/counted", "features/when"} <= {*tables}


def test_a_version_that_is_withdrawn_meanwhile_gets_no_features(lake, version):
    def while_running(work, out, progress):
        on_threads(work, out, progress)
        lake.withdraw("toy@v1", "the labels were wrong")

    with pytest.raises(VersionWithdrawnError, match="the labels were wrong"):
        compute(lake, "toy@v1", ["counted"], run=while_running)
    assert "features/counted" not in lake.resolve("toy@v1").tables()


def test_a_run_that_breaks_leaves_nothing(lake, version):
    def broken(work, out, progress):
        on_threads(work, out, progress)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute(lake, "toy@v1", ["counted"], run=broken)
    assert lake.resolve("toy@v1").tables() == version.tables()


def test_samples_that_an_engine_loses_are_noticed(lake, version):
    def forgetful(work, out, progress):
        on_threads(work, out, progress)
        file = out / "part-0.parquet"
        pq.write_table(pq.read_table(file).slice(1), file)

    with pytest.raises(CorruptError, match="1 samples have no values"):
        compute(lake, "toy@v1", ["counted"], run=forgetful)


KILLED = """
import os, signal, sys
from registry import connect
from registry.curate.features import computing
from registry.curate.features.threads import on_threads

def killed(work, out, progress):
    on_threads(work, out, progress)
    os.kill(os.getpid(), signal.SIGKILL)

computing.compute(connect(sys.argv[1]), "toy@v1", ["statistics"], run=killed)
"""


def test_a_process_that_is_killed_leaves_nothing_and_the_next_one_succeeds(lake, version):
    process = subprocess.run(
        [sys.executable, "-c", KILLED, lake.lake.address], check=False, capture_output=True
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert "features/statistics" not in lake.resolve("toy@v1").tables()
    assert compute(lake, "toy@v1", ["statistics"]).sets[0].status == "computed"


# ------------------------------------------------------------------- rows of something else
def test_the_zones_of_annotations_are_a_table_with_a_key_of_its_own(lake, publish, toy):
    publish(lake)
    done = compute(lake, "toy@v1", ["zones", "labels"])
    assert [one.status for one in done.sets] == ["computed", "computed"]
    rows = lake.resolve("toy@v1").table("features/zones").to_pylist()
    assert [(row["annotation"], row["band"]) for row in rows[:3]] == [
        ("a1", "B04"), ("a1", "B08"), ("a11", "B04"),
    ]  # fmt: skip
    first = rows[0]
    assert (first["sample"], first["category"], first["count"]) == ("s01", "ship", 4.0)
    assert first["mean"] == pytest.approx(toy.chip(1)[0, 1:3, 1:3].mean() * 1e-4)
    assert len(rows) == 6 * 2
    assert compute(lake, "toy@v1", ["zones"]).sets[0].status == "there"
    assert compute(lake, "toy@v1", ["zones"], again=True).sets[0].status == "equal"

from registry.catalog.forgetting.purging import Wanted
from registry.curate.features.computing import compute


def test_a_purged_sample_is_forgotten_in_its_features_too(lake, publish, counted, offered):
    offered(counted.set())
    publish(lake)
    compute(lake, "toy@v1", ["counted", "statistics"])
    lake.purge("toy", Wanted(samples=frozenset({"s03"})), reason="asked to")
    version = lake.resolve("toy@v1")
    kept = version.table("features/counted")["sample"].to_pylist()
    assert sorted(kept) == [f"s{n:02}" for n in range(12) if n != 3]
    counted.seen.clear()
    done = compute(lake, "toy@v1", ["counted", "statistics"])
    assert [one.status for one in done.sets] == ["computed", "computed"]
    assert (done.sets[0].evaluated, done.sets[0].kept) == (0, 11)


def test_a_purged_samples_zones_are_forgotten_too(lake, publish):
    publish(lake)
    compute(lake, "toy@v1", ["zones"])
    lake.purge("toy", Wanted(samples=frozenset({"s03"})), reason="asked to")
    kept = lake.resolve("toy@v1").table("features/zones")["annotation"].to_pylist()
    assert sorted(set(kept)) == ["a1", "a11", "a5", "a7", "a9"]
    assert compute(lake, "toy@v1", ["zones"]).sets[0].status == "computed"
    assert lake.resolve("toy@v1").table("features/zones")["annotation"].to_pylist() == kept

from registry.catalog.registry import Registry
from registry.curate.features.computing import compute
from registry.curate.features.getting import features
from registry.lake import init
from tests.lakefs.server import running_server


def test_features_are_kept_on_a_lakefs_server_as_on_the_embedded_lake(
    tmp_path, person, monkeypatch, publish, counted, offered, toy
):
    offered(counted.set())
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    with running_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        registry = Registry(lake=init("lakefs:///features"))
        publish(registry)
        assert compute(registry, "toy@v1", ["counted", "statistics"]).commit is not None
        again = compute(registry, "toy@v1", ["counted", "statistics"], again=True)
        assert [one.status for one in again.sets] == ["equal", "equal"]
        rows = features(registry.resolve("toy@v1"), ["counted"]).sort_by("sample")
        assert rows["counted.most"].to_pylist() == [int(toy.chip(n).max()) for n in range(12)]

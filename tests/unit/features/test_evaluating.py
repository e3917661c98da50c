import pyarrow.parquet as pq

from registry.curate.features.threads import on_threads
from registry.curate.features.work import AssetFacts, Call, Work
from registry.lake.records import Location
from registry.progress import SILENT

S2 = AssetFacts(name="s2", bands=("B04", "B08"), common=("R", "N"), scale=(0.0001,))


def work_on(version, *names, **changes):
    said = {
        "root": version.root,
        "calls": tuple(Call(name=n) for n in names),
        "assets": (S2,),
        "arrays": True,
    }
    return Work(**said | changes)


def done(work, tmp_path):
    on_threads(work, tmp_path / "out", SILENT)
    return pq.read_table(tmp_path / "out" / "part-0.parquet").sort_by("sample")


def test_work_comes_back_from_its_text_as_it_was():
    work = Work(
        root=Location(uri="/data", storage_options={"a": "b"}),
        calls=(Call(name="spectral"), Call(name="mine", parameters={"k": 1})),
        assets=(AssetFacts(name="mask", role="labels", values={1: "ship"}), S2),
        columns=("datetime",), arrays=True, on_error="stop",
    )  # fmt: skip
    assert Work.from_json(work.to_json()) == work


def test_each_sample_gets_the_values_of_its_own_pixels(
    lake, publish, counted, offered, tmp_path, toy
):
    version = publish(lake)
    offered(counted.set())
    rows = done(work_on(version, "counted"), tmp_path)
    assert rows["sample"].to_pylist() == [f"s{n:02}" for n in range(12)]
    assert [row["most"] for row in rows["counted"].to_pylist()] == [
        int(toy.chip(n).max()) for n in range(12)
    ]
    assert rows["failures"].to_pylist() == [[]] * 12

"""Two people edit real labels on two branches: conflicts are found, decided, and nothing is lost.

What must come out is computed here from the rows before and what each of the two did, by plain
dicts; the merged tables are read by delta-rs and DuckDB as well.
"""

import json
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pytest
import shapely
from deltalake import DeltaTable

from registry.catalog.card import front
from registry.cli.app import run
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.publishing import publish
from registry.tables import edit
from registry.tables.schemas import ANNOTATIONS

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]
SENTINEL_2 = "B01,B02,B03,B04,B05,B06,B07,B08,B8A,B09,B11,B12"


@dataclass
class Lab:
    """A registry with what commands say about it."""

    registry: object
    capture: object

    def __call__(self, *arguments, status=0):
        self.capture.readouterr()
        came = run([*map(str, arguments)])
        out, err = self.capture.readouterr()
        assert came == status, err or out
        return out

    def asked(self, *arguments, status=0):
        return json.loads(self(*arguments, "--json", status=status))

    def set(self, ref, where, *assignments):
        sets = [part for one in assignments for part in ("--set", one)]
        self("edit", ref, "--table", "annotations", *sets, "--where", where, "-m", "looked again")

    def draw(self, ref, *rows):
        dataset, _, branch = ref.partition("@")
        with self.registry.draft(dataset, branch).edit("drew") as root:
            edit.upsert(root, ANNOTATIONS, pa.Table.from_pylist(rows, schema=ANNOTATIONS.arrow))

    def drop(self, ref, sample):
        for table, column in (("annotations", "sample"), ("assets", "sample"), ("samples", "id")):
            where = f"{column} = '{sample}'"
            self("edit", ref, "--table", table, "--delete", "--where", where)


@pytest.fixture
def lab(registry, capfd, monkeypatch):
    monkeypatch.setenv("EOLAB_LAKE", registry.lake.address)
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    return Lab(registry, capfd)


def rows(registry, ref, table="annotations", key="id"):
    return {row[key]: row for row in registry.resolve(ref).table(table).to_pylist()}


def ids(names):
    return ", ".join(f"'{name}'" for name in names)


def assert_others_read_the_same(version):
    """Hold what delta-rs and DuckDB find in every table to what the lab does."""
    for table in version.tables_published():
        if table == "pixels" or table.startswith("reports/"):
            continue
        key = [(k, "ascending") for k in (["sample", "asset"] if table == "assets" else ["id"])]
        ours = version.table(table).sort_by(key)
        folder = version.root.path / table
        found = DeltaTable(str(folder)).to_pyarrow_table().sort_by(key)
        names = [name for name in ours.column_names if name not in {"bbox", "source"}]
        assert found.select(names).cast(ours.select(names).schema) == ours.select(names)
        files = [str(folder / path) for path in DeltaTable(str(folder)).file_uris()]
        columns = ", ".join(f'"{name}"' for name, _ in key)
        counted = duckdb.sql(f"select {columns} from read_parquet({files}) order by all").fetchall()  # noqa: S608 — the table's own names
        assert counted == [tuple(r.values()) for r in ours.select([k for k, _ in key]).to_pylist()]


def test_two_people_edit_ships_and_every_change_arrives(lab, shared_data):
    registry = lab.registry
    said = SourceOptions.of(licence="MIT", provider="EarthPulse", bands=SENTINEL_2)
    ingest(registry, shared_data / "eotdl-s2-ships", into="ships", options=said, workers=2)
    publish(registry, "ships", message="as found")
    before = rows(registry, "ships")
    names = sorted(before)
    samples = [before[name]["sample"] for name in names]
    lab("branch", "ships", "anna/fix")
    lab("branch", "ships", "ben")

    # Anna: looks at the first ten, grades another, and throws one sample away.
    lab.set("ships@anna/fix", f"id in ({ids(names[:10])})", "method='manual'")
    lab.set("ships@anna/fix", f"id = '{names[12]}'", "score=0.25", "annotator='a'")
    lab.set("ships@anna/fix", f"id = '{names[20]}'", 'attributes=\'{"seen": "anna"}\'')
    lab.drop("ships@anna/fix", samples[30])
    lab(
        "edit",
        "ships@anna/fix",
        "--table",
        "annotations",
        "--delete",
        "--where",
        f"id = '{names[31]}'",
    )
    # Ben: looks at the last ten; grades the same one otherwise; draws on what Anna threw away.
    lab.set("ships@ben", f"id in ({ids(names[-10:])})", "method='derived'")
    lab.set("ships@ben", f"id = '{names[12]}'", "score=0.75", "status='accepted'")
    lab.set("ships@ben", f"id = '{names[20]}'", "status='accepted'")
    lab.set("ships@ben", f"id = '{names[31]}'", "score=0.9")
    new = {"id": "ben-1", "sample": samples[30], "category": "Boat", "frame": "crs"}
    lab.draw("ships@ben", new | {"geometry": before[names[30]]["geometry"]})

    lab("merge", "ships", "anna/fix")
    refused = lab.asked("merge", "ships", "ben", status=4)
    found = {(row["table"], row["key"], row["kind"]): row for row in refused["error"]["conflicts"]}
    assert set(found) == {
        ("annotations", names[12], "row"),
        ("annotations", names[31], "deleted"),
        ("samples", samples[30], "orphan"),
    }
    assert found["annotations", names[12], "row"]["columns"] == ["score"]
    assert "3 of 3 conflicts" in lab("conflicts", "ships")

    lab("resolve", "ships", "--theirs", "--where", "score > 0.5 and kind = 'row'")
    lab("resolve", "ships", "--ours", names[31])
    assert "merged ben into main" in lab(
        "resolve", "ships", "--theirs", samples[30], "--why", "a ship"
    )
    lab("publish", "ships", "-m", "two people's labels")

    expected = {name: dict(row) for name, row in before.items()}
    for name in names[:10]:
        expected[name]["method"] = "manual"
    for name in names[-10:]:
        expected[name]["method"] = "derived"
    expected[names[12]] |= {"score": 0.75, "annotator": "a", "status": "accepted"}
    expected[names[20]] |= {"attributes": '{"seen": "anna"}', "status": "accepted"}
    del expected[names[31]]
    version = registry.resolve("ships@v2")
    merged = rows(registry, "ships@v2")
    drawn = merged.pop("ben-1")
    assert merged == expected
    assert (drawn["sample"], drawn["category"]) == (samples[30], "Boat")
    assert drawn["area"] == pytest.approx(shapely.from_wkb(before[names[30]]["geometry"]).area)
    for table, key in (("samples", "id"), ("assets", "sample")):
        assert rows(registry, "ships@v2", table, key) == rows(registry, "ships@v1", table, key)
    for name in samples[:2] + samples[29:32]:
        asset = rows(registry, "ships@v2", "assets", "sample")[name]["asset"]
        after, was = (registry.resolve(ref).chip(name, asset) for ref in ("ships@v2", "ships@v1"))
        assert (after == was).all()
    assert_others_read_the_same(version)
    assert list(version.repository.fsck()) == []


def test_two_people_edit_buildings_and_a_commit_in_the_middle_is_taken_back(lab, shared_data):
    registry = lab.registry
    said = SourceOptions.of(
        licence="ODbL-1.0", provider="HOTOSM", time="2020/2022", classes=("building",)
    )
    source = shared_data / "fair-buildings-kampala"
    ingest(registry, source, into="kampala", options=said, workers=2)
    before = rows(registry, "kampala@draft")
    names = sorted(before)
    lab("branch", "kampala", "anna", "--at", "draft/anna")
    lab("branch", "kampala", "ben", "--at", "draft/anna")

    def moved(name, by):
        return shapely.to_wkb(
            shapely.transform(shapely.from_wkb(before[name]["geometry"]), lambda c: c + by)
        )

    # Both move corners of one outline; Anna's category of another is not Ben's; Ben says the card.
    for branch, by in (("anna", 1e-6), ("ben", -1e-6)):
        changed = dict(before[names[0]]) | {"geometry": moved(names[0], by)}
        lab.draw(f"kampala@{branch}", changed)
    lab.set("kampala@anna", f"id in ({ids(names[5:55])})", "method='manual'", "status='accepted'")
    wrong = registry.resolve("kampala@anna").commit.id
    lab.set("kampala@anna", f"id = '{names[5]}'", "status='rejected'")
    lab.set("kampala@anna", f"id = '{names[100]}'", "category='hut'")
    lab.set("kampala@ben", f"id in ({ids(names[50:150])})", "annotator='ben'")
    lab.set("kampala@ben", f"id = '{names[100]}'", "category='shed'")
    for branch, tag in (("anna", "roofs"), ("ben", "houses")):
        with registry.draft("kampala", branch).edit("say more") as root:
            card = root / "README.md"
            values = {"thumbnail": f"{tag}.png", "tags": [tag]}
            card.write_text(front.changed(card.read_text(), values))

    lab("merge", "kampala", "ben", "--into", "anna", status=4)
    found = lab.asked("conflicts", "kampala")["conflicts"]
    assert {(row["kind"], row["key"]) for row in found} == {
        ("row", names[0]),
        ("row", names[100]),
        ("card", "thumbnail"),
    }
    outline = next(row for row in found if row["key"] == names[0])
    assert shapely.from_wkt(outline["theirs"]["geometry"]).equals_exact(
        shapely.from_wkb(moved(names[0], -1e-6)), 1e-9
    )
    lab("resolve", "kampala", "--theirs", names[0])
    lab("resolve", "kampala", "--set", "thumbnail=both.png", "thumbnail")
    lab("resolve", "kampala", "--set", "category='building'")

    merged = rows(registry, "kampala@anna")
    expected = {name: dict(row) for name, row in before.items()}
    for name in names[5:55]:
        expected[name] |= {"method": "manual", "status": "accepted"}
    for name in names[50:150]:
        expected[name]["annotator"] = "ben"
    expected[names[5]]["status"] = "rejected"
    expected[names[0]] |= {"geometry": moved(names[0], -1e-6), "area": merged[names[0]]["area"]}
    assert merged == expected
    assert merged[names[0]]["area"] == pytest.approx(before[names[0]]["area"], rel=1e-6)
    spec = registry.resolve("kampala@anna").spec
    assert (spec.thumbnail, set(spec.tags)) == ("both.png", {"roofs", "houses"})

    # Anna's first commit was a mistake; what she said later of one of its rows is a conflict.
    lab("revert", "kampala", wrong[:12], "--on", "anna", status=4)
    assert [row["key"] for row in lab.asked("conflicts", "kampala")["conflicts"]] == [names[5]]
    lab("resolve", "kampala", "--ours", "--why", "it was rejected for good")
    for name in names[5:55]:
        expected[name] |= {"method": None, "status": None}
    expected[names[5]] |= {"status": "rejected"}
    assert rows(registry, "kampala@anna") == expected
    # Ben gets it all by itself, and nobody else's change.
    lab("cherry-pick", "kampala", wrong[:12], "--on", "draft")
    picked = rows(registry, "kampala@draft")
    assert {name for name in names if picked[name] != before[name]} == set(names[5:55])
    assert_others_read_the_same(registry.resolve("kampala@anna"))
    assert list(registry.lake.repository("kampala").fsck()) == []

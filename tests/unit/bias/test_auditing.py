"""An audit of a dataset in a lake: what is kept, what is said, and what odd samples do to it."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely

from registry.curate.bias import audit
from registry.curate.bias.auditing import reference_population
from registry.curate.bias.predictions import written
from registry.curate.bias.sampling import allot, suggest
from registry.errors import InvalidInputError, NotFoundError
from registry.tables.schemas import MEASURES, declared

HOSTILE = "<script>alert('x')</script>\n\x1b[31mred\u202e"


def row(name, lon=25.0, lat=60.5, label=("forest",), day=0, **more):
    place = None if lon is None else shapely.box(lon, lat, lon + 0.01, lat + 0.01).wkb
    time = None if day is None else datetime(2020, 1, 1, 10, tzinfo=UTC) + timedelta(days=day)
    return {"id": name, "geometry": place, "datetime": time, "label": list(label), **more}


def many(count=60):
    return [
        row(f"s{n:03d}", 20 + n % 10, 45 + n % 7, ["a"] if n % 3 else ["b"], day=n * 5)
        for n in range(count)
    ]


def test_figures_and_weights_are_kept_beside_a_published_version(registry, dataset):
    dataset(many())
    report = audit(registry, "fields@v1")
    version = registry.resolve("fields@v1")

    assert declared("reports/bias") is MEASURES
    assert version.table("reports/bias").equals(report.measures)
    assert report.measures.schema.equals(MEASURES.arrow)
    assert len(set(report.measures["id"].to_pylist())) == report.measures.num_rows
    weights = version.table("features/bias-weights")
    assert weights.column_names == ["sample", "weight"]
    assert sorted(weights["sample"].to_pylist()) == [f"s{n:03d}" for n in range(60)]
    assert pc.mean(weights["weight"]).as_py() == pytest.approx(1)
    assert "reports/bias" not in version.tables_published()


def test_auditing_again_gives_the_same_figures_and_no_new_commit(registry, dataset):
    dataset(many())
    first = audit(registry, "fields@v1")
    before = registry.resolve("fields@v1").derived_at
    again = audit(registry, "fields@v1")

    assert again.measures.equals(first.measures)
    assert registry.resolve("fields@v1").derived_at == before


def test_a_draft_is_measured_but_nothing_is_kept(registry, dataset):
    version = dataset(many(), publish=False)
    report = audit(registry, "fields@draft")

    assert report.samples == 60
    assert registry.resolve("fields@draft").derived_at is None
    assert version.tag is None


def test_a_withdrawn_version_is_measured_says_so_and_keeps_nothing(registry, dataset):
    dataset(many())
    registry.withdraw("fields@v1", "wrong\nlabels")
    report = audit(registry, "fields@v1")

    assert report.withdrawn == "wrong\nlabels"
    assert "withdrawn: wrong labels" in report.to_text()
    assert registry.resolve("fields@v1").derived_at is None


def test_every_figure_names_its_reference_and_its_version(registry, dataset):
    dataset(many())
    report = audit(registry, "fields@v1", keep=False)
    told = report.measures

    assert told["reference"].null_count == 0
    spatial = told.filter(pc.equal(told["measure"], "representation"))
    assert set(spatial["reference"].to_pylist()) == {report.against}
    assert report.against.startswith("land (")
    assert {one.name for one in report.references} >= {"land", "climate", "countries"}
    assert all(one.version for one in report.references)


def test_samples_without_place_or_time_are_counted_and_said(registry, dataset):
    samples = [*many(), row("nowhere", lon=None), row("never", day=None)]
    dataset(samples)
    report = audit(registry, "fields@v1", keep=False)

    assert (report.samples, report.unplaced, report.undated) == (62, 1, 1)
    unknown = {one["dimension"]: one["count"] for one in report.of("unknown")}
    assert unknown["continent"] == 1
    assert unknown["month"] == 1
    assert "1 without a place, 1 without a time" in report.to_text()


def test_samples_all_without_place_and_time_give_a_report(registry, dataset):
    dataset([row(f"s{n}", lon=None, day=None) for n in range(20)])
    report = audit(registry, "fields@v1")

    assert (report.unplaced, report.undated) == (20, 20)
    assert not report.of("representation")
    assert not report.of("clustering")
    assert report.cells().num_rows == 0
    assert "features/bias-weights" not in registry.resolve("fields@v1").tables()


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [row("only")],
        [row("only", lon=None, day=None, label=())],
        [row(f"s{n}") for n in range(30)],
    ],
    ids=["none", "one", "one that says nothing", "all in one stratum and class"],
)
def test_datasets_too_small_to_be_biased_give_a_report(registry, dataset, samples):
    dataset(samples)
    report = audit(registry, "fields@v1")

    assert report.samples == len(samples)
    assert not report.of("association")
    assert not report.of("shortcut")
    assert report.to_text()
    assert json.dumps(report.facts(), default=str)


def test_a_dataset_without_samples_is_refused(registry):
    from registry.catalog import Spec

    registry.create(Spec(name="empty"))
    with pytest.raises(InvalidInputError, match="has no samples"):
        audit(registry, "empty@draft")


def test_hostile_names_of_classes_do_not_reach_the_terminal(registry, dataset):
    samples = many()
    for one in samples[:20]:
        one["label"] = [HOSTILE]
    dataset(samples)
    report = audit(registry, "fields@v1", keep=False)
    words = report.to_text() + "".join(filter(None, report.measures["note"].to_pylist()))

    assert HOSTILE in report.measures["class"].to_pylist()
    assert "\x1b" not in words
    assert "\u202e" not in words
    assert all("\n" not in note for note in report.measures["note"].to_pylist())


def test_annotations_stand_in_for_labels_and_their_makers_are_strata(registry, dataset):
    samples = [{**one, "label": None} for one in many()]
    annotations = [
        {
            "id": f"a{n}", "sample": f"s{n:03d}", "category": "ship" if n % 2 else "buoy",
            "annotator": "anna" if n % 2 else "ben", "method": "manual",
            "status": "rejected" if n == 59 else "accepted",
        }
        for n in range(20, 60)
    ]  # fmt: skip
    dataset(samples, annotations=annotations)
    report = audit(registry, "fields@v1", keep=False)

    classes = {one["class"]: one["count"] for one in report.of("class")}
    assert classes == {"buoy": 20, "ship": 19}
    assert report.unlabelled == 21
    assert report.of("label-source", "annotator of annotations")[0]["flagged"]
    assert {"anna", "ben"} <= set(report.strata("annotator")["stratum"].to_pylist())


def test_splits_are_a_dimension(registry, dataset):
    subsets = {f"s{n:03d}": "train" if n < 40 else "test" for n in range(60)}
    dataset(many(), subsets=subsets)
    report = audit(registry, "fields@v1", keep=False)

    assert report.strata("split default").filter(pc.field("class").is_null()).to_pylist() == [
        {"stratum": "train", "class": None, "count": 40},
        {"stratum": "test", "class": None, "count": 20},
    ]
    assert report.of("split-shift")


def test_predictions_of_a_file_are_scored(registry, dataset, tmp_path):
    dataset(many())
    file = tmp_path / "guesses.csv"
    file.write_text("sample,prediction\n" + "".join(f"s{n:03d},a\n" for n in range(60)))
    report = audit(registry, "fields@v1", predictions=str(file), keep=False)
    [overall] = [one for one in report.of("score", "all") if one["class"] is None]

    assert (overall["count"], overall["value"]) == (60, pytest.approx(40 / 60))


def test_words_say_how_predictions_do_and_where_worst_flagged_or_not(registry, dataset, tmp_path):
    dataset(many())
    file = tmp_path / "guesses.csv"
    lines = [f"s{n:03d},a" for n in range(50)] + ["stranger,a"]
    file.write_text("\n".join(["sample,prediction", *lines]), "utf-8")
    report = audit(registry, "fields@v1", predictions=str(file), keep=False)

    assert report.predictions == 51
    assert (
        "predictions: 66 % right (52 % to 78 %); 50 of 51 are of a sample with a class, of which "
        "there are 60" in report.to_text()
    )
    assert "  worst group: " in report.to_text()
    assert "predictions" not in audit(registry, "fields@v1", keep=False).to_text()


def test_predictions_of_other_samples_are_said_to_match_none(registry, dataset, tmp_path):
    dataset(many())
    file = tmp_path / "guesses.csv"
    file.write_text("sample,prediction\nstranger,a\n", "utf-8")
    report = audit(registry, "fields@v1", predictions=str(file), keep=False)

    assert "predictions: none of 1 is of a sample with a class" in report.to_text()


def test_ids_of_digits_keep_their_leading_zeros(registry, dataset, tmp_path):
    file = tmp_path / "guesses.csv"
    file.write_text("sample,prediction\n0012,1\n0013,02\n", "utf-8")
    dataset(many())
    found = pq.read_table(written(registry.resolve("fields@v1"), str(file), tmp_path))

    assert found.to_pylist() == [
        {"sample": "0012", "prediction": "1"},
        {"sample": "0013", "prediction": "02"},
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sample,guess\na,b\n", "no column 'prediction'"),
        ("sample,prediction\na,b\na,c\n", "predicts a sample twice"),
    ],
)
def test_files_that_are_no_predictions_are_refused(registry, dataset, tmp_path, text, problem):
    dataset(many())
    file = tmp_path / "guesses.csv"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=problem):
        audit(registry, "fields@v1", predictions=str(file), keep=False)


def test_another_version_and_a_users_table_are_references_too(registry, dataset, tmp_path):
    dataset(many())
    dataset(many(), name="others")
    alike = audit(registry, "fields@v1", against="others@v1", keep=False)
    table = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"continent": ["Europe", "Asia"], "weight": [1.0, 3.0]}), table)
    own = audit(registry, "fields@v1", against=str(table), keep=False)

    assert alike.against == "others@v1 (v1)"
    assert not [one for one in alike.of("representation") if one["flagged"]]
    [asia] = [one for one in own.of("representation") if one["stratum"] == "Asia"]
    assert asia["reference_share"] == 0.75
    with pytest.raises(NotFoundError):
        audit(registry, "fields@v1", against=str(tmp_path / "absent.csv"))
    with pytest.raises(NotFoundError):
        audit(registry, "fields@v1", against="nobody@v1")


def test_a_reference_that_most_samples_lie_outside_of_is_said_first_and_flagged(
    registry, dataset, tmp_path
):
    dataset(many())
    table = tmp_path / "south.csv"
    table.write_text("continent,weight\nAfrica,1\nOceania,3\n", "utf-8")
    report = audit(registry, "fields@v1", against=str(table), keep=False)
    first, second, *_ = report.to_text().splitlines()

    assert report.outside == 60
    assert first.startswith("more than half of the samples are compared with nothing: 60 of 60 ")
    assert "in continent Europe" in first
    assert second.startswith("fields@v1: 60 samples against south.csv")
    assert report.of("outside")
    assert all(row["flagged"] for row in report.of("outside"))


def test_samples_of_one_month_are_even_to_nought_and_not_less(registry, dataset):
    dataset([row(f"s{n}") for n in range(30)])
    [balance] = audit(registry, "fields@v1", keep=False).of("season-balance")

    assert "evenness 0.00 " in balance["note"]


def test_samples_at_sea_are_said_in_words_and_ratios_say_whom_they_are_of(registry, dataset):
    dataset([*many(40), *(row(f"w{n}", lon=-30.0 - n, lat=30.0) for n in range(4))])
    report = audit(registry, "fields@v1", keep=False)
    [europe] = [
        one for one in report.of("representation", "continent") if one["stratum"] == "Europe"
    ]
    here = 44 - report.outside

    assert not [one for one in report.of("outside") if one["flagged"]]
    assert not [one for one in report.of("representation") if one["stratum"] == "none (sea)"]
    assert f"{report.outside} of 44 samples lie outside the reference: at sea, where" in (
        report.to_text()
    )
    assert f"of the {here} samples on land" in europe["note"]
    assert europe["note"].endswith(f"; {report.outside} of 44 are outside")


# ------------------------------------------------------------------------------------------ plans
def test_a_plan_lies_on_land_in_its_strata_and_can_be_drawn_again(registry, dataset):
    from registry.curate.layers.land import is_land
    from registry.curate.layers.strata import place_strata

    dataset(many())
    report = audit(registry, "fields@v1", keep=False)
    land = reference_population(registry, "land")
    plan = suggest(report, land, 50)
    document = json.loads(plan.to_geojson())

    assert len(document["features"]) == 50
    lon, lat = np.array([one["geometry"]["coordinates"] for one in document["features"]]).T
    assert (is_land(lon, lat) == 1).all()
    strata = place_strata(lon, lat, plan.dimensions)
    for name, column in strata.items():
        assert column.to_pylist() == [one["properties"][name] for one in document["features"]]
    assert plan.divergence[1] < plan.divergence[0]
    assert suggest(report, land, 50).to_geojson() == plan.to_geojson()
    assert suggest(report, land, 50, seed=1).to_geojson() != plan.to_geojson()
    assert all(one["properties"]["reason"] for one in document["features"])


def test_a_plan_asks_for_the_seasons_that_are_missing(registry, dataset):
    dataset([row(f"s{n}", 20 + n % 10, 45, day=160 + n) for n in range(60)])  # a northern summer
    report = audit(registry, "fields@v1", keep=False)
    plan = suggest(report, reference_population(registry, "land"), 30)
    seasons = [one["properties"]["season"] for one in plan.features]

    assert "summer" not in seasons
    assert seasons.count("winter") == 10


def test_a_plan_for_samples_without_a_place_says_that_it_knows_nothing_of_them(registry, dataset):
    dataset([row(f"s{n}", lon=None) for n in range(20)])
    report = audit(registry, "fields@v1", keep=False)
    plan = suggest(report, reference_population(registry, "land"), 15)
    first, second, *rest = plan.to_text().splitlines()

    assert first == "20 of 20 samples have no place, so the plan takes nothing as collected"
    assert "divergence" not in second
    assert all("(unknown now)" in line for line in rest if " in " in line)
    assert "(0 now)" not in plan.to_text()
    assert {one["properties"]["have"] for one in plan.features} == {None}
    assert "an unknown number of samples" in plan.features[0]["properties"]["reason"]


def test_a_plan_says_how_many_samples_without_a_place_it_leaves_out(registry, dataset):
    dataset([*many(), row("nowhere", lon=None)])
    report = audit(registry, "fields@v1", keep=False)
    said = suggest(report, reference_population(registry, "land"), 15).to_text()

    assert said.startswith("1 of 61 samples have no place, so the plan takes none of them as")
    assert "; divergence 0." in said
    assert "(0 now)" in said


@pytest.mark.parametrize("count", [0, -1, 100_001])
def test_a_plan_of_no_size_is_refused(registry, dataset, count):
    dataset(many())
    report = audit(registry, "fields@v1", keep=False)
    with pytest.raises(InvalidInputError, match="outside"):
        suggest(report, reference_population(registry, "land"), count)


def test_what_is_allotted_leaves_the_least_divergence_there_is():
    from itertools import product

    from registry.curate.bias.statistics import jensen_shannon

    have = {("a",): 7, ("b",): 1, ("c",): 0}
    shares = {("a",): 0.3, ("b",): 0.4, ("c",): 0.3}
    wanted = np.array(list(shares.values()))

    def divergence(given):
        return jensen_shannon(np.array([*have.values()], float) + given, wanted)

    for count in (1, 2, 5, 9, 20):
        found = {one.strata: one.count for one in allot(have, shares, count)}
        mine = divergence([found.get(key, 0) for key in have])
        every = [
            divergence(given) for given in product(range(count + 1), repeat=3)
            if sum(given) == count
        ]  # fmt: skip
        assert sum(found.values()) == count
        assert mine <= min(every) + 0.005  # whole samples: off by less than one of them


def test_places_that_have_too_many_get_none():
    found = allot({("a",): 1000, ("b",): 0}, {("a",): 0.5, ("b",): 0.5}, 10)

    assert [(one.strata, one.count) for one in found] == [(("b",), 10)]

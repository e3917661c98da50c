import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry.curate.layers import land
from registry.curate.layers.population import population
from registry.curate.layers.strata import LATITUDES, STRATA
from registry.errors import InvalidInputError, NotFoundError


def sums(table, name):
    summed = table.group_by(name).aggregate([("weight", "sum")])
    return dict(zip(summed[name].to_pylist(), summed["weight_sum"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def world(layers_cache):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EOLAB_CACHE", str(layers_cache))
        return population("land+antarctica")


# Areas as national statistics give them, in thousand km2, with inland water; the coarse map is
# good to 3 % for countries of this size.
@pytest.mark.parametrize(
    ("country", "area"),
    [
        ("Russia", 17_098), ("Canada", 9_985), ("China", 9_597), ("Brazil", 8_516),
        ("Australia", 7_688), ("India", 3_287), ("Algeria", 2_382), ("France", 644),
        ("Finland", 338), ("Kenya", 580),
    ],
)  # fmt: skip
def test_a_country_has_its_area(world, country, area):
    assert sums(world.table, "country")[country] == pytest.approx(area * 1000, rel=0.045)


def test_all_land_is_in_it(world):
    assert world.table["weight"].to_numpy().sum() == pytest.approx(
        land.land_area_km2().sum(), rel=0.001
    )
    assert world.unit == "km2"
    assert world.size is None


def test_each_combination_is_there_once(world):
    keys = [name for name in world.table.column_names if name != "weight"]
    assert world.table.group_by(keys).aggregate([]).num_rows == world.table.num_rows
    assert (world.table["weight"].to_numpy() > 0).all()
    assert set(keys) <= set(STRATA)


def test_land_leaves_antarctica_out_and_says_so(world):
    without = population("land")
    assert "Antarctica" not in sums(without.table, "country")
    assert not set(sums(without.table, "latitude")) & set(LATITUDES[:3])
    assert set(LATITUDES[3:]) >= set(sums(without.table, "latitude"))
    missing = world.table["weight"].to_numpy().sum() - without.table["weight"].to_numpy().sum()
    assert missing == pytest.approx(12.3e6, rel=0.05)
    assert "60° S" in without.reference.title
    assert without.reference.digest != world.reference.digest


def test_a_quarter_of_land_is_dry_and_its_groups_are_those_of_the_literature():
    # Kottek et al. (2006), table 2, shares of land in %: A 19.4, B 28.4, C 14.6, D 22.1, E 15.5,
    # of all land; without Antarctica's 9 % there is more of all but E.
    shares = sums(population("land").table, "climate_group")
    whole = sum(shares.values())
    expected = {"tropical": 21.3, "dry": 31.2, "temperate": 16, "continental": 24, "polar": 7}
    for group, percent in expected.items():
        assert 100 * shares[group] / whole == pytest.approx(percent, abs=2.5)


def test_a_users_points_are_sorted_into_strata(tmp_path):
    path = tmp_path / "fields.csv"
    path.write_text("lon,lat,weight,note\n25.0,62.0,3,a\n25.1,62.0,1,b\n2.4,46.0,6,c\n")
    found = population(str(path))
    assert sums(found.table, "country") == {"Finland": 4.0, "France": 6.0}
    assert found.reference.name == "fields.csv"
    assert len(found.reference.digest) == 64


def test_a_users_strata_are_taken_as_they_are(tmp_path):
    path = tmp_path / "mine.parquet"
    rows = {"continent": ["Asia", "Asia", None], "season": ["summer", "winter", "winter"],
            "weight": [1, 2, 3], "other": [0, 0, 0]}  # fmt: skip
    pq.write_table(pa.table(rows), path)
    found = population(str(path)).table
    assert found.to_pylist() == [
        {"continent": "Asia", "season": "summer", "weight": 1.0},
        {"continent": "Asia", "season": "winter", "weight": 2.0},
        {"continent": "unknown", "season": "winter", "weight": 3.0},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "lon,lat\n1,2\n", "continent,weight\nAsia,-1\n", "continent,weight\nAsia,nan\n",
        "continent,weight\nAsia,0\n", "continent,weight\nAsia,many\n", "weight\n1\n",
        "lon,weight\n1,1\n", "continent,continent,weight\na,b,1\n", "continent,weight\n1\n",
        "lon,lat,weight\nx,1,1\n", "\x00\x01\x02", "continent,weight\n",
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError):
        population(str(path))


def test_a_parquet_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "bad.parquet"
    path.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        population(str(path))


def test_a_population_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="nowhere"):
        population(str(tmp_path / "nowhere.csv"))
    with pytest.raises(InvalidInputError, match="'moon'"):
        population("moon")


def test_it_is_the_same_each_time():
    one, other = population("land"), population("land")
    assert one.table.equals(other.table)
    assert one.reference == other.reference
    assert np.isfinite(one.table["weight"].to_numpy()).all()

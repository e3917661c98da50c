import textwrap

import pyarrow as pa
import pytest

from registry.curate.features.computing import compute
from registry.curate.features.naming import calls_of
from registry.curate.features.own import own_set
from registry.curate.features.records import record_at
from registry.errors import InvalidInputError, NotFoundError, RegistryError

MINE = """
name: mine
version: 3
title: What I look at
columns:
  half: {sql: target / 2, unit: m, meaning: half of the target}
  late: {sql: day(datetime) > 6, type: boolean}
  first: {sql: "label[1]", type: text}
"""


def written(tmp_path, text=MINE):
    path = tmp_path / "mine.yaml"
    path.write_text(textwrap.dedent(text), "utf-8")
    return str(path)


def one(sql, kind="double"):
    return own_set(f"name: mine\ncolumns:\n  a:\n    type: {kind}\n    sql: |\n      {sql}\n")


def test_a_file_of_expressions_is_a_set(lake, publish, tmp_path):
    publish(lake)
    done = compute(lake, "toy@v1", [written(tmp_path)])
    assert (done.sets[0].set, done.sets[0].evaluated) == ("mine", 12)
    rows = lake.resolve("toy@v1").table("features/mine").sort_by("sample").to_pylist()
    assert [row["half"] for row in rows] == [n / 2 for n in range(12)]
    assert [row["late"] for row in rows] == [n > 5 for n in range(12)]
    assert rows[1]["first"] == "ship"


def test_a_set_is_reused_on_another_version_by_the_table_s_name(lake, publish, tmp_path):
    publish(lake)
    compute(lake, "toy@v1", [written(tmp_path)])
    (tmp_path / "mine.yaml").unlink()
    publish(lake, lambda root: (root / "NOTES.md").write_text("more", "utf-8"))
    done = compute(lake, "toy@v2", ["toy@v1/mine"])
    assert (done.sets[0].set, done.sets[0].kept) == ("mine", 12)
    records = [record_at(lake.resolve(ref).derived, "mine") for ref in ("toy@v1", "toy@v2")]
    assert len({record.recipe for record in records}) == 1


def test_another_expression_is_another_recipe():
    assert one("target + 1").recipe != one("target + 2").recipe
    assert one("target + 1").recipe == one("target + 1").recipe


@pytest.mark.parametrize("sql", [
    "(SELECT 1)", "max(target)", "count(*)", "random()", "uuid()", "now()", "today()",
    "current_timestamp", "sum(target) OVER ()", "read_text('/etc/passwd')", "getenv('HOME')",
    "current_setting('threads')", "query('SELECT 1')", "nextval('a')", "*", "COLUMNS(*)",
    "1) FROM read_text('/etc/passwd') --", "1; DROP TABLE given", "target FROM given", "?", "$a",
    "list_transform(label, x -> x)", "EXISTS (SELECT 1)", "target IN (SELECT 1)", "", "target +",
    "version()", "current_user", "pg_sleep(9)", "max(target) FILTER (target > 1)", "unnest(label)",
    "sql_auto_complete('a')", "1 WHERE false", "getvariable('a')", "a" * 300_000,
])  # fmt: skip
def test_what_looks_at_more_than_its_row_is_refused(sql):
    try:
        made = one(sql)
    except RegistryError:
        return
    # What parses as the name of a column is refused where samples have none of that name.
    assert made.needs.columns == (sql,)


@pytest.mark.parametrize("sql", [
    "target", "target * 2 + 1", "ln(target)", "CASE WHEN target > 1 THEN 1 END", "len(label)",
    "target BETWEEN 1 AND 2", "target IN (1, 2)", "coalesce(target, 0)", "CAST(id AS VARCHAR)",
    "ST_Area(ST_GeomFromWKB(geometry))", "source.provider", "label[1]", "epoch(datetime)",
    "id LIKE 's%'", "regexp_matches(id, 's.*')", "NOT (target > 1 AND target < 5)", "-target",
])  # fmt: skip
def test_expressions_over_one_row_are_let_through(sql):
    assert one(sql, "text").needs.columns


@pytest.mark.parametrize("text", [
    "", "3", "[a]", "name: x", "name: x\ncolumns: {}", "name: x\ncolumns: {a: 3}",
    "name: X\ncolumns: {a: target}", "name: x\ncolumns: {A: target}", "name: x\ncolumns: [a]",
    "name: x\nversion: two\ncolumns: {a: target}", "name: x\nother: 1\ncolumns: {a: target}",
    "name: x\ncolumns: {a: {sql: target, type: blob}}", "a: &a [*a]", "!!python/object:os.system x",
    "name: x\ncolumns: {id: 'a\0b'}",
])  # fmt: skip
def test_what_is_no_definition_is_refused(text):
    with pytest.raises(RegistryError):
        own_set(text)


def test_a_row_that_the_expression_cannot_take_fails_alone(lake, publish, tmp_path):
    publish(lake)
    number = "substr(id, 2) || CASE WHEN id = 's04' THEN 'x' ELSE '' END"
    text = f"name: mine\ncolumns:\n  a:\n    sql: CAST({number} AS INT)\n"
    done = compute(lake, "toy@v1", [written(tmp_path, text)])
    assert (done.sets[0].failed, done.sets[0].reasons[0].such_as) == (1, ("s04",))


def test_columns_that_samples_do_not_have_are_named(lake, publish, tmp_path):
    publish(lake)
    with pytest.raises(InvalidInputError, match="samples have no column height"):
        compute(lake, "toy@v1", [written(tmp_path, "name: m\ncolumns: {a: height}")])


def test_an_engine_of_own_expressions_reaches_no_file(tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n", "utf-8")
    made = own_set("name: mine\ncolumns: {a: target}")
    outside = ("SELECT a FROM ", f"'{tmp_path}/secret.csv'")
    made.by_row.expressions["a"] = f"({''.join(outside)})"
    with pytest.raises(InvalidInputError):
        made.by_row(pa.table({"target": [1.0]}))


@pytest.mark.parametrize("name", ["./gone.yaml", "toy@v9/mine", "toy@v1/other", "nothing", "a/b"])
def test_sets_that_are_not_there_are_named(lake, publish, name):
    publish(lake)
    with pytest.raises((NotFoundError, InvalidInputError)):
        [call.resolve() for call in calls_of(lake, [name])]


@pytest.mark.parametrize("name", ["digests", "failures", "id", "sample"])
def test_no_set_is_called_what_stands_beside_sets(name):
    with pytest.raises(InvalidInputError, match="cannot name a feature set"):
        own_set(f"name: {name}\ncolumns: {{half: target / 2}}")


def test_no_feature_is_called_what_a_row_is_named_by():
    with pytest.raises(InvalidInputError, match="names sample twice"):
        own_set("name: mine\ncolumns: {sample: target / 2}")

import pytest

from registry.errors import ForbiddenError, InvalidInputError
from registry.query.parsing import TableName, parse


def tables(text):
    return {(name.ref, name.table) for name in parse(text).tables}


def test_a_ref_is_the_schema_of_its_tables():
    found = parse('select * from "ships@anna/fix"."splits/default"')

    assert found.tables == (TableName(ref="ships@anna/fix", table="splits/default"),)
    assert found.refs == ("ships@anna/fix",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('from "a@v1".samples', {("a@v1", "samples")}),
        ("from ships.x s, boats.y", {("ships", "x"), ("boats", "y")}),
        (
            'select * from "a@v1".x join "b@v2".y using (id) where id in (select z from "c@v3".z)',
            {("a@v1", "x"), ("b@v2", "y"), ("c@v3", "z")},
        ),
        ('with t as (from "a@v1".x) select * from t union all select * from t', {("a@v1", "x")}),
        ('select (select 1 from "a@v".x), exists (from b.y)', {("a@v", "x"), ("b", "y")}),
        ('describe "a@v1".x', {("a@v1", "x")}),
        ('summarize "a@v1".x', {("a@v1", "x")}),
        ('pivot "a@v1".x on label in (1, 2) using count(*)', {("a@v1", "x")}),
        ('from "a@v1".x tablesample 10 rows', {("a@v1", "x")}),
        ("select a.chip(id, 's2') from a.samples", {("a", "chips"), ("a", "samples")}),
        ('from "a@v1".samples_in(1, 2, 3, 4)', {("a@v1", "samples")}),
        ("select 1", set()),
        ("values (1), (2)", set()),
        ("with recursive r as (select 1 i union all select i + 1 from r) from r", set()),
        ("select list_transform([1], lambda x: x + 1), unnest([1, 2])", set()),
        ("from range(3)", set()),
        ('-- a remark\nselect * from /* here */ "a@v1".x;', {("a@v1", "x")}),
        ('select label.list_contains(1) from "a@v1".x', {("a@v1", "x")}),
        ('select x.a, x from "a@v1".x window w as (order by id) qualify row_number() over w = 1',
         {("a@v1", "x")}),
    ],
)  # fmt: skip
def test_tables_are_found_wherever_a_query_may_name_them(text, expected):
    assert tables(text) == expected


def test_the_name_of_a_cte_counts_only_where_it_is_known():
    with pytest.raises(InvalidInputError, match="names no dataset"):
        parse("with a as (from b), b as (select 1) from a")
    with pytest.raises(InvalidInputError, match="names no dataset"):
        parse("select * from (with secret as (select 1) from secret), secret")


def test_a_syntax_error_says_where():
    with pytest.raises(InvalidInputError, match="line 2, column 16"):
        parse("select id,\n  from frm frm frm")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 statements"),
        ("-- nothing", "0 statements"),
        ("select 1; select 2", "2 statements"),
        ("copy (select 1) to 'x'", "not COPY"),
        ("explain select 1", "not EXPLAIN"),
        ("select ?", "parameter"),
        ("select $a", "parameter"),
        ("from a.b.c", "one name too many"),
        ("from samples", "names no dataset"),
        ('from "a@v1".x at (version => 1)', "another state"),
        ("select " + "(" * 50_000 + "1" + ")" * 50_000, "memory exhausted"),
        ("select 1" + " " * 300_000, "300,008 characters"),
        ("select 1\0", "NUL"),
        ("select '\ud800'", "half a character"),
        ('pivot "a@v1".x on label using count(*)', "not PIVOT"),
    ],
)
def test_what_is_no_query_over_refs_is_refused(text, said):
    with pytest.raises(InvalidInputError, match=said):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "from duckdb_settings()",
        "select current_setting('threads')",
        "from information_schema.tables",
        "show tables",
        "from query('select 1')",
        "select json_serialize_plan('select 1')",
    ],
)
def test_the_engines_own_state_is_closed(text):
    with pytest.raises(ForbiddenError):
        parse(text)

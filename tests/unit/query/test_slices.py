import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry.catalog.registry import Registry
from registry.errors import CorruptError, InvalidInputError, NotFoundError
from registry.lake import connect
from registry.query import find_slice, slice, sql, version_of_slice  # noqa: A004 — the verb
from registry.tables import store
from registry.tables.schemas import SAMPLES
from tests.unit.query.conftest import sample

SHIPS = "select id from \"ships@v1\".samples where list_contains(label, 'ship')"


def test_a_slice_is_a_version_and_sorted_ids(own):
    made = slice(own, SHIPS)

    assert made.ids == ("s1", "s3", "s5", "s7", "s9")
    assert (made.dataset, made.version) == ("ships", "v1")
    assert made.content_id == own.resolve("ships@v1").content_id
    assert find_slice(own, made.id) == made


def test_its_id_is_a_hash_that_anybody_can_compute(own):
    made = slice(own, SHIPS)
    text = "".join(f"{line}\n" for line in (made.content_id, *made.ids))

    assert made.id == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_the_same_samples_are_the_same_slice_however_they_were_asked_for(own):
    first = slice(own, SHIPS)
    head = own.resolve("ships@v1").derived_at
    text = """
        select sample from "ships@v1".assets
        where sample in ('s9', 's1', 's3', 's7', 's5') order by sample desc"""
    again = slice(own, text)

    assert again == first
    assert own.resolve("ships@v1").derived_at == head


def test_a_slice_stays_when_labels_change_and_versions_follow(own, ungated):
    made = slice(own, SHIPS)
    draft = own.draft("ships")
    relabelled = [sample(0), sample(1) | {"label": ["sea"]}, *map(sample, range(2, 10))]
    rows = pa.Table.from_pylist(relabelled, SAMPLES.arrow)
    ungated(own, draft, lambda root: store.overwrite(root, SAMPLES, rows))

    assert own.resolve("ships").tag == "v2"
    assert find_slice(own, made.id) == made
    assert version_of_slice(own, made).tag == "v1"
    newer = slice(own, SHIPS.replace("v1", "v2"))
    assert newer.id != made.id
    assert newer.ids == made.ids[1:]


def test_a_slice_of_a_draft_pins_its_commit(own):
    draft = own.draft("ships")
    with draft.edit("shrink") as root:
        fewer = pa.Table.from_pylist([sample(1), sample(2)], SAMPLES.arrow)
        store.overwrite(root, SAMPLES, fewer)
    made = slice(own, SHIPS.replace("v1", "draft"))
    before = draft.head
    with draft.edit("delete") as root:
        store.overwrite(root, SAMPLES, SAMPLES.empty())

    assert made.version == before
    assert find_slice(own, made.id) == made
    assert version_of_slice(own, made).commit.id == before
    draft.repository.delete_branch(draft.branch)
    draft.repository.gc(grace=timedelta(0))
    assert version_of_slice(own, made).count("samples") == 2
    assert version_of_slice(own, made).content_id == made.content_id


def test_two_who_cut_the_same_slice_at_once_get_the_same(own):
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: slice(own, SHIPS).id, range(4)))

    assert len(made) == 1
    assert find_slice(own, made.pop()).ids == ("s1", "s3", "s5", "s7", "s9")


def test_a_slice_is_found_on_a_copy_of_the_lake(own, tmp_path):
    made = slice(own, SHIPS)
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    copy = Registry(lake=connect(str(tmp_path / "copy")))

    assert find_slice(copy, made.id) == made
    assert version_of_slice(copy, made).tag == "v1"


def test_a_slice_is_a_table_beside_the_version_it_was_cut_from(own):
    made = slice(own, SHIPS)
    text = f"""
        select count(*) as n from "ships@v1".samples
        semi join "ships@v1"."slices/{made.id}" using (id)"""  # noqa: S608 — its own id

    assert sql(own, text).read_all().to_pylist() == [{"n": 5}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select 's1' as id", "names none"),
        ('select id from "ships@v1".samples join "ships@main".samples using (id)', "one version"),
        ('select hilbert from "ships@v1".samples', "not sample ids"),
        ('select label, hilbert from "ships@v1".samples', "no column is called id or sample"),
        ("select id from \"ships@v1\".samples where id = 'none'", "chooses no sample"),
        ('select id from "ships@v1".annotations', "1 ids are no samples"),
        ('select null::varchar as id from "ships@v1".samples', "without an id"),
    ],
)
def test_what_names_no_samples_of_one_version_is_no_slice(shared, text, said):
    with pytest.raises(InvalidInputError, match=said):
        slice(shared, text)


def test_an_unknown_id_is_not_found(shared):
    with pytest.raises(NotFoundError):
        find_slice(shared, "0" * 32)
    with pytest.raises(InvalidInputError):
        find_slice(shared, "../../../etc/passwd")


def test_a_slice_that_was_tampered_with_is_never_returned(own):
    made = slice(own, SHIPS)
    repository = own.lake.repository("ships")
    path = f"slices/{made.id}.parquet"
    data = repository.read(path, at="derived/v1")
    table = pq.read_table(pa.BufferReader(data)).slice(1)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    for forged in (sink.getvalue().to_pybytes(), b"nonsense"):
        with repository.transaction("derived/v1", message="forge") as transaction:
            transaction.put(path, forged)

        with pytest.raises(CorruptError):
            find_slice(own, made.id)

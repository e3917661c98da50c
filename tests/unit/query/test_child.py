import io

import duckdb
import pyarrow as pa
import pytest

from registry.query import child


def test_a_thread_that_was_stopped_does_not_speak_for_the_one_that_erred(monkeypatch):
    class Stopped:
        schema = pa.schema([("n", pa.int64())])

        def __iter__(self):
            raise OSError("INTERRUPT Error: Interrupted!")

    asked, readers = child._asked, [Stopped()]
    monkeypatch.setattr(child, "_asked", lambda *words: readers.pop() if readers else asked(*words))
    job = {
        "text": "select case when i = 5 then error('at last') end from range(10) t(i)",
        "views": [], "decodes": False, "memory_mb": 256, "threads": 2, "rows": None,
    }  # fmt: skip

    with pytest.raises(duckdb.Error, match="at last"):
        child._run(job, io.BytesIO())

"""Where and when a version lies."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from registry.cli.extent import extent

BOX = pa.struct([(edge, pa.float64()) for edge in ("xmin", "ymin", "xmax", "ymax")])
TIME = pa.timestamp("us", "UTC")


class Holding:
    """A version as far as its extent is concerned."""

    def __init__(self, *boxes, times=()):
        rows = max(len(boxes), len(times))
        edges = [box and dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
                 for box in boxes] + [None] * (rows - len(boxes))  # fmt: skip
        instants = [*times, *[None] * (rows - len(times))]
        self.rows = pa.table({
            "bbox": pa.array(edges, BOX),
            "datetime": pa.array(instants, TIME),
            "start_datetime": pa.array([None] * rows, TIME),
            "end_datetime": pa.array([None] * rows, TIME),
        })

    def tables(self):
        return ["samples"]

    def table(self, name, columns):
        return self.rows.select(columns)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(1, 2, 3, 4), (-5, 0, 2, 3), None], [-5, 0, 3, 4]),
        ([(179, -18, -179, -17)], [179, -18, -179, -17]),
        ([(170, -1, -170, 1), (-180, 0, -175, 2)], [170, -1, -170, 2]),
        ([(179, -18, -179, -17), (170, -20, 171, -19)], [170, -20, -179, -17]),
        ([(179, -18, -179, -17), (-178, 0, -170, 1)], [179, -18, -170, 1]),
        ([], None),
        ([None], None),
    ],
)
def test_the_box_is_the_smallest_around_all(boxes, expected):
    assert extent(Holding(*boxes))["bbox"] == expected


def test_the_period_is_from_the_first_to_the_last():
    times = [datetime(2020, 5, 1, tzinfo=UTC), datetime(2019, 1, 2, 3, 4, 5, tzinfo=UTC)]
    assert extent(Holding(times=times))["time"] == ["2019-01-02T03:04:05Z", "2020-05-01T00:00:00Z"]


def test_nothing_is_said_where_nothing_is_known():
    assert extent(Holding()) == {"bbox": None, "time": None}

"""Arrow columns as Python values: what pyarrow says, but for the documented differences."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest

from lavandin.worker.samples import Column, LazyDict, batch_of, columns_of, samples_of
from lavandin.worker.values import to_list

DAY = datetime.date(2024, 2, 29)
NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 5)

ARRAYS = [
    pa.array([1, 2, 3], pa.int8()),
    pa.array([1, None, 2**64 - 1], pa.uint64()),
    pa.array([2**63 - 1, None, -(2**63)], pa.int64()),
    pa.array([1.5, None, float("inf")], pa.float32()),
    pa.array([0.1, 0.2, -0.0], pa.float64()),
    pa.array([True, False, True]),
    pa.array([True, None, False]),
    pa.array(["a", None, "é\n\0"]),
    pa.array(["a", None, "b"], pa.large_string()),
    pa.array([b"a", None, b"\xff\0"]),
    pa.array([b"ab", None, b"cd"], pa.binary(2)),
    pa.array([b"a", None, b""], pa.large_binary()),
    pa.array(["x", "y", None, "x"]).dictionary_encode(),
    pa.array([DAY, None]),
    pa.array([NOON, None], pa.timestamp("us")),
    pa.array([NOON.replace(tzinfo=datetime.timezone.utc), None], pa.timestamp("us", "UTC")),
    pa.array([DAY], pa.date64()),
    pa.array([datetime.time(1, 2, 3), None]),
    pa.array([datetime.timedelta(seconds=1.5), None]),
    pa.array([decimal.Decimal("1.50"), None]),
    pa.array([[1, None], None, [], [2]]),
    pa.array([["a"], None, [None, "b"]], pa.large_list(pa.string())),
    pa.array([[[1.0], []], None, [[2.0, 3.0]]]),
    pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)),
    pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}]),
    pa.array([[{"a": 1}], None, []]),
    pa.nulls(3),
    pa.array([], pa.list_(pa.int64())),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.type))
def test_values_are_those_of_pyarrow(array):
    for part in (array, array[1:], array[:0], array[1:2]):
        assert to_list(part) == part.to_pylist()
        assert [type(value) for value in to_list(part)] == [type(value) for value in part.to_pylist()]


def test_half_floats_are_floats():
    assert to_list(pa.array([np.float16(1.5), None], pa.float16())) == [1.5, None]
    assert type(to_list(pa.array([np.float16(1.5)], pa.float16()))[0]) is float


def test_times_are_cut_to_microseconds():
    nanos = pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns"))
    assert to_list(nanos)[0].microsecond == 123456
    assert to_list(pa.array([1_500_000_001], pa.duration("ns"))) == [datetime.timedelta(seconds=1.5)]


def test_maps_with_texts_as_keys_are_dicts():
    kind = pa.map_(pa.string(), pa.int64())
    array = pa.array([[("a", 1), ("b", None)], None, []], kind)
    assert to_list(array) == [{"a": 1, "b": None}, None, {}]
    assert to_list(array[1:]) == [None, {}]
    assert to_list(pa.array([[(1, 2)]], pa.map_(pa.int64(), pa.int64()))) == [[(1, 2)]]


def test_extension_types_are_their_storage():
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8, dtype=np.int32).reshape(2, 2, 2))
    assert to_list(tensors) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def test_small_plain_columns_make_plain_dicts():
    columns = columns_of(batch(id=[1, 2], text=["a", "b"]))
    assert type(batch_of(columns)) is dict and type(samples_of(columns, 2)[0]) is dict
    assert samples_of(columns, 2) == [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]
    assert samples_of([], 2) == [{}, {}]


def test_nulls_become_what_the_field_says():
    field = pa.field("x", pa.int64(), metadata={"lavandin.null": "nan"})
    texts = pa.field("t", pa.string(), metadata={"lavandin.null": "text"})
    lists = pa.field("l", pa.list_(pa.int64()), metadata={"lavandin.null": "list"})
    other = pa.field("o", pa.string())
    made = pa.RecordBatch.from_arrays(
        [pa.array([1, None]), pa.array(["a", None]), pa.array([[1], None]), pa.array(["b", None])],
        schema=pa.schema([field, texts, lists, other]),
    )
    got = dict(batch_of(columns_of(made)))
    assert got["x"][0] == 1 and got["x"][1] != got["x"][1]
    assert (got["t"], got["l"], got["o"]) == (["a", ""], [[1], []], ["b", None])


def test_cells_that_are_json_texts_are_their_values():
    metadata = {"lavandin.cells": "json", "lavandin.null": "list"}
    cells = pa.array(['[1,"a",null]', None, '{"k":NaN}'])
    made = pa.RecordBatch.from_arrays([cells], schema=pa.schema([pa.field("c", pa.string(), metadata=metadata)]))
    columns = columns_of(made)
    first, second, third = (sample["c"] for sample in samples_of(columns, 3))
    assert (first, second, list(third)) == ([1, "a", None], [], ["k"])
    assert third["k"] != third["k"]
    # Values that user code may have changed are never taken for the column itself.
    assert not columns[0].holds(columns[0].values())


HEAVY = [b"x" * 50_000, b"y" * 50_000]


@pytest.fixture
def lazy():
    columns = columns_of(batch(id=[1, 2], image=HEAVY, tags=[["a"], ["b", "c"]]))
    made = batch_of(columns)
    assert type(made) is LazyDict
    return made


WHOLE = {"id": [1, 2], "image": HEAVY, "tags": [["a"], ["b", "c"]]}


def test_a_lazy_dict_reads_as_a_dict(lazy):
    import copy
    import json
    import pickle

    def keywords(**values):
        return values

    assert list(lazy) == ["id", "image", "tags"] and len(lazy) == 3 and "image" in lazy
    for made in (
        dict(lazy.copy()),
        {**lazy.copy()},
        keywords(**lazy.copy()),
        dict(lazy.copy().items()),
        dict(zip(lazy.copy().keys(), lazy.copy().values())),
        copy.copy(lazy),
        copy.deepcopy(lazy),
        pickle.loads(pickle.dumps(lazy)),
        {} | lazy if hasattr(dict, "__or__") else WHOLE,
        lazy.copy() | {} if hasattr(dict, "__or__") else WHOLE,
    ):
        assert made == WHOLE
    into = {}
    into.update(lazy.copy())
    assert into == WHOLE
    assert json.loads(json.dumps({"id": lazy["id"], "tags": lazy["tags"]}))["tags"] == WHOLE["tags"]
    assert lazy == WHOLE and not lazy != WHOLE and repr(lazy) == repr(WHOLE)


def test_a_lazy_dict_changes_as_a_dict(lazy):
    assert lazy.get("nothing", 5) == 5 and lazy.get("image") is lazy["image"]
    assert lazy.pop("image") == HEAVY and "image" not in lazy
    assert lazy.setdefault("tags", 1) == WHOLE["tags"] and lazy.setdefault("new", 1) == 1
    lazy["id"] = 3
    del lazy["tags"]
    assert lazy.popitem() == ("new", 1)
    assert lazy == {"id": 3}


def test_json_of_a_lazy_dict_in_c():
    import json

    made = batch_of(columns_of(batch(tags=[["a"]])))
    assert json.dumps(made) == '{"tags": [["a"]]}'


def test_samples_share_the_values_of_their_column():
    image, *_ = columns_of(batch(image=HEAVY))
    first, second = samples_of([image], 2)
    assert first["image"] == HEAVY[0] and first["image"] is image.value(0)
    assert image.values()[0] is first["image"]
    assert image.holds([first["image"], second["image"]])
    assert not image.holds([second["image"], first["image"]])


def test_a_column_knows_whether_a_list_is_still_its_own():
    column = Column("id", pa.array([1000, 2000]))
    values = column.values()
    assert column.holds(values) and column.holds(list(values))
    values[0] = 5
    assert not column.holds(values) and not column.holds((1000, 2000)) and not column.holds([1000])

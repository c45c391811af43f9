"""Items of the binary sample layout."""

import datetime
import decimal
import enum
import math
import types

import numpy as np
import pytest
from conftest import decode

from lavandin.worker import items
from lavandin.worker.failure import ResultError


def encoded(value, json_lists=False):
    parts, length = items.encode_key("k", value, json_lists)
    whole = b"".join(bytes(part) for part in parts)
    assert len(whole) == length
    return whole


def u32(number):
    return number.to_bytes(4, "big")


def test_golden_bytes():
    assert encoded(1).hex() == "6a7331"
    assert encoded(None).hex() == "6a736e756c6c"
    assert encoded(b"\x00\xff").hex() == "627900ff"
    assert encoded([1, "a", [2]]).hex() == "6c73000000036a7331000000056a73226122000000096c73000000036a7332"
    assert encoded({"k": 1, "b": b"x"}).hex() == "6469000000016b000000036a7331000000016200000003627978"
    array = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
    assert encoded(array).hex() == (
        "6e7000000024000000076a735b322c335d000000096a7322696e74333222000000086a735b31322c345d"
        "010000000200000003000000040000000500000006000000"
    )


class Colour(enum.IntEnum):
    RED = 3


PLAIN = [
    (True, True),
    (-(10**30), -(10**30)),
    (0.1, 0.1),
    (math.inf, math.inf),
    ("é\ud800\n/", "é\ud800\n/"),
    ((1, 2), [1, 2]),
    ((b"a", 2), [b"a", 2]),
    ([], []),
    ({}, {}),
    ([1, 2, 300], [1, 2, 300]),
    ([0.5, 1e300], [0.5, 1e300]),
    (["a", "b\n", "é"], ["a", "b\n", "é"]),
    ([True, 1], [True, 1]),
    ([True, False], [True, False]),
    ([None, 1.5, "x", b"y"], [None, 1.5, "x", b"y"]),
    ({"a": {"b": [1, {"c": b"x"}]}}, {"a": {"b": [1, {"c": b"x"}]}}),
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"abcd")[::2], b"ac"),
    (np.float32(0.5), 0.5),
    (np.int64(7), 7),
    (np.bool_(True), True),
    (np.str_("s"), "s"),
    (np.bytes_(b"s"), b"s"),
    (np.float64(0.5), 0.5),
    (np.datetime64("2024-02-29T12:00:00"), "2024-02-29T12:00:00"),
    (np.timedelta64(1500, "ms"), 1.5),
    (Colour.RED, 3),
    (datetime.date(2024, 2, 29), "2024-02-29"),
    (datetime.datetime(2024, 2, 29, 1, 2, 3, 4), "2024-02-29T01:02:03.000004"),
    (
        datetime.datetime(2024, 2, 29, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        "2024-02-29T00:00:00+00:00",
    ),
    (datetime.time(1, 2), "01:02:00"),
    (datetime.timedelta(minutes=1), 60.0),
    (decimal.Decimal("1.50"), "1.50"),
    ([datetime.date(2024, 1, 1), decimal.Decimal(2)], ["2024-01-01", "2"]),
]


@pytest.mark.parametrize("value, expected", PLAIN, ids=repr)
@pytest.mark.parametrize("json_lists", [False, True])
def test_values_arrive(value, expected, json_lists):
    got = decode(memoryview(encoded(value, json_lists)))
    assert got == expected and type(got) is type(expected)


def test_json_lists_are_one_text():
    assert encoded([1, None, "a"], True) == b'js[1,null,"a"]'
    assert encoded([1, b"a"], True) == b"ls" + u32(3) + b"js1" + u32(3) + b"bya"
    assert encoded([[1], [2]], True) == b"ls" + u32(5) + b"js[1]" + u32(5) + b"js[2]"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3).T,
        np.arange(10, dtype=np.int16)[::-2],
        np.asfortranarray(np.random.default_rng(1).random((3, 4, 5))),
        np.array(5.5),
        np.zeros((0, 3), np.float32),
        np.ones((1, 4, 1))[:, ::2],
        np.array(["a", "bcd"]),
        np.array([b"a", b"bcd"]),
        np.array(["2024-01-01", "NaT"], "datetime64[D]"),
        np.array([1, 2], ">i4"),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.broadcast_to(np.arange(3), (2, 3)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_arrive_in_c_order(array):
    got = decode(memoryview(encoded(array)))
    assert got.dtype == array.dtype and got.shape == array.shape and got.flags.c_contiguous
    np.testing.assert_array_equal(got, array)


def test_arrays_of_objects_are_lists():
    assert decode(memoryview(encoded(np.array(["a", None, 1], object)))) == ["a", None, 1]


def circle():
    values = []
    values.append(values)
    return values


BAD = [
    ({1, 2}, "key 'k' cannot be sent: a set has no form in a batch"),
    ([1, {"a": object()}], "key \"k[1]['a']\" cannot be sent: an object has no form in a batch"),
    ({"a": {5: 1}}, "key \"k['a']\" cannot be sent: its key 5 is an int, and keys must be text"),
    (circle(), "cannot be sent: it is nested more than 64 levels deep"),
    (np.zeros(2, [("a", "<i4")]), "key 'k' cannot be sent: an array of records"),
    (np.ma.masked_array([1], [True]), "key 'k' cannot be sent: a masked array"),
    (1j, "a complex has no form"),
]


@pytest.mark.parametrize("value, message", BAD, ids=lambda value: str(value)[:20])
def test_what_has_no_form_is_named(value, message):
    with pytest.raises(ResultError) as error:
        encoded(value)
    assert message in str(error.value)


@pytest.fixture
def torch(monkeypatch):
    """As much of torch as is needed here, which is not installed for these tests."""

    class Tensor:
        def __init__(self, array):
            self.array = array
            self.dtype = array.dtype

        def detach(self):
            return self

        cpu = resolve_conj = resolve_neg = detach

        def numpy(self):
            return self.array

        def numel(self):
            return self.array.size

        def dim(self):
            return self.array.ndim

        def item(self):
            return self.array.item()

        def __len__(self):
            return len(self.array)

        def __getitem__(self, index):
            return Tensor(self.array[index])

    module = types.SimpleNamespace(Tensor=Tensor)
    monkeypatch.setitem(__import__("sys").modules, "torch", module)
    return module


def test_tensors_have_a_tag_of_their_own(torch):
    whole = encoded([torch.Tensor(np.arange(4, dtype=np.float32).reshape(2, 2).T)])
    assert whole[6:8] == b"ts"
    np.testing.assert_array_equal(decode(memoryview(whole))[0], [[0, 2], [1, 3]])


def test_a_batch_of_one_is_taken_apart(torch):
    from lavandin.worker.batches import _decollated

    assert _decollated([5]) == 5 and _decollated([[5]]) == [5] and _decollated([1, 2]) == [1, 2]
    assert _decollated({"a": [1], "b": {"c": ["x"]}}) == {"a": 1, "b": {"c": "x"}}
    assert _decollated(torch.Tensor(np.array([[7]]))) == 7
    assert _decollated(torch.Tensor(np.arange(6).reshape(2, 3))).array.tolist() == [0, 1, 2]
    assert _decollated("ab") == "ab"

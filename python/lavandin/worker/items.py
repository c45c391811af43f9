"""Python values as items of the binary sample layout (docs/formats/lavender-batch.md).

An item is a tag of two letters and its payload: `js` JSON, `by` bytes, `ls` list, `di` dict, `np` ndarray, `ts` torch
tensor. Times are ISO 8601 text (an instant in UTC), a timedelta is its seconds, a Decimal is its text; arrays are sent
in C order whatever their strides. What has no form is an error that names where in the value it is.
"""

import datetime
import decimal
import json
import struct
import sys
import typing

import numpy as np

from lavandin.worker.failure import ResultError

DEPTH_MAX = 64
_U32_MAX = 2**32 - 1
_length = struct.Struct(">I").pack
_SCALARS = (str, int, float, bool, type(None))


class _Form(typing.NamedTuple):
    depth: int
    json_lists: bool

    def inner(self):
        return _Form(self.depth - 1, self.json_lists)


class ItemError(Exception):
    """A value without a form; `place` says where within the whole, as Python would write it."""

    def __init__(self, problem):
        super().__init__(problem)
        self.problem = problem
        self.place = ""

    def within(self, place):
        self.place = place + self.place
        return self


def encode_key(key, value, json_lists=False):
    """The item of `value` as (pieces of bytes, their length).

    With `json_lists` a list of plain values is one JSON text, which clients read many times faster than items.
    """
    parts = []
    try:
        return parts, _encode(value, parts, _Form(DEPTH_MAX, json_lists))
    except ItemError as error:
        raise ResultError(f"key {key + error.place!r} cannot be sent: {error.problem}") from None


def _encode(value, parts, form):
    """Appends the pieces of the item and returns its length."""
    kind = type(value)
    if kind in _SCALARS:
        return _append(parts, _scalar(value))
    if kind is bytes:
        return _two(parts, b"by", value)
    if form.depth == 0:
        raise ItemError(f"it is nested more than {DEPTH_MAX} levels deep")
    if isinstance(value, np.ndarray):
        return _ndarray(b"np", value, parts, form)
    if isinstance(value, dict):
        return _dict(value, parts, form)
    if isinstance(value, (list, tuple)):
        return _list(value, parts, form)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _two(parts, b"by", bytes(value))
    if _is_tensor(value):
        return _tensor(value, parts, form)
    return _append(parts, _scalar(plain(value)))


def plain(value):
    """A str, int, float, bool or None that stands for `value`, which is none of the containers."""
    if isinstance(value, np.generic):
        return _numpy_scalar(value)
    if isinstance(value, (int, str)):  # IntEnum and the like
        return int(value) if isinstance(value, int) else str.__str__(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise ItemError(f"{_article(type(value).__name__)} has no form in a batch; {_ADVICE}")


_ADVICE = (
    "numbers, text, bytes, None, lists, dicts with text keys, dates and times, Decimals, numpy arrays and torch "
    "tensors have one"
)


def _article(name):
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _numpy_scalar(value):
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    if isinstance(value, np.timedelta64):
        return None if np.isnat(value) else float(value / np.timedelta64(1, "s"))
    found = value.item()
    if type(found) in _SCALARS:
        return found
    if isinstance(found, np.generic):  # longdouble, which no Python type holds
        return float(found)
    raise ItemError(f"a numpy {value.dtype} has no form in a batch; {_ADVICE}")


def _scalar(value):
    kind = type(value)
    if kind is int:
        return b"js%d" % value
    if kind is str:
        return b"js" + _text(value)
    return b"js" + json.dumps(value).encode("ascii")


def _text(value):
    # Escapes what is not ASCII: then a lone surrogate has a form too.
    return json.dumps(value).encode("ascii")


def _append(parts, item):
    parts.append(item)
    return len(item)


def _two(parts, tag, payload):
    parts.append(tag)
    parts.append(payload)
    return len(tag) + len(payload)


def _prefixed(parts, encode):
    """Appends what `encode` appends, after its length; returns the length of both."""
    place = len(parts)
    parts.append(b"")
    length = encode()
    if length > _U32_MAX:
        raise ItemError("it is longer than 4 GiB, the layout's limit")
    parts[place] = _length(length)
    return 4 + length


def _list(values, parts, form):
    kinds = set(map(type, values))
    if form.json_lists and kinds.issubset(_SCALARS):
        return _append(parts, b"js" + json.dumps(values, separators=(",", ":")).encode("ascii"))
    parts.append(b"ls")
    total = 2
    if len(kinds) == 1 and kinds <= {int, str, float}:
        return total + _append(parts, _scalars(kinds.pop(), values))
    for index, value in enumerate(values):
        try:
            total += _prefixed(parts, lambda value=value: _encode(value, parts, form.inner()))
        except ItemError as error:
            raise error.within(f"[{index}]") from None
    return total


def _scalars(kind, values):
    if kind is int:
        items = [b"js%d" % value for value in values]
    else:
        # One JSON text for all of them is made in C; neither numbers nor escaped texts contain a line feed.
        items = [b"js" + text for text in _dump_lines(values)]
    return b"".join([piece for item in items for piece in (_length(len(item)), item)])


def _dump_lines(values):
    text = json.dumps(values, separators=("\n", ":")).encode("ascii")
    return text[1:-1].split(b"\n")


def _dict(values, parts, form):
    parts.append(b"di")
    total = 2
    for key, value in values.items():
        if not isinstance(key, str):
            raise ItemError(f"its key {key!r} is {_article(type(key).__name__)}, and keys must be text")
        name = key.encode("utf-8", "replace")
        total += _append(parts, _length(len(name))) + _append(parts, name)
        try:
            total += _prefixed(parts, lambda value=value: _encode(value, parts, form.inner()))
        except ItemError as error:
            raise error.within(f"[{key!r}]") from None
    return total


def _ndarray(tag, array, parts, form):
    if array.dtype.hasobject:
        return _list(array.tolist(), parts, form) if array.ndim else _encode(array.item(), parts, form.inner())
    if array.dtype.fields is not None:
        raise ItemError(f"an array of records ({array.dtype}) has no form in a batch; send its fields one by one")
    if isinstance(array, np.ma.MaskedArray):
        raise ItemError("a masked array has no form in a batch; fill it, or send data and mask")
    array = np.asarray(array)
    # `ascontiguousarray` would make an array without dimensions one-dimensional.
    array = array if array.flags.c_contiguous else np.ascontiguousarray(array)
    header = b""
    for text in (_numbers(array.shape), _text(str(array.dtype)), _numbers(_strides(array))):
        header += _length(2 + len(text)) + b"js" + text
    total = _append(parts, tag + _length(len(header)) + header)
    return total + _append(parts, memoryview(array.reshape(-1).view(np.uint8)) if array.size else b"")


def _strides(array):
    """Those of C order: numpy leaves the strides of dimensions of length 1 undefined."""
    strides = [array.itemsize] * array.ndim
    for axis in range(array.ndim - 2, -1, -1):
        strides[axis] = strides[axis + 1] * array.shape[axis + 1]
    return strides


def _numbers(numbers):
    return json.dumps(list(numbers), separators=(",", ":")).encode("ascii")


def _is_tensor(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _tensor(tensor, parts, form):
    try:
        array = tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:
        raise ItemError(f"the tensor ({tensor.dtype}) has no numpy form: {error}") from None
    return _ndarray(b"ts", array, parts, form)

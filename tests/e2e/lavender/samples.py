"""Reads the binary sample layout of the Lavender client, written from its description and not with that client's code.

All integers are big-endian unsigned 32-bit: the length of a JSON array of keys, that array, the two bytes `sa`, then for each
key the length of its item and the item. An item is a two-byte tag and its payload. Deliberately absent: tensors (no server
under test has torch), encoding.
"""

import json
import struct

import numpy

INDICES = "_lavender_data_indices"
CURRENT = "_lavender_data_current"


class Malformed(Exception):
    """The bytes are not what the layout allows."""


def decode(body: bytes) -> dict:
    """A sample or a batch, its keys in the order of the bytes."""
    at, text = _prefixed(body, 0)
    keys = json.loads(text)
    if body[at : at + 2] != b"sa":
        raise Malformed(f"no mark after the keys but {body[at : at + 2]!r}")
    at += 2
    sample = {}
    for key in keys:
        at, item = _prefixed(body, at)
        sample[key] = decode_item(item)
    if at != len(body):
        raise Malformed(f"{len(body) - at} bytes after the last item")
    if len(sample) != len(keys):
        raise Malformed(f"a key occurs twice in {keys}")
    return sample


def tags(body: bytes) -> dict:
    """The tag of each key's item."""
    at, text = _prefixed(body, 0)
    at += 2
    found = {}
    for key in json.loads(text):
        at, item = _prefixed(body, at)
        found[key] = item[:2].decode()
    return found


def decode_item(item: bytes):
    tag, payload = item[:2], item[2:]
    if tag == b"js":
        return json.loads(payload)
    if tag == b"by":
        return payload
    if tag == b"ls":
        return [decode_item(one) for one in _items(payload)]
    if tag == b"di":
        return _dictionary(payload)
    if tag == b"np":
        return _array(payload)
    raise Malformed(f"unknown tag {tag!r}")


def _prefixed(data: bytes, at: int) -> tuple[int, bytes]:
    if at + 4 > len(data):
        raise Malformed(f"a length is cut off at {at} of {len(data)}")
    (length,) = struct.unpack_from(">I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise Malformed(f"{length} bytes at {at} reach beyond {len(data)}")
    return end, data[at + 4 : end]


def _items(payload: bytes):
    at = 0
    while at < len(payload):
        at, item = _prefixed(payload, at)
        yield item


def _dictionary(payload: bytes) -> dict:
    found, at = {}, 0
    while at < len(payload):
        at, key = _prefixed(payload, at)
        at, item = _prefixed(payload, at)
        found[key.decode()] = decode_item(item)
    return found


def _array(payload: bytes) -> numpy.ndarray:
    at, header = _prefixed(payload, 0)
    shape, kind, strides = (json.loads(item[2:]) for item in _items(header))
    kind, raw = numpy.dtype(kind), payload[at:]
    compact, step = [], kind.itemsize
    for length in reversed(shape):
        compact.append(step)
        step *= length
    if step > 0 and list(strides) != compact[::-1]:  # without elements any strides will do
        raise Malformed(f"strides {strides} of shape {shape} {kind} are not those of the bytes that follow, {compact[::-1]}")
    if len(raw) != step:
        raise Malformed(f"{len(raw)} bytes for shape {shape} of {kind}")
    return numpy.frombuffer(raw, kind).reshape(shape)

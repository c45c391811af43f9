"""Python values as Arrow columns, for clients that take Arrow.

A value becomes a column if it has one element for each sample of the batch: a list or tuple, a numpy array or torch
tensor whose first dimension counts samples. Elements that are arrays of one shape become fixed-size lists, with
Arrow's `fixed_shape_tensor` metadata where they have more than one dimension.
"""

import json

import numpy as np
import pyarrow as pa

from lavandin.worker.failure import ResultError
from lavandin.worker.items import _is_tensor


def to_column(key, value, rows):
    """The field and array of `value` in a batch of `rows` samples."""
    if _is_tensor(value):
        value = value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)):
        value = _joined(list(value))
    if not isinstance(value, (list, np.ndarray)) or (isinstance(value, np.ndarray) and value.ndim == 0):
        raise ResultError(
            f"key {key!r} cannot be a column: it is of type {type(value).__name__}, and a column needs a list or array "
            "with one element for each sample"
        )
    if len(value) != rows:
        raise ResultError(f"key {key!r} cannot be a column: it has {len(value)} elements for {rows} samples")
    try:
        return _tensors(key, value) if isinstance(value, np.ndarray) and value.ndim > 1 else _flat(key, value)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ResultError(f"key {key!r} cannot be a column: {error}") from error


def _joined(values):
    """One array of a list of arrays of one shape and type; other lists as they are, tensors in them as arrays."""
    values = [value.detach().cpu().numpy() if _is_tensor(value) else value for value in values]
    first = values[0] if values else None
    if not isinstance(first, np.ndarray):
        return values
    alike = all(
        isinstance(value, np.ndarray) and value.shape == first.shape and value.dtype == first.dtype for value in values
    )
    if alike:
        return np.stack(values)
    return [value.tolist() if isinstance(value, np.ndarray) and value.ndim != 1 else value for value in values]


def _flat(key, value):
    if isinstance(value, np.ndarray) and not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    array = pa.array(value)
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    return pa.field(key, array.type), array


def _tensors(key, value):
    _, values = _flat(key, np.ascontiguousarray(value).reshape(-1))
    shape = value.shape[1:]
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)) or 0 in shape:
        return _flat(key, value.tolist())
    width = int(np.prod(shape))
    array = pa.FixedSizeListArray.from_arrays(values, width)
    metadata = None
    if len(shape) > 1:
        metadata = {
            "ARROW:extension:name": "arrow.fixed_shape_tensor",
            "ARROW:extension:metadata": json.dumps({"shape": list(shape)}),
        }
    return pa.field(key, array.type, metadata=metadata), array

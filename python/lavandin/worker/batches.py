"""Collater and preprocessors over the samples of one batch.

1. The samples are collated: by a user's collater, or into a dict of lists.
2. Preprocessors run in rounds: each in the first round in which all that it depends on has run. Those of one round run
   at the same time in threads, each seeing the batch as it was before the round, and what they return is put into the
   batch in the order in which the iteration lists them.
3. The reply has the keys in order. A key whose value is still an input column's is answered by that column's name;
   other values are encoded, as items or as Arrow columns.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from lavandin.worker.arrays import to_column
from lavandin.worker.failure import PipelineError, ResultError
from lavandin.worker.items import encode_key
from lavandin.worker.samples import batch_of, columns_of, LazyDict, read, samples_of, untouched

#: Keys that the server itself puts into a batch.
_RESERVED = ("_lavender_data_indices", "_lavender_data_current")
_THREADS_MAX = 16
_threads = None


class Batch:
    """The work on one batch; `function` is the user's function that ran last, for error messages."""

    def __init__(self, record_batch):
        self.rows = record_batch.num_rows
        self.columns = columns_of(record_batch)
        self.function = None

    def run(self, collater, preprocessors):
        """The batch as a dict. `collater` and each of `preprocessors` are pairs of function and parameters."""
        rounds = in_rounds(preprocessors)
        batch = self._collate(collater)
        for functions in rounds:
            for function, result in zip(functions, self._process(functions, batch)):
                self.function = function[0]
                _merge(batch, function[0], result)
        return batch

    def items(self, batch, form, reply_bytes_max):
        """The reply's entries, its pieces and their length: values as items of the binary layout.

        `form` has `single` (a batch of one is sent as its one sample) and `json_lists`."""
        by_name = {column.name: column for column in self.columns}
        entries, parts, total = [], [], 0
        for key, value in _items(batch):
            name = untouched(self.columns, by_name, key, value)
            if name is not None:
                entries.append([key, name])
                continue
            value = read(value)
            pieces, length = encode_key(key, _decollated(value) if form["single"] else value, form["json_lists"])
            parts += pieces
            total += length
            _check(total, reply_bytes_max)
            entries.append([key, length])
        return entries, parts, total

    def arrays(self, batch, reply_bytes_max):
        """The same for clients that take Arrow: values as the columns of an IPC stream."""
        by_name = {column.name: column for column in self.columns}
        entries, fields, arrays = [], [], []
        for key, value in _items(batch):
            name = untouched(self.columns, by_name, key, value)
            if name is None:
                field, array = to_column(key, read(value), self.rows)
                fields.append(field)
                arrays.append(array)
            entries.append([key, name])
        if not arrays:
            return entries, [], 0
        sink = pa.BufferOutputStream()
        schema = pa.schema(fields)
        with pa.ipc.new_stream(sink, schema) as stream:
            stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        body = memoryview(sink.getvalue())
        _check(len(body), reply_bytes_max)
        return entries, [body], len(body)

    def _collate(self, collater):
        if collater is None:
            return batch_of(self.columns)
        self.function, params = collater
        batch = self.function.instance.collate(samples_of(self.columns, self.rows), **params)
        if not isinstance(batch, dict):
            raise ResultError(
                f"the collater {self.function.name!r} returned {type(batch).__name__}, and a batch must be a dict"
            )
        return batch

    def _process(self, functions, batch):
        if len(functions) == 1:
            ((self.function, params),) = functions
            return [self.function.instance.process(batch, **params)]
        running = [_pool().submit(function.instance.process, batch, **params) for function, params in functions]
        # All must have ended before an error is told: the next batch must not meet this one's threads.
        errors = [future.exception() for future in running]
        for (function, _), error in zip(functions, errors):
            if error is not None:
                self.function = function
                raise error
        return [future.result() for future in running]


def in_rounds(preprocessors):
    """The preprocessors, pairs of function and parameters, as lists of those that may run at the same time."""
    names = [function.name for function, _ in preprocessors]
    for function, _ in preprocessors:
        for name in function.depends_on:
            if name not in names:
                raise PipelineError(
                    f"preprocessor {function.name!r} depends on {name!r}, which is not among the iteration's "
                    f"preprocessors [{', '.join(names)}]"
                )
    rounds, done, waiting = [], set(), list(preprocessors)
    while waiting:
        ready = [pair for pair in waiting if done.issuperset(pair[0].depends_on)]
        if not ready:
            circle = ", ".join(f"{function.name} after {' and '.join(function.depends_on)}" for function, _ in waiting)
            raise PipelineError(f"preprocessors wait for each other in a circle: {circle}")
        rounds.append(ready)
        done.update(function.name for function, _ in ready)
        waiting = [pair for pair in waiting if pair not in ready]
    return rounds


def _merge(batch, function, result):
    if result is None:  # it changed the batch in place
        return
    if not isinstance(result, dict):
        raise ResultError(
            f"the preprocessor {function.name!r} returned {type(result).__name__}, and a dict of what to put into the "
            "batch is needed"
        )
    if result is not batch:
        batch.update(result)


def _items(batch):
    items = batch.raw_items() if type(batch) is LazyDict else batch.items()
    for key, value in items:
        if not isinstance(key, str):
            raise ResultError(f"the batch has the key {key!r} ({type(key).__name__}), and keys must be text")
        if key not in _RESERVED:
            yield str(key), value


def _check(length, reply_bytes_max):
    if length > reply_bytes_max:
        raise ResultError(f"the batch is larger than {reply_bytes_max} bytes, the limit for one batch")


def _decollated(value):
    """The value of the one sample of a batch of one."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.numel() == 1:
            return value.item()
        return value[0] if value.dim() > 0 and len(value) > 0 else value
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, dict):
        return {key: _decollated(inner) for key, inner in value.items()}
    return value


def _pool():
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(_THREADS_MAX, "preprocessor")
    return _threads

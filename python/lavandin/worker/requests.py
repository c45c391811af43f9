"""Requests to answers."""

import gc

import pyarrow as pa

from lavandin.pipelines import REGISTRY
from lavandin.worker import modules
from lavandin.worker.batches import Batch
from lavandin.worker.failure import PipelineError, reply
from lavandin.worker.selection import select

_REPLY_BYTES_MAX = 512 * 1024 * 1024


class Requests:
    def __init__(self, connection):
        self._connection = connection
        self._reply_bytes_max = _REPLY_BYTES_MAX
        pa.set_cpu_count(1)  # the node runs as many workers as it wants to use cores

    def answer(self, header, body):
        number = header["id"]
        answers = {"load": self._load, "prepare": self._prepare, "select": self._select, "batch": self._batch}
        try:
            fields, parts, total = answers[header["op"]](header, body)
        except _Failure as failure:
            fields, parts, total = {"error": reply(failure.error, failure.kind, failure.name)}, (), 0
        except Exception as error:
            fields, parts, total = {"error": reply(error)}, (), 0
        self._connection.send({"id": number, **fields}, parts, total)

    def _load(self, header, body):
        self._reply_bytes_max = header["reply_bytes_max"]
        files, at = [], 0
        for name, length in header["files"]:
            files.append((name, bytes(body[at : at + length])))
            at += length

        def progress(name):
            self._connection.send({"id": header["id"], "progress": name})

        errors = modules.load(header["directory"], files, progress)
        gc.collect()
        gc.freeze()  # what the modules made stays: no need to look through it again
        return {"functions": [function.spec() for function in REGISTRY.all()], "errors": errors}, (), 0

    def _prepare(self, header, body):
        for kind, name in header["functions"]:
            function = _find(kind, {"name": name})
            try:
                function.get()
            except BaseException as error:
                raise _Failure(error, kind, name) from None
        return {}, (), 0

    def _select(self, header, body):
        filters = [_call("filter", call) for call in header["filters"]]
        categorizer = _call("categorizer", header["categorizer"]) if header["categorizer"] else None
        fields, outcomes = select(_record_batch(body), filters, categorizer)
        return fields, (outcomes,), len(outcomes)

    def _batch(self, header, body):
        collater = _call("collater", header["collater"]) if header["collater"] else None
        preprocessors = [_call("preprocessor", call) for call in header["preprocessors"]]
        batch = Batch(_record_batch(body))
        try:
            values = batch.run(collater, preprocessors)
            batch.function = None
            if header["arrow"]:
                entries, parts, total = batch.arrays(values, self._reply_bytes_max)
            else:
                entries, parts, total = batch.items(values, header, self._reply_bytes_max)
        except BaseException as error:  # exit() in user code fails its batch, no more
            function = batch.function
            raise _Failure(error, function and function.kind, function and function.name) from None
        return {"entries": entries}, parts, total


class _Failure(Exception):
    """An error of user code, and of which function."""

    def __init__(self, error, kind, name):
        super().__init__(str(error))
        self.error = error
        self.kind = kind or ""
        self.name = name or ""


def _find(kind, call):
    function = REGISTRY.find(kind, call["name"])
    if function is None:
        raise PipelineError(f"there is no {kind} {call['name']!r} in this worker")
    return function


def _call(kind, call):
    function = _find(kind, call)
    function.get()
    params = call["params"]
    # An iteration may name parameters for a collater that takes none; they are left out, as ever.
    return function, function.accepted(params) if kind == "collater" else params


def _record_batch(body):
    with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
        return stream.read_next_batch()

"""A worker in a process of its own, spoken to as the node does."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

PACKAGE = Path(__file__).resolve().parent.parent
START = "import sys; sys.path[0] = sys.argv[1]; from lavandin.worker.main import main; main()"


class Worker:
    def __init__(self, cwd):
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", START, str(PACKAGE), str(os.getpid())],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
        )
        theirs.close()
        self.socket = ours
        self.progress = []
        self.hello, _ = self.receive()

    def receive(self):
        (length,) = struct.unpack("<I", self._exactly(4))
        header = json.loads(self._exactly(length))
        (length,) = struct.unpack("<Q", self._exactly(8))
        return header, self._exactly(length)

    def request(self, op, body=b"", **fields):
        text = json.dumps({"id": 1, "op": op, **fields}).encode()
        self.socket.sendall(struct.pack("<I", len(text)) + text + struct.pack("<Q", len(body)) + body)
        while True:
            header, body = self.receive()
            if "progress" not in header:
                return header, body
            self.progress.append(header["progress"])

    def load(self, directory):
        directory = Path(directory)
        files = sorted((path.name, path.read_bytes()) for path in directory.glob("*.py"))
        header, _ = self.request(
            "load",
            b"".join(source for _, source in files),
            directory=str(directory),
            files=[[name, len(source)] for name, source in files],
            reply_bytes_max=1 << 20,
        )
        return header

    def batch(self, samples, preprocessors=(), collater=None, single=False, arrow=False, json_lists=False):
        """The keys of the reply with the column's name or the decoded value; for Arrow (entries, record batch)."""
        header, body = self.request(
            "batch",
            stream(samples),
            collater=call(collater) if collater else None,
            preprocessors=[call(one) for one in preprocessors],
            single=single,
            arrow=arrow,
            json_lists=json_lists,
        )
        if "error" in header:
            return header
        if arrow:
            return dict(header["entries"]), pa.ipc.open_stream(body).read_next_batch() if body else None
        values, at = {}, 0
        for key, entry in header["entries"]:
            if isinstance(entry, str):
                values[key] = Ref(entry)
            else:
                values[key] = decode(memoryview(body)[at : at + entry])
                at += entry
        assert at == len(body)
        return values

    def select(self, samples, filters=(), categorizer=None):
        """The outcomes (category, None where filtered, or the error's number) and the header."""
        header, body = self.request(
            "select",
            stream(samples),
            filters=[call(one) for one in filters],
            categorizer=call(categorizer) if categorizer else None,
        )
        count = len(body) // 5
        codes = struct.unpack(f"<{count}I", body[count:])
        meaning = {0: lambda code: None, 1: lambda code: (header["categories"] or [""])[code], 2: lambda code: code}
        return [meaning[outcome](code) for outcome, code in zip(body[:count], codes)], header

    def output(self):
        """What it printed, after its end."""
        self.socket.close()
        return self.process.communicate(timeout=20)[0].decode()

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError("the worker has closed the connection")
            data += piece
        return data


class Ref(str):
    """An input column's name in place of a value."""


def call(function):
    name, params = (function, {}) if isinstance(function, str) else function
    return {"name": name, "params": params}


def stream(samples):
    batch = samples if isinstance(samples, pa.RecordBatch) else pa.RecordBatch.from_pydict(samples)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def decode(item):
    """An item of the binary sample layout, read as its description says."""
    import numpy as np

    tag, payload = bytes(item[:2]), item[2:]
    if tag == b"js":
        return json.loads(bytes(payload))
    if tag == b"by":
        return bytes(payload)
    if tag == b"ls":
        return [decode(part) for part in _pieces(payload)]
    if tag == b"di":
        parts = list(_pieces(payload))
        return {bytes(key).decode(): decode(value) for key, value in zip(parts[::2], parts[1::2])}
    assert tag in (b"np", b"ts"), tag
    (length,) = struct.unpack(">I", payload[:4])
    shape, dtype, strides = (decode(part) for part in _pieces(payload[4 : 4 + length]))
    return np.ndarray(shape, dtype, buffer=bytes(payload[4 + length :]), strides=strides)


def _pieces(payload):
    at = 0
    while at < len(payload):
        (length,) = struct.unpack(">I", payload[at : at + 4])
        yield payload[at + 4 : at + 4 + length]
        at += 4 + length
    assert at == len(payload)


@contextlib.contextmanager
def worker_in(cwd):
    """A worker that ends with the block, and that gets the environment as it is now."""
    made = Worker(cwd)
    try:
        yield made
    finally:
        made.socket.close()
        try:
            made.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            made.process.kill()
            made.process.wait()
        made.process.stdout.close()


@pytest.fixture
def worker(tmp_path):
    with worker_in(tmp_path) as made:
        yield made


@pytest.fixture
def modules(tmp_path):
    """Writes files into a modules directory and returns the directory."""
    directory = tmp_path / "modules"
    directory.mkdir()

    def write(**files):
        for stem, source in files.items():
            (directory / f"{stem}.py").write_text(source)
        return directory

    return write

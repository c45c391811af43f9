"""Ingest, restart and memory, and what all sections ask of a server through the client."""

import http.client
import json
import os
import time
from urllib.parse import urlencode

import numpy as np
from data import clustered, exact, latencies, median, recall
from lynse import VectorDBClient
from lynse.cluster import _encode_fields_binary
from server import Server, Stub

BATCH = 1000
BUILD_DEADLINE_S = 900
RESTART_DEADLINE_S = 600


class Subject:
    """A server and the client's view of it."""

    def __init__(self, server: Server):
        self.server, self.name = server, server.name
        self.handles = {}
        self.dim = 128

    @property
    def database(self):
        client = VectorDBClient(self.server.url)
        return client.create_database("bench") if "bench" not in client.list_databases() else client.get_database("bench")

    @property
    def plain(self):
        return self.collection("plain")

    def collection(self, name: str):
        """The handle that wrote the collection where there is one, as in a client that goes on working."""
        key = (name, self.server.process.pid)
        if key not in self.handles:
            self.handles[key] = self.database.get_collection(name)
        return self.handles[key]

    def create(self, name: str, dim: int):
        self.dim = dim
        handle = self.database.require_collection(name, dim=dim, default_index=None, drop_if_exists=True)
        self.handles[name, self.server.process.pid] = handle
        return handle

    def fill_plain(self, rows: np.ndarray, name: str = "plain") -> list[float]:
        handle = self.create(name, rows.shape[1])
        taken = []
        for start in range(0, len(rows), BATCH):
            begun = time.perf_counter()
            handle.add(vectors=rows[start : start + BATCH])
            taken.append(time.perf_counter() - begun)
        handle.commit()
        return taken

    def fill_fields(self, name: str, rows: np.ndarray, string_ids: bool = False) -> list[float]:
        handle = self.create(name, rows.shape[1])
        taken = []
        for start in range(0, len(rows), BATCH):
            numbers = range(start, min(start + BATCH, len(rows)))
            fields = [{"cat": i % 100, "price": (i % 1000) / 10, "tag": f"t{i % 7}"} for i in numbers]
            ids = [f"s{i}" for i in numbers] if string_ids else list(numbers)
            begun = time.perf_counter()
            handle.add(ids=ids, vectors=rows[start : start + BATCH], fields=fields)
            taken.append(time.perf_counter() - begun)
        handle.commit()
        return taken

    def fill_strings(self, name: str, rows: np.ndarray) -> list[float]:
        handle = self.create(name, rows.shape[1])
        taken = []
        for start in range(0, len(rows), BATCH):
            ids = [f"s{i}" for i in range(start, min(start + BATCH, len(rows)))]
            begun = time.perf_counter()
            handle.add(ids=ids, vectors=rows[start : start + BATCH])
            taken.append(time.perf_counter() - begun)
        return taken

    def build(self, mode: str, handle=None) -> float:
        """Seconds until the index is complete, whether the call waits for it or not."""
        handle = handle or self.plain
        begun = time.perf_counter()
        handle.build_index(mode)
        while self.server.metric("index_builds_in_progress"):
            if time.perf_counter() - begun > BUILD_DEADLINE_S:
                raise SystemExit(f"{self.name}: the build of {mode} does not end")
            time.sleep(0.05)
        return time.perf_counter() - begun


def ingest(run, subjects: list):
    """Plain, string-id and field ingest in turns, beside what the client reaches against a stub and what the disk does.

    "bodies ready" sends requests that were encoded before: where the client's own encoding is most of the time, only this
    row compares the servers.
    """
    count, few = len(run.rows), min(20_000, len(run.rows))
    strings = min(5000, few)
    json_bodies, binary_bodies = ready_bodies(run.rows[:strings])
    kinds = {
        "plain": (count, lambda subject: subject.fill_plain(run.rows)),
        "int ids, 3 fields": (few, lambda subject: subject.fill_fields("fielded", run.rows[:few])),
        "string ids": (strings, lambda subject: subject.fill_strings("strings", run.rows[:strings])),
        "string ids, 3 fields": (strings, lambda subject: subject.fill_fields("both", run.rows[:strings], string_ids=True)),
        "string ids, 3 fields, bodies ready": (strings, lambda subject: send(subject, "ready", json_bodies)),
        "int ids, 3 fields, bodies ready": (strings, lambda subject: send(subject, "ready", binary_bodies)),
        "one by one": (300, lambda subject: one_by_one(subject, run.rows[:300])),
    }
    for subject in subjects:
        subject.server.start()
        subject.fill_plain(run.rows[:BATCH], "warm")
    stub = Subject(Stub(run.directory / "stub").start(fresh=False))
    for kind, (rows, fill) in kinds.items():
        turns = list(subjects) if kind == "one by one" else [*subjects, stub]
        kept = {subject.name: ([], [], []) for subject in turns}
        for _ in range(run.options.rounds):
            for subject in list(turns):
                cpu = subject.server.cpu_s()
                try:
                    taken = fill(subject)
                except Refused as error:
                    print(f"ingest   {kind:22} {subject.name:10} {error}", flush=True)
                    turns.remove(subject)
                    continue
                rates, times, cpus = kept[subject.name]
                cpus.append((subject.server.cpu_s() - cpu) / rows * 1e6)
                rates.append(rows / sum(taken))
                times.extend(taken)
        for subject in turns:
            rates, times, cpus = kept[subject.name]
            shown = latencies(times)
            run.keep("ingest", kind, subject.name, {"vec_per_s": median(rates), "p50_ms": shown["p50_ms"], "p99_ms": shown["p99_ms"], "cpu_us": median(cpus)})
    run.keep("ingest", "plain", "disk", disk_rate(run.directory, BATCH * run.options.dim * 4))
    run.keep("ingest", "one by one", "disk", disk_rate(run.directory, run.options.dim * 4))
    for subject in [*subjects, stub]:
        subject.server.stop()


def ready_bodies(rows: np.ndarray) -> tuple[list, list]:
    """The same records as JSON with string ids, and in the binary layout with integer ids: (path, content type, body)."""
    as_json, as_binary = [], []
    named = {"database_name": "bench", "collection_name": "ready"}
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        fields = [{"cat": i % 100, "price": (i % 1000) / 10, "tag": f"t{i % 7}"} for i in range(start, start + len(batch))]
        ids = [f"s{i}" for i in range(start, start + len(batch))]
        body = json.dumps({**named, "ids": ids, "vectors": batch.tolist(), "fields": fields}, separators=(",", ":")).encode()
        as_json.append(("/add", "application/json", body))
        query = {**named, "dim": rows.shape[1], "n_vectors": len(batch), "ids_encoding": "range", "ids_start": start}
        body = batch.astype("<f4").tobytes() + _encode_fields_binary(fields)
        as_binary.append((f"/add_records_binary?{urlencode(query)}", "application/octet-stream", body))
    return as_json, as_binary


class Refused(Exception):
    """A server that does not serve a row: its cluster knows fewer calls than its nodes do."""


def send(subject: Subject, name: str, bodies: list) -> list[float]:
    subject.create(name, subject.dim)
    connection = http.client.HTTPConnection("127.0.0.1", subject.server.port)
    taken = []
    for path, content_type, body in bodies:
        begun = time.perf_counter()
        connection.request("POST", path, body, {"Content-Type": content_type})
        answer = connection.getresponse()
        text = answer.read()
        taken.append(time.perf_counter() - begun)
        if answer.status != 200:
            raise Refused(f"{path.split('?')[0]}: {answer.status} {text[:300]!r}")
    connection.close()
    return taken


def one_by_one(subject: Subject, rows: np.ndarray) -> list[float]:
    handle = subject.create("single", rows.shape[1])
    taken = []
    for at, row in enumerate(rows):
        begun = time.perf_counter()
        handle.add(ids=f"one{at}", vectors=row)
        taken.append(time.perf_counter() - begun)
    return taken


def disk_rate(directory, size: int, writes: int = 200) -> dict:
    """Appends of one batch's bytes, each followed by fdatasync: the bound of a log that promises durability."""
    path, block, taken = directory / "disk-rate", os.urandom(size), []
    with open(path, "wb", buffering=0) as file:
        for _ in range(writes):
            begun = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begun)
    path.unlink()
    shown = latencies(taken)
    return {"mb_per_s": size / 1e6 / float(np.mean(taken)), "p50_ms": shown["p50_ms"], "p99_ms": shown["p99_ms"]}


def restart(run):
    """SIGKILL under a graph index, then the time to the first answer that is right, and until the graph is back."""
    truth = exact(run.rows, run.queries[:20], "L2", run.options.k)
    for subject in run.subjects:
        server = subject.server.start()
        subject.fill_plain(run.rows)
        built = subject.build("HNSW-L2")
        subject.plain.search(run.queries[0], k=run.options.k)
        server.kill()
        begun = time.perf_counter()
        server.start(fresh=False)
        ready = time.perf_counter() - begun
        handle = subject.plain
        while True:
            found = [handle.search(v, k=run.options.k, nprobe=200).ids for v in run.queries[:20]]
            first = time.perf_counter() - begun
            if recall(found, truth, run.options.k) >= 0.95:
                break
            if first > RESTART_DEADLINE_S:
                raise SystemExit(f"{subject.name}: no right answer after a restart")
        while server.metric("index_builds_in_progress"):
            time.sleep(0.02)
        settled = time.perf_counter() - begun
        figures = {"ready_s": ready, "first_right_s": first, "settled_s": settled, "build_s": built, "rows": handle.shape[0]}
        run.keep("restart", "HNSW-L2", subject.name, figures)
        server.stop()


def memory(run):
    """Resident memory: idle, with 1,000 empty collections, and with sealed data at two widths."""
    for subject in run.subjects:
        server = subject.server.start()
        idle = server.memory_mb()
        run.keep("memory", "idle", subject.name, idle)
        database = subject.database
        for at in range(1000):
            database.require_collection(f"empty-{at}", dim=128, default_index=None)
        more = server.memory_mb()
        run.keep("memory", "1,000 empty", subject.name, {**more, "more_mb": more["VmRSS"] - idle["VmRSS"]})
        server.stop()
        for dim, count in ((128, 100_000), (384, 40_000)):
            rows = run.rows if (count, dim) == run.rows.shape else clustered(count, dim)[0]
            server.start()
            subject.fill_plain(rows)
            subject.plain.checkpoint()
            keep_loaded(run, subject, f"{dim} dims", rows)
            subject.build("HNSW-L2")
            keep_loaded(run, subject, f"{dim} dims, HNSW", rows)
            server.kill()
            server.start(fresh=False)
            keep_loaded(run, subject, f"{dim} dims, restarted", rows)
            server.stop()


def keep_loaded(run, subject: Subject, row: str, rows: np.ndarray):
    """After background work has ended, and after searches that touch all data."""
    for vector in rows[:50]:
        subject.plain.search(vector, k=10)
    shown = settled_memory(subject.server)
    raw = rows.nbytes / 2**20
    run.keep("memory", row, subject.name, {**shown, "raw_mb": raw, "times_raw_over_60": (shown["VmRSS"] - 60) / raw})


def settled_memory(server: Server, deadline_s: float = 60.0) -> dict:
    """Waits until the resident set stands still for a second."""
    end = time.monotonic() + deadline_s
    last, since = server.memory_mb(), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < 1.0:
        time.sleep(0.1)
        now = server.memory_mb()
        if abs(now["VmRSS"] - last["VmRSS"]) > 1:
            since = time.monotonic()
        last = now
    return last

"""The dataset API over one kept-alive connection: what the published client sends, without its threads and retries.

Invariants: every wait is a poll with a deadline; a reply is returned as it came, and a helper that expects success fails with
the body. Driven by the tests; one object per thread.
"""

import base64
import itertools
import json
import os
import time

from node import Connection, Reply, poll
from samples import CURRENT, INDICES, decode

END_OF_ITERATION = "No more indices to pop"
SYNC_DEADLINE_S = 60.0
IDLE_S = 2.0
ITERATION_FIELDS = (
    "dataset_id shardsets filters categorizer collater preprocessors shuffle shuffle_seed shuffle_block_size batch_size"
    " replication_pg rank world_size wait_participant_threshold"
).split()

_names = itertools.count()


def unique(name: str) -> str:
    """A dataset name that no other test of this run takes."""
    return f"{name}-{os.getpid()}-{next(_names)}"


def basic_header(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


class FeedApi:
    def __init__(self, port: int, basic: str | None = None, timeout_s: float = 60.0):
        self.connection = Connection(port, timeout_s=timeout_s)
        self.used = time.monotonic()
        self.headers = {} if basic is None else {"Authorization": basic_header(basic)}

    def close(self):
        self.connection.close()

    def call(self, method: str, path: str, payload=None, headers=None) -> Reply:
        headers = {**self.headers, **(headers or {})}
        body = None
        if payload is not None:
            body = json.dumps(payload).encode()
            headers.setdefault("Content-Type", "application/json")
        if time.monotonic() - self.used > IDLE_S:
            self.connection.close()  # the server may be closing it just now; it is opened again by the request
        reply = self.connection.request(method, path, body, headers)
        self.used = time.monotonic()
        if reply.status == 500 and reply.text == "Internal Server Error":
            self.connection.close()  # the published server closes the connection too, and does not say so
        return reply

    def get(self, path: str, **options) -> Reply:
        return self.call("GET", path, **options)

    def post(self, path: str, payload=None, **options) -> Reply:
        return self.call("POST", path, payload, **options)

    def put(self, path: str, payload) -> Reply:
        return self.call("PUT", path, payload)

    def delete(self, path: str) -> Reply:
        return self.call("DELETE", path)

    # --- catalogue

    def create_dataset(self, name: str, uid: str = "id", location: str | None = None) -> dict:
        payload = {"name": name, "uid_column_name": uid, "shardset_location": location}
        return ok(self.post("/datasets/", payload))

    def create_shardset(self, dataset_id: str, location: str, columns=(), shards: int | None = 1) -> dict:
        """Returns the shardset once it is synced with at least so many shards."""
        payload = {"location": location, "columns": list(columns)}
        created = ok(self.post(f"/datasets/{dataset_id}/shardsets", payload))
        return self.wait_synced(dataset_id, created["id"], shards) if shards is not None else created

    def wait_synced(self, dataset_id: str, shardset_id: str, shards: int = 1) -> dict:
        path = f"/datasets/{dataset_id}/shardsets/{shardset_id}"

        def synced():
            status = ok(self.get(f"{path}/sync"))
            found = ok(self.get(path))
            idle = status is None or status["status"] in ("completed", "failed", "aborted")
            return found if idle and found["shard_count"] >= shards else None

        return poll(synced, f"the sync of {shardset_id} to {shards} shards", SYNC_DEADLINE_S)

    def sync(self, dataset_id: str, shardset_id: str, overwrite: bool = False) -> Reply:
        return self.post(f"/datasets/{dataset_id}/shardsets/{shardset_id}/sync", {"overwrite": overwrite})

    def dataset_of(self, name: str, location: str, columns=(), shards: int = 1, uid: str = "id") -> tuple[str, str]:
        """A new dataset with one synced shardset: their ids."""
        dataset = self.create_dataset(unique(name), uid)["id"]
        return dataset, self.create_shardset(dataset, location, columns, shards)["id"]

    def function(self, name: str, registry: str) -> dict | None:
        """What a registry says of a filter, categorizer, collater or preprocessor."""
        return next((one for one in ok(self.get(f"/registries/{registry}")) if one["name"] == name), None)

    # --- iterations

    def create_iteration(self, dataset_id: str, **options) -> Reply:
        payload = {**dict.fromkeys(ITERATION_FIELDS), "dataset_id": dataset_id, "rank": 0, "cluster_sync": False}
        return self.post("/iterations/", {**payload, **options})

    def iterate(self, dataset_id: str, **options) -> str:
        """A new iteration, or one that this rank joins: its id."""
        return ok(self.create_iteration(dataset_id, **options))["id"]

    def next(
        self, iteration_id: str, rank: int = 0, no_cache: bool = False, retries: int = 0, headers=None, step: int | None = None
    ) -> Reply:
        query = f"rank={rank}&no_cache={str(no_cache).lower()}&max_retry_count={retries}"
        if step is not None:
            query += f"&step={step}"
        return self.get(f"/iterations/{iteration_id}/next?{query}", headers=headers)

    def next_batch(self, iteration_id: str, rank: int = 0, **options) -> dict | None:
        """The next sample or batch decoded; nothing at the end; fails on any other answer."""
        reply = self.next(iteration_id, rank, **options)
        if is_end(reply):
            return None
        assert reply.status == 200, f"{reply.status} {reply.text[:2000]}"
        assert reply.headers["content-type"] == "application/octet-stream"
        batch = decode(reply.body)
        assert int(reply.headers["x-lavender-data-sample-current"]) == batch[CURRENT]
        return batch

    def drain(self, iteration_id: str, rank: int = 0, **options) -> list[dict]:
        """All batches to the end."""
        batches = []
        while (batch := self.next_batch(iteration_id, rank, **options)) is not None:
            batches.append(batch)
        return batches

    def submit(self, iteration_id: str, rank: int = 0, retries: int = 0) -> str:
        """Asks for the next batch without waiting for it: the key of its result."""
        query = f"rank={rank}&no_cache=false&max_retry_count={retries}"
        return ok(self.post(f"/iterations/{iteration_id}/next?{query}"))["cache_key"]

    def submitted(self, iteration_id: str, key: str) -> Reply:
        return self.get(f"/iterations/{iteration_id}/next/{key}")

    def wait_submitted(self, iteration_id: str, key: str, deadline_s: float = 30.0) -> Reply:
        """The result, whatever it is, once it is no longer being worked on."""

        def done():
            reply = self.submitted(iteration_id, key)
            return reply if reply.status != 202 else None

        return poll(done, f"the result {key}", deadline_s)

    def complete(self, iteration_id: str, index: int) -> Reply:
        return self.post(f"/iterations/{iteration_id}/complete/{index}")

    def complete_all(self, iteration_id: str, batch: dict):
        for index in indices(batch):
            assert ok(self.complete(iteration_id, index)) is None

    def pushback(self, iteration_id: str):
        assert ok(self.post(f"/iterations/{iteration_id}/pushback")) is None

    def progress(self, iteration_id: str) -> dict:
        return ok(self.get(f"/iterations/{iteration_id}/progress"))


def ok(reply: Reply):
    assert reply.status == 200, f"{reply.status} {reply.text[:2000]}"
    assert reply.headers["content-type"].split(";")[0] == "application/json"
    return reply.json


def detail(reply: Reply) -> str:
    """The sentence of a refusal."""
    assert reply.status >= 400, f"{reply.status} {reply.body[:200]!r}"
    assert reply.headers["content-type"].split(";")[0] == "application/json", f"{reply.status} {reply.text[:300]}"
    found = reply.json["detail"]
    assert isinstance(found, str) and found, reply.text
    return found


def is_end(reply: Reply) -> bool:
    return reply.status == 400 and END_OF_ITERATION in detail(reply)


def indices(batch: dict) -> list[int]:
    """The places in the main shardset of what a batch holds; one sample may name its place bare."""
    found = batch[INDICES]
    return found if isinstance(found, list) else [found]


def values(batches: list[dict], column: str = "id") -> list:
    """A column of all batches, one after the other."""
    joined = []
    for batch in batches:
        cell = batch[column]
        joined += cell if isinstance(cell, list) else [cell]
    return joined


def in_progress(progress: dict) -> list[int]:
    return sorted(one["index"] for one in progress["inprogress"])

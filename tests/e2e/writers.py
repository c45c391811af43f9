"""Writers that know exactly what the server owes them: the model behind the kill test.

Each writer owns its ids, works through one connection and never starts a request before it has the answer to the last. So at
any moment one request per writer can have an unknown outcome. A model maps an id to what must be stored; a request's effect
is a new version of that map, which becomes the model when the server acknowledges it. At a kill the unfinished request leaves
two maps, before and after; what is found afterwards must be one of the two as a whole, because a request is never half done.

Refused requests (a duplicate among fresh ids, a wrong dimension) have the same map before and after.
"""

import json
import random
import struct
from dataclasses import dataclass, field
from urllib.parse import urlencode

from node import Connection

DIM = 8
DATABASE = "kill"
BATCH_MAX = 12


@dataclass(frozen=True)
class Stored:
    """A record as it must be found. `vector` and `fields` are functions of the version that wrote them."""

    key: object
    vector_version: int
    field_version: int | None
    deleted: bool = False

    @property
    def vector(self) -> list[float]:
        return vector_of(self.key, self.vector_version)

    @property
    def fields(self) -> dict:
        return {} if self.field_version is None else fields_of(self.key, self.field_version)


def vector_of(key, version: int) -> list[float]:
    """Small whole numbers, exact in every format on the way; never all zero."""
    mixed = random.Random(f"{key!r}/{version}")
    return [float(mixed.randint(1, 1000))] + [float(mixed.randint(-1000, 1000)) for _ in range(DIM - 1)]


def fields_of(key, version: int) -> dict:
    return {"owner": repr(key), "version": version, "list": [version % 7, "é"], "even": version % 2 == 0}


class Lost(AssertionError):
    """What was found is not what the server owes."""


@dataclass
class Writer:
    """Explicit ids, chosen by `make_key` from a small range so that operations meet the same records again and again."""

    collection: str
    make_key: object
    seed: int
    keys: int = 150
    owns_collection: bool = False
    binary: bool = False
    model: dict = field(default_factory=dict)
    unfinished: dict | None = None
    version: int = 0
    acknowledged: int = 0

    def __post_init__(self):
        self.random = random.Random(self.seed)

    def run(self, connection: Connection, acknowledge):
        """Works until the connection breaks; `acknowledge` is called after every answer."""
        while True:
            path, body, after = self.next_request()
            self.unfinished = after
            reply = connection.request("POST", path, *body)
            if after is None:
                if reply.status not in (400, 409):
                    raise Lost(f"{path} had to be refused, got {reply.status}: {reply.text}")
            elif reply.status != 200:
                raise Lost(f"{path} was refused: {reply.status} {reply.text}")
            else:
                self.model = after
            self.unfinished = None
            self.acknowledged += 1
            acknowledge()

    def next_request(self):
        self.version += 1
        kinds = ["add"] * 6 + ["upsert"] * 6 + ["delete"] * 4 + ["restore"] * 3 + ["commit", "duplicate", "wrong"]
        if self.owns_collection:
            kinds += ["compact"]
        return getattr(self, self.random.choice(kinds))()

    def pick(self, among) -> list:
        among = sorted(among, key=repr)
        return self.random.sample(among, min(len(among), self.random.randint(1, BATCH_MAX)))

    def fresh(self) -> list:
        return self.pick({self.make_key(i) for i in range(self.keys)} - set(self.model))

    def add(self):
        keys = self.fresh()
        if not keys:
            return self.delete()
        with_fields = self.random.random() < 0.7
        after = dict(self.model)
        for key in keys:
            after[key] = Stored(key, self.version, self.version if with_fields else None)
        return *self.write("add", [after[key] for key in keys], with_fields), after

    def upsert(self):
        live = {key for key, stored in self.model.items() if not stored.deleted}
        with_fields = self.random.random() < 0.5
        candidates = live | set(self.fresh())
        if with_fields:
            candidates |= set(self.model)
        keys = self.pick(candidates)
        after = dict(self.model)
        for key in keys:
            kept = self.model[key].field_version if key in self.model else None
            after[key] = Stored(key, self.version, self.version if with_fields else kept)
        return *self.write("upsert", [after[key] for key in keys], with_fields), after

    def delete(self):
        return self.hide("delete", True)

    def restore(self):
        return self.hide("restore", False)

    def hide(self, verb: str, deleted: bool):
        keys = self.pick(set(self.model) | {self.make_key(0)})
        after = dict(self.model)
        for key in keys:
            if key in self.model:
                before = self.model[key]
                after[key] = Stored(key, before.vector_version, before.field_version, deleted)
        return f"/{verb}", json_body({**self.named(), "ids": keys}), after

    def commit(self):
        path = self.random.choice(["/commit", "/commit", "/flush", "/checkpoint"])
        return path, json_body(self.named()), self.model

    def compact(self):
        after = {key: stored for key, stored in self.model.items() if not stored.deleted}
        return "/compact", json_body(self.named()), after

    def duplicate(self):
        """One id that exists spoils the whole request, the fresh ids in it included."""
        if not self.model:
            return self.add()
        keys = [*self.fresh(), self.random.choice(sorted(self.model, key=repr))]
        rows = [Stored(key, self.version, None) for key in keys]
        self.random.shuffle(rows)
        return *self.write("add", rows, False), None

    def wrong(self):
        keys = self.fresh() or [self.make_key(0)]
        body = {**self.named(), "ids": keys, "vectors": [[1.0] * (DIM + 1)] * len(keys)}
        return "/add", json_body(body), None

    def named(self) -> dict:
        return {"database_name": DATABASE, "collection_name": self.collection}

    def write(self, verb: str, rows: list[Stored], with_fields: bool):
        """The path and body of an add or upsert; fields, where given, are those of this version."""
        if self.binary and not with_fields:
            query = {**self.named(), "dim": DIM, "n_vectors": len(rows), "return_ids": "false", "ids_encoding": "raw"}
            vectors = b"".join(struct.pack(f"<{DIM}f", *row.vector) for row in rows)
            ids = struct.pack(f"<{len(rows)}Q", *(row.key for row in rows))
            path = {"add": "/add_binary_ids", "upsert": "/upsert_binary"}[verb]
            return f"{path}?{urlencode(query)}", (vectors + ids, {"Content-Type": "application/octet-stream"})
        body = {**self.named(), "ids": [row.key for row in rows], "vectors": [row.vector for row in rows]}
        if with_fields:
            body["fields"] = [fields_of(row.key, self.version) for row in rows]
        return f"/{verb}", json_body(body)

    def settle(self, found: dict):
        """Compares what was found of this writer's ids after a restart with what is owed."""
        mine = {key: value for key, value in found.items() if self.owns(key)}
        if mine == self.model:
            pass
        elif self.unfinished is not None and mine == self.unfinished:
            self.model = self.unfinished
        else:
            raise Lost(f"{self.collection}/{self.seed}: {difference(self.model, mine)}")
        self.unfinished = None

    def owns(self, key) -> bool:
        return self.owns_collection or key in {self.make_key(i) for i in range(self.keys)}


@dataclass
class AllottedWriter:
    """Adds without ids. Owns a collection, in which the server allots the ids."""

    collection: str
    seed: int
    model: dict = field(default_factory=dict)
    unfinished: int | None = None
    version: int = 0
    acknowledged: int = 0

    def run(self, connection: Connection, acknowledge):
        while True:
            self.version += 1
            rows = 1 + self.version % BATCH_MAX
            self.unfinished = rows
            query = {"database_name": DATABASE, "collection_name": self.collection, "dim": DIM, "n_vectors": rows, "return_ids": "true"}
            reply = connection.post_bytes(f"/bulk_add_binary?{urlencode(query)}", self.body(rows))
            ids = reply.params["ids"]
            if len(set(ids)) != rows or set(ids) & set(self.model):
                raise Lost(f"ids allotted twice: {ids}")
            self.model.update(self.expected(ids))
            self.unfinished = None
            self.acknowledged += 1
            acknowledge()

    def body(self, rows: int) -> bytes:
        return b"".join(struct.pack(f"<{DIM}f", *vector_of((self.seed, at), self.version)) for at in range(rows))

    def expected(self, ids) -> dict:
        return {key: AllottedRow((self.seed, at), self.version) for at, key in enumerate(ids)}

    def settle(self, found: dict):
        mine = {key: row.vector for key, row in self.model.items()}
        extra = sorted(set(found) - set(mine))
        if extra and len(extra) == self.unfinished:
            unacknowledged = self.expected(extra)
            self.model.update(unacknowledged)
            mine = {key: row.vector for key, row in self.model.items()}
        if found != mine:
            raise Lost(f"{self.collection}: {difference(mine, found)}; the unfinished request had {self.unfinished} rows")
        self.unfinished = None


@dataclass(frozen=True)
class AllottedRow:
    key: tuple
    version: int

    @property
    def vector(self) -> list[float]:
        return vector_of(self.key, self.version)


def json_body(payload) -> tuple:
    return json.dumps(payload).encode(), {"Content-Type": "application/json"}


def difference(owed: dict, found: dict) -> str:
    lost = sorted(set(owed) - set(found), key=repr)
    strange = sorted(set(found) - set(owed), key=repr)
    changed = [f"{key!r}: owed {owed[key]}, found {found[key]}" for key in owed if key in found and owed[key] != found[key]]
    return f"lost {lost[:10]}, unknown {strange[:10]}, different {changed[:5]}"

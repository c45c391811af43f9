"""Writers and readers that feed a `History`, through any member of a cluster, and the reading back of everything.

A row carries in its vector the version that wrote it, so every read can be judged. Half of the writers use the published
client, which sends a request once; the others speak HTTP with an idempotency key and repeat a request whose outcome they do not
know, through other members too, until they know it. A writer changes routers when one fails it, and now and then anyway.

Deliberately absent: how requests travel (clients.py), judgement (history.py) and faults (faults.py).
"""

import random
import struct
import threading
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import urlencode

from clients import DATABASE, Failed, Published, Thin, named
from cluster import owner
from history import ABSENT, ACKNOWLEDGED, REFUSED, UNKNOWN, History
from report import Read

TEXTS, INTEGERS, ALLOTTED = "texts", "integers", "allotted"
COLLECTIONS = (TEXTS, INTEGERS, ALLOTTED)
DIM = 8
BATCH_MAX = 8
KEYS_PER_WRITER = 200
THIN_PATIENCE_S = 60.0
ROUTER_CHANGE = 0.02
RETRY_PAUSE_S = 0.05
KEEPING_S = 1.0
EVERYTHING = 10_000_000
# Errors about the request itself: a repetition of a request that was taken is never answered by one.
JUDGED = {"invalid_argument", "already_exists"}


def vector_of(key, version: int) -> list[float]:
    """Whole numbers, exact in every format on the way. The first is the version."""
    mixed = random.Random(f"{key!r}/{version}")
    return [float(version)] + [float(mixed.randint(-1000, 1000)) for _ in range(DIM - 1)]


def allotted_vector(version: int, row: int) -> list[float]:
    vector = vector_of(row, version)
    vector[1] = float(row)
    return vector


DAMAGED = -1


def version_of(key, vector) -> int:
    """The version that wrote a row, or DAMAGED, which nobody wrote."""
    version = int(vector[0])
    return version if [float(value) for value in vector] == vector_of(key, version) else DAMAGED


@dataclass
class Run:
    """What the threads of a run share. `integers` is the form in which integer ids are hashed."""

    routers: dict
    groups: int
    request_timeout_s: float
    integers: str = "external"
    history: History = field(default_factory=History)
    stop: threading.Event = field(default_factory=threading.Event)
    writes: list = field(default_factory=list)
    reads: list = field(default_factory=list)
    defects: list = field(default_factory=list)

    def owner(self, collection: str, key) -> str:
        return owner(DATABASE, collection, key, self.integers, self.groups)

    def acknowledged(self, groups):
        """Appending to a list needs no lock."""
        now_s = time.monotonic()
        self.writes.extend((now_s, group) for group in set(groups))


class Worker(threading.Thread):
    """A thread with a router of its own choice."""

    def __init__(self, run: Run, kind, seed: int, interval_s: float):
        super().__init__(daemon=True)
        self.shared, self.kind, self.interval_s = run, kind, interval_s
        self.random = random.Random(seed)
        self.router = None
        self.change()

    def change(self):
        if self.router is not None:
            self.router.close()
        name = self.random.choice(sorted(self.shared.routers))
        self.router = self.kind(name, self.shared.routers[name])

    def run(self):
        try:
            while not self.shared.stop.wait(self.interval_s):
                if self.random.random() < ROUTER_CHANGE:
                    self.change()
                self.step()
        except Exception as error:  # a defect of the driver or an answer that makes no sense: it must show
            self.shared.defects.append(f"{type(self).__name__}: {error!r}")


class Writer(Worker):
    """Owns its ids: adds, upserts, deletes and restores them, and now and then makes a mistake."""

    def __init__(self, run: Run, kind, number: int, collection: str, interval_s: float):
        super().__init__(run, kind, number, interval_s)
        self.number, self.collection = number, collection
        self.made = 0
        self.live, self.deleted = {}, {}

    def fresh(self) -> object:
        self.made += 1
        return f"w{self.number}-{self.made}" if self.collection == TEXTS else self.number * 10_000_000 + self.made

    def group(self, key) -> str:
        return self.shared.owner(self.collection, key)

    def step(self):
        kinds = ["upsert"] * 6 + ["delete"] * 2 + ["restore"] * 2 + ["mistake"]
        kinds += ["add"] * (6 if len(self.live) + len(self.deleted) < KEYS_PER_WRITER else 0)
        getattr(self, self.random.choice(kinds))()

    def pick(self, among) -> list:
        """Often of one group only, so that a group's pause shows in the others' stream as little as possible."""
        among = sorted(among)
        if among and self.random.random() < 0.6:
            group = self.group(self.random.choice(among))
            among = [key for key in among if self.group(key) == group]
        return self.random.sample(among, min(len(among), self.random.randint(1, BATCH_MAX)))

    def add(self):
        keys = self.pick([self.fresh() for _ in range(2 * BATCH_MAX)])
        self.write("add", keys, lambda version: {key: version for key in keys})

    def upsert(self):
        keys = self.pick(self.live)
        if keys:
            self.write("upsert", keys, lambda version: {key: version for key in keys})

    def delete(self):
        keys = self.pick(self.live)
        if keys:
            self.write("delete", keys, lambda version: {key: ABSENT for key in keys})

    def restore(self):
        keys = self.pick(self.deleted)
        if keys:
            self.write("restore", keys, lambda version: {key: self.deleted[key] for key in keys})

    def mistake(self):
        """Fresh ids and one that exists: the whole batch must be refused."""
        if self.live:
            new = [self.fresh() for _ in range(self.random.randint(0, 3))]
            keys = [*new, self.random.choice(sorted(self.live))]
            self.write("mistake", keys, lambda version: {key: version for key in new})

    def write(self, kind: str, keys: list, effect):
        history = self.shared.history
        operation = history.begin(kind, time.monotonic())
        after = effect(operation.version)
        groups = {(self.collection, key): self.group(key) for key in after}
        history.intend(operation, {(self.collection, key): to for key, to in after.items()}, groups)
        verb = "add" if kind == "mistake" else kind
        vectors = None if verb in ("delete", "restore") else [vector_of(key, operation.version) for key in keys]
        outcome = self.send(verb, keys, vectors, operation.told)
        history.end(operation, outcome, self.router.name, time.monotonic())
        self.remember(outcome, after)
        if outcome == ACKNOWLEDGED:
            self.shared.acknowledged(map(self.group, keys))

    def send(self, verb: str, keys: list, vectors, told: list) -> str:
        """Repeats under one idempotency key while the outcome is unknown, where the router's kind can. Each failed try is
        noted in `told`."""
        name, until = uuid.uuid4().hex, time.monotonic() + THIN_PATIENCE_S
        is_doubtful = False
        while True:
            try:
                self.router.write(verb, self.collection, keys, vectors, name)
                return ACKNOWLEDGED
            except Failed as error:
                told.append(f"{self.router.name} {error.code}: {error}")
                # that this try did nothing says nothing of an earlier one, except where the request itself was judged
                if error.code in JUDGED:
                    return REFUSED
                if error.outcome == REFUSED and not is_doubtful:
                    self.change()
                    return REFUSED
                is_doubtful = True
            self.change()
            if not self.router.repeats or time.monotonic() > until:
                return UNKNOWN
            self.shared.stop.wait(RETRY_PAUSE_S)

    def remember(self, outcome: str, after: dict):
        if outcome == REFUSED:
            return
        for key, to in after.items():
            before = self.live.pop(key, None), self.deleted.pop(key, None)
            if outcome != ACKNOWLEDGED:
                continue  # never touched again
            if to is ABSENT:
                self.deleted[key] = before[0]
            else:
                self.live[key] = to


class AllottedWriter(Worker):
    """Adds without ids; what is told is remembered. Its requests are sent once."""

    def step(self):
        rows = self.random.randint(1, BATCH_MAX)
        history = self.shared.history
        operation = history.begin("allotted", time.monotonic(), rows)
        vectors = [allotted_vector(operation.version, row) for row in range(rows)]
        try:
            ids = self.router.write("add", ALLOTTED, None, vectors, "")
        except Failed as error:
            history.end(operation, error.outcome, self.router.name, time.monotonic())
            self.change()
            return
        history.end(operation, ACKNOWLEDGED, self.router.name, time.monotonic())
        history.allot(operation, ids)


class Reader(Worker):
    """Reads records that others write, by id and by vector, and compares with what was acknowledged before."""

    def step(self):
        history = self.shared.history
        with history.lock:
            keys = history.keys
            if not keys:
                return
            collection, key = keys[self.random.randrange(len(keys))]
        floor = history.floor((collection, key), self.router.name, time.monotonic())
        version = history.version_at((collection, key), floor)
        began_s, answered = time.monotonic(), True
        try:
            if version is not ABSENT and self.random.random() < 0.5:
                self.search(collection, key, floor, version)
            else:
                self.read(collection, key, floor)
        except Failed:
            answered = False
        self.shared.reads.append(
            Read(began_s, time.monotonic(), self.shared.owner(collection, key), self.router.name, answered)
        )
        if not answered:
            self.change()

    def read(self, collection: str, key, floor: int):
        try:
            found = version_of(key, self.router.read(collection, key))
        except Failed as error:
            if "does not exist" not in str(error):
                raise
            found = ABSENT
        self.shared.history.observe((collection, key), floor, found)

    def search(self, collection: str, key, floor: int, version: int):
        if self.router.search(collection, vector_of(key, version)) != [key]:
            self.shared.history.observe_missing((collection, key), floor)


class Keeper(Worker):
    """Makes checkpoints, which cut the logs: a copy that was away for longer needs a snapshot."""

    def step(self):
        try:
            self.router.post("/checkpoint", named(self.random.choice(COLLECTIONS)))
        except Failed:
            self.change()


def workers(run: Run, rate: float, seed: int) -> list[Worker]:
    """Seven writers, four readers and a keeper; `rate` is that of all writers together, in requests per second, and of all
    readers."""
    kinds = [(Published, TEXTS), (Thin, TEXTS), (Published, INTEGERS), (Thin, TEXTS), (Published, INTEGERS), (Thin, TEXTS)]
    interval_s = (len(kinds) + 1) / rate
    writers = [Writer(run, kind, number + 1, collection, interval_s) for number, (kind, collection) in enumerate(kinds)]
    readers = [Reader(run, kind, seed + at, 4 / rate) for at, kind in enumerate([Published, Thin, Thin, Published])]
    keeper = Keeper(run, Thin, seed, KEEPING_S)
    return [*writers, AllottedWriter(run, Published, seed, interval_s), *readers, keeper]


def prepare(run: Run, router: Thin):
    """The database and its collections, with exact indexes."""
    router.post("/create_database", {"database_name": DATABASE})
    for collection in COLLECTIONS:
        router.post("/required_collection", {**named(collection), "dim": DIM})
        router.post("/build_index", {**named(collection), "index_mode": "FLAT-L2"})
    # The first integer id fixes how integer ids are hashed; the published client's way to send it is a binary one.
    query = {**named(INTEGERS), "dim": DIM, "n_vectors": 1, "return_ids": "false", "ids_encoding": "raw"}
    router.connection.post_bytes(f"/add_binary_ids?{urlencode(query)}", struct.pack(f"<{DIM}fQ", *[1.0] * DIM, 1)).params
    router.post("/delete", {**named(INTEGERS), "ids": [1]})
    router.post("/compact", named(INTEGERS))
    # What a collection's own configuration calls so is for the client's handle and no form of hashing.
    known = router.connection.get("/cluster_info").params["collections"]
    run.integers = known[f"{DATABASE}/{INTEGERS}"]["integer_id_routing"]


def read_everything(router: Thin) -> tuple[dict, list]:
    """Versions by key of what has ids of its writers' choice, and (id, version, row) of what has allotted ones."""
    found, allotted = {}, []
    for collection in COLLECTIONS:
        vectors, ids, _ = router.post("/head", {**named(collection), "n": EVERYTHING}).params["head"]
        if collection == ALLOTTED:
            allotted = [_allotted_row(key, vector) for key, vector in zip(ids, vectors)]
            continue
        for key, vector in zip(ids, vectors):
            if (collection, key) in found:
                raise AssertionError(f"{key!r} is listed twice in {collection}")
            found[(collection, key)] = version_of(key, vector)
    return found, allotted


def _allotted_row(key, vector) -> tuple:
    version, row = int(vector[0]), int(vector[1])
    is_whole = [float(value) for value in vector] == allotted_vector(version, row)
    return key, version if is_whole else DAMAGED, row

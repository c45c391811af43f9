"""What clients did and were told, and whether what is found agrees with it. No I/O, no clock of its own.

Every write has a number of its own (its *version*), and every row that it stores says which one wrote it. A key belongs to one
writer, which does one thing at a time, so the operations of a key have an order:

- acknowledged: its effect is there, until a later operation of that key;
- refused, with an error that promises that nothing was done: its effect is never there;
- unknown (no answer, or one that says so): there or not, at once or late. A writer leaves such a key alone from then on, so that
  the key's last state stays known to be one of two.

A retry under the same idempotency key is the same operation; its outcome is that of its last try.

What can be wrong, each a count of `Verdict`: `lost` (acknowledged, but missing or with older content), `doubled` (one row under
two ids, one id twice, or a repeated insert that was taken), `phantom` (there, although refused or never written), `resurrected`
(deleted and acknowledged, and back), `stale` (a read that began after an acknowledgement and misses it), `diverged` (two copies
differ), `gaps` (of one log record only a part took effect).
"""

import threading
from dataclasses import dataclass, field, fields

ACKNOWLEDGED, REFUSED, UNKNOWN, OPEN = "acknowledged", "refused", "unknown", "open"
ABSENT = None
# The documented promise of a usual read (docs/reliability.md): it shows what was acknowledged through the same router before it was
# sent, and through others so long before.
OTHER_ROUTERS_GRACE_S = 8.0
EXAMPLES_MAX = 20


@dataclass(slots=True)
class Operation:
    """One write. `after` maps each key to the version that it has then, or ABSENT."""

    version: int
    kind: str
    after: dict
    router: str = ""
    groups: dict = field(default_factory=dict)
    outcome: str = OPEN
    began_s: float = 0.0
    ended_s: float = 0.0
    ids: list = field(default_factory=list)
    rows: int = 0
    # What its tries were told, for whoever looks into a wrong count.
    told: list = field(default_factory=list)

    def __str__(self):
        tries = "; ".join(self.told)
        return f"{self.version} {self.kind} {self.outcome} via {self.router} {self.began_s:.2f}-{self.ended_s:.2f} [{tries}]"


@dataclass
class Verdict:
    lost: int = 0
    doubled: int = 0
    phantom: int = 0
    resurrected: int = 0
    stale: int = 0
    diverged: int = 0
    gaps: int = 0
    examples: list = field(default_factory=list)

    def count(self, kind: str, text: str):
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{kind}: {text}")

    @property
    def counts(self) -> dict:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "examples"}

    @property
    def is_clean(self) -> bool:
        return not any(self.counts.values())


class History:
    """Shared by all writers and readers of a run."""

    def __init__(self):
        self.lock = threading.Lock()
        self.verdict = Verdict()
        self.operations: dict[int, Operation] = {}
        self.by_key: dict[object, list[Operation]] = {}
        self.keys: list = []
        self.issued: dict[object, int] = {}

    # Written by writers

    def begin(self, kind: str, now_s: float, rows: int = 0) -> Operation:
        """An operation with a fresh version; its `after` is filled in by `intend`."""
        with self.lock:
            operation = Operation(len(self.operations) + 1, kind, {}, began_s=now_s, rows=rows)
            self.operations[operation.version] = operation
            return operation

    def intend(self, operation: Operation, after: dict, groups: dict):
        """Before the request leaves: what it would change, and the group that owns each key."""
        with self.lock:
            operation.after, operation.groups = after, groups
            for key in after:
                if key not in self.by_key:
                    self.by_key[key] = []
                    self.keys.append(key)
                self.by_key[key].append(operation)

    def end(self, operation: Operation, outcome: str, router: str, now_s: float):
        with self.lock:
            operation.outcome, operation.router, operation.ended_s = outcome, router, now_s
            if outcome == ACKNOWLEDGED and operation.kind == "mistake":
                self.verdict.count("doubled", f"version {operation.version} had to be refused and was taken")

    def allot(self, operation: Operation, ids: list):
        """The ids that an acknowledged write without ids was told, in order of its rows."""
        with self.lock:
            operation.ids = list(ids)
            if len(ids) != operation.rows:
                self.verdict.count("lost", f"version {operation.version}: {operation.rows} rows, {len(ids)} ids")
            for key in ids:
                earlier = self.issued.setdefault(key, operation.version)
                if earlier != operation.version or ids.count(key) > 1:
                    self.verdict.count("doubled", f"id {key} was given to versions {earlier} and {operation.version}")

    def acknowledged(self) -> int:
        with self.lock:
            return sum(operation.outcome == ACKNOWLEDGED for operation in self.operations.values())

    def rows_acknowledged(self) -> int:
        with self.lock:
            done = [operation for operation in self.operations.values() if operation.outcome == ACKNOWLEDGED]
            return sum(len(operation.after) or len(operation.ids) for operation in done)

    def unknown(self) -> int:
        with self.lock:
            return sum(operation.outcome in (UNKNOWN, OPEN) for operation in self.operations.values())

    def refused(self) -> int:
        with self.lock:
            return sum(operation.outcome == REFUSED for operation in self.operations.values())

    # Reads while others write

    def floor(self, key, router: str, now_s: float) -> int:
        """The place, among the operations of `key`, of the last one that a read through `router` from now on must show; -1
        for none."""
        with self.lock:
            last = -1
            for place, operation in enumerate(self.by_key.get(key, [])):
                same = operation.router == router or operation.ended_s + OTHER_ROUTERS_GRACE_S < now_s
                if operation.outcome == ACKNOWLEDGED and same:
                    last = place
            return last

    def observe(self, key, floor: int, found):
        """What a read saw whose floor was taken before it began."""
        with self.lock:
            operations = self.by_key.get(key, [])
            places = [place for place, one in enumerate(operations) if one.after[key] == found]
            if found is ABSENT:
                places.append(-1)
            can_be = [place for place in places if place == -1 or operations[place].outcome != REFUSED]
            if not can_be:
                self.verdict.count("phantom", f"a read of {key!r} showed version {found}")
            elif max(can_be) < floor:
                self.verdict.count("stale", f"a read of {key!r} showed version {found}, place {max(can_be)} below {floor}")

    def version_at(self, key, place: int):
        """What the operation at that place leaves; a floor of -1 leaves nothing."""
        with self.lock:
            return ABSENT if place < 0 else self.by_key[key][place].after[key]

    def observe_missing(self, key, floor: int):
        """A search did not find the state at `floor`: fine only if something else was under way with this key."""
        with self.lock:
            if len(self.by_key[key]) == floor + 1:
                self.verdict.count("stale", f"a search for {key!r} misses what was acknowledged at place {floor}")

    # Everything, when all writers have ended

    def check(self, found: dict):
        """`found` maps each key to the version of the row that is there."""
        with self.lock:
            for key in self.by_key.keys() | found.keys():
                self._check_key(key, found.get(key, ABSENT))
            for operation in self.operations.values():
                if operation.outcome in (UNKNOWN, OPEN):
                    self._check_wholeness(operation, found)

    def _check_key(self, key, found):
        operations = self.by_key.get(key, [])
        may_be, before = {ABSENT}, {ABSENT}
        for operation in operations:
            after = operation.after[key]
            before |= may_be
            if operation.outcome == ACKNOWLEDGED:
                may_be = {after}
            elif operation.outcome != REFUSED:
                may_be = may_be | {after}
        if found in may_be:
            return
        what = f"{key!r}: found version {found}, owed {sorted(may_be, key=str)}; " + " | ".join(map(str, operations))
        if found is not ABSENT and found not in before:
            self.verdict.count("phantom", what)
        elif may_be == {ABSENT}:
            self.verdict.count("resurrected", what)
        else:
            self.verdict.count("lost", what)

    def _check_wholeness(self, operation: Operation, found: dict):
        """A group's part of a write is one record of its log: all of it took effect, or nothing."""
        for group in set(operation.groups.values()):
            keys = [key for key in operation.after if operation.groups[key] == group]
            took = [found.get(key, ABSENT) == operation.after[key] for key in keys]
            if any(took) and not all(took):
                self.verdict.count("gaps", f"version {operation.version} took effect in a part of {group}: {keys}")

    def check_allotted(self, found: list):
        """`found` lists (id, version, row) of a collection whose ids the server allots."""
        with self.lock:
            owed = {}
            for operation in self.operations.values():
                owed |= {key: (operation.version, row) for row, key in enumerate(operation.ids)}
            seen, places = {}, {}
            for key, version, row in found:
                if key in seen:
                    self.verdict.count("doubled", f"id {key} is listed twice")
                seen[key] = (version, row)
                places.setdefault((version, row), []).append(key)
            for key, content in owed.items():
                if seen.get(key) != content:
                    self.verdict.count("lost", f"id {key}: owed {content}, found {seen.get(key)}")
            for content, keys in places.items():
                if len(keys) > 1:
                    self.verdict.count("doubled", f"{content} is stored under {keys}")
            for key in seen.keys() - owed.keys():
                self._check_unexpected(key, *seen[key])

    def _check_unexpected(self, key, version: int, row: int):
        operation = self.operations.get(version)
        if operation is None or operation.outcome == REFUSED or row >= operation.rows:
            self.verdict.count("phantom", f"id {key} holds row {row} of version {version}")

    def compare(self, first: dict, second: dict, what: str):
        """Two copies of everything, read one after the other with no write in between."""
        with self.lock:
            for key in first.keys() | second.keys():
                if first.get(key) != second.get(key):
                    self.verdict.count("diverged", f"{key!r}: {first.get(key)} and {second.get(key)} ({what})")

"""A training job over a cluster: one thread a rank, which goes to another node when its own does not answer.

What it was handed and what it was told is done are remembered, and judged: no sample that was acknowledged as done comes
again, none is left out, and at every look the numbers of the iteration add up.
"""

import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lavender"))

from feed_api import FeedApi, indices, is_end, values  # noqa: E402
from samples import decode  # noqa: E402

# A node that does not answer so long is left for another one.
ANSWER_S = 12.0
# Nobody answered: longer than another primary and another leader take to be found.
GIVE_UP_S = 90.0
PAUSE_S = 0.05


class Rank(threading.Thread):
    """`nodes` are `(port, basic)`, tried in turn from the one that this rank prefers. `by_step`: it names the step it wants."""

    def __init__(self, iteration: str, rank: int, nodes: list, prefer: int, pause_s: float = 0.0, by_step: bool = False):
        super().__init__(daemon=True)
        self.by_step = by_step
        self.iteration, self.rank, self.nodes, self.at = iteration, rank, nodes, prefer
        self.pause_s = pause_s
        self.batches, self.done, self.faults = [], set(), []
        self.longest_s, self.moves = 0.0, 0
        self.apis = {}

    def run(self):
        try:
            while (batch := self.next()) is not None:
                found = indices(batch)
                again = self.done.intersection(found)
                if again:
                    self.faults.append(f"rank {self.rank} was handed {sorted(again)} again, which were acknowledged as done")
                self.batches.append(found)
                for index in found:
                    self.ask(lambda api, index=index: api.complete(self.iteration, index))
                    self.done.add(index)
                time.sleep(self.pause_s)
        except Exception as error:  # noqa: BLE001
            self.faults.append(f"rank {self.rank}: {error!r}")

    def next(self) -> dict | None:
        step = len(self.batches) if self.by_step else None
        reply = self.ask(lambda api: api.next(self.iteration, self.rank, step=step))
        return None if is_end(reply) else decode(reply.body)

    def ask(self, call):
        """The reply of the first node that has one."""
        begun = time.monotonic()
        while True:
            try:
                reply = call(self.api())
                # A node whose disk was lost knows nothing until the cluster has taken it in again.
                if reply.status in (200, 400, 422):
                    if reply.status != 200 and not is_end(reply):
                        raise AssertionError(f"{reply.status} {reply.text[:500]}")
                    self.longest_s = max(self.longest_s, time.monotonic() - begun)
                    return reply
                reason = f"{reply.status} {reply.text[:300]}"
            except OSError as error:
                reason = repr(error)
            if time.monotonic() - begun > GIVE_UP_S:
                raise TimeoutError(f"nobody answered for {GIVE_UP_S} s: {reason}")
            self.move()
            time.sleep(PAUSE_S)

    def api(self) -> FeedApi:
        port, basic = self.nodes[self.at]
        if port not in self.apis:
            self.apis[port] = FeedApi(port, basic, timeout_s=ANSWER_S)
        return self.apis[port]

    def move(self):
        port, _ = self.nodes[self.at]
        if port in self.apis:
            self.apis.pop(port).close()
        self.at = (self.at + 1) % len(self.nodes)
        self.moves += 1


class Job:
    """Ranks of one iteration, each on a node of its own where there are enough."""

    def __init__(self, iteration: str, nodes: list, ranks: int, pause_s: float = 0.0, by_step: bool = False):
        self.iteration, self.nodes = iteration, nodes
        self.ranks = [Rank(iteration, rank, nodes, rank % len(nodes), pause_s, by_step) for rank in range(ranks)]
        self.looks, self.wrong = 0, []
        self.over = threading.Event()
        self.looker = threading.Thread(target=self.look, daemon=True)

    def start(self) -> "Job":
        for thread in [*self.ranks, self.looker]:
            thread.start()
        return self

    def look(self):
        """Reads the progress through whatever node answers."""
        choice = random.Random(1)
        while not self.over.wait(0.05):
            port, basic = choice.choice(self.nodes)
            api = FeedApi(port, basic, timeout_s=2.0)
            try:
                reply = api.get(f"/iterations/{self.iteration}/progress")
                if reply.status == 200:
                    self.judge(reply.json)
            except OSError:
                pass
            finally:
                api.close()

    def judge(self, progress: dict):
        self.looks += 1
        taken = progress["completed"] + progress["filtered"] + progress["failed"] + len(progress["inprogress"])
        if taken != progress["current"] or progress["current"] > progress["total"]:
            self.wrong.append(f"the numbers do not add up: {progress}")

    def wait(self, deadline_s: float):
        deadline = time.monotonic() + deadline_s
        for rank in self.ranks:
            rank.join(max(0.0, deadline - time.monotonic()))
        self.over.set()
        self.looker.join(10)

    def verdict(self, total: int) -> list[str]:
        """What went wrong."""
        wrong = [fault for rank in self.ranks for fault in rank.faults] + self.wrong
        wrong += [f"rank {rank.rank} has not ended after {len(rank.batches)} batches" for rank in self.ranks if rank.is_alive()]
        done = [index for rank in self.ranks for index in rank.done]
        missing = set(range(total)) - set(done)
        if missing:
            wrong.append(f"{len(missing)} samples were never handed out, {sorted(missing)[:10]} first")
        twice = len(done) - len(set(done))
        if twice:
            wrong.append(f"{twice} samples were acknowledged by two ranks")
        return wrong


def at_once(loader_of, ranks: int) -> list[list]:
    """What the published client gets for each rank, all at the same time."""
    found, failed = [[] for _ in range(ranks)], []

    def consume(rank: int):
        try:
            for batch in loader_of(rank):
                found[rank] += values([batch])
        except Exception as error:  # noqa: BLE001
            failed.append(repr(error))

    threads = [threading.Thread(target=consume, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failed
    return found

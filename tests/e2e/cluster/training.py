"""Training jobs beside the writers of a chaos run: one epoch after the other, of two ranks that go to other members when theirs
does not answer. What is wrong with an epoch is a defect of the run. In some of them the shares of the ranks are fixed: then each rank's
batches are the planned ones.
"""

import random
import sys
import threading
import time
from pathlib import Path

from load import Run
from trainer import Job

sys.path.insert(0, str(Path(__file__).parent.parent / "lavender"))

from data import order, write_shards  # noqa: E402
from feed_api import FeedApi, ok  # noqa: E402

SHARDS, ROWS = 20, 20
RANKS, BATCH = 2, 5
# Longer than any fault and its healing.
EPOCH_DEADLINE_S = 300.0
REQUEST_DEADLINE_S = 120.0
PAUSE_S = 0.02


def other_batches(job: Job, seed: int) -> list[str]:
    """Ranks whose batches are not those of fixed shares."""
    whole = order([ROWS] * SHARDS, seed, 2)
    steps = [whole[at : at + BATCH * RANKS] for at in range(0, len(whole), BATCH * RANKS)]
    wrong = []
    for rank in job.ranks:
        planned = [step[rank.rank * BATCH : (rank.rank + 1) * BATCH] for step in steps]
        if rank.batches != planned:
            at = next((at for at, pair in enumerate(zip(rank.batches, planned)) if pair[0] != pair[1]), len(rank.batches))
            wrong.append(f"rank {rank.rank} got {rank.batches[at : at + 1]} as step {at} instead of {planned[at : at + 1]}")
    return wrong


class Training(threading.Thread):
    def __init__(self, run: Run, ports: list, folder: Path, seed: int):
        super().__init__(daemon=True)
        self.shared, self.random = run, random.Random(seed)
        self.nodes = [(port, None) for port in ports]
        self.location = write_shards(folder / "training", SHARDS, ROWS)
        self.epochs, self.samples, self.moves = 0, 0, 0

    def run(self):
        try:
            dataset = self.insist(self.create)
            while not self.shared.stop.is_set():
                self.epoch(dataset)
        except Exception as error:  # noqa: BLE001 - a defect of the driver or an answer that makes no sense: it must show
            self.shared.defects.append(f"Training: {error!r}")

    def create(self, api: FeedApi) -> str:
        listed = ok(api.get("/datasets/?name=training"))
        dataset = listed[0]["id"] if listed else api.create_dataset("training")["id"]
        shardsets = ok(api.get(f"/datasets/{dataset}"))["shardsets"]
        shardset = shardsets[0] if shardsets else api.create_shardset(dataset, self.location, shards=None)
        if api.wait_synced(dataset, shardset["id"], 0)["shard_count"] < SHARDS:
            api.sync(dataset, shardset["id"])
            api.wait_synced(dataset, shardset["id"], SHARDS)
        return dataset

    def epoch(self, dataset: str):
        seed, made = self.random.randrange(1 << 30), set()
        shares = self.random.choice(["as asked", "fixed", "fixed, by step"])
        mode = "dynamic" if shares == "as asked" else "static"
        for rank in range(RANKS):
            options = dict(shuffle=True, shuffle_seed=seed, shuffle_block_size=2, batch_size=BATCH, rank=rank, world_size=RANKS)
            options["mode"] = mode
            # A creation whose answer was lost may have begun another one: the ranks need not meet, which is no fault.
            made.add((rank, self.insist(lambda api, options=options: api.iterate(dataset, **options))))
        iterations = {iteration for _, iteration in made}
        if len(iterations) > 1:
            return
        nodes = self.random.sample(self.nodes, len(self.nodes))
        job = Job(iterations.pop(), nodes, RANKS, PAUSE_S, by_step=shares == "fixed, by step").start()
        job.wait(EPOCH_DEADLINE_S)
        if mode == "static":
            self.shared.defects.extend(f"training, {shares}: {wrong}" for wrong in other_batches(job, seed))
        self.shared.defects.extend(f"training: {wrong}" for wrong in job.verdict(SHARDS * ROWS))
        self.epochs += 1
        self.samples += sum(len(rank.done) for rank in job.ranks)
        self.moves += sum(rank.moves for rank in job.ranks)

    def insist(self, call):
        """Asks one member after the other until there is an answer."""
        until = time.monotonic() + REQUEST_DEADLINE_S
        while True:
            port, basic = self.random.choice(self.nodes)
            api = FeedApi(port, basic, timeout_s=12.0)
            try:
                return call(api)
            except (OSError, AssertionError) as error:
                if time.monotonic() > until:
                    raise TimeoutError(f"nobody answered: {error!r}") from error
                time.sleep(0.2)
            finally:
                api.close()

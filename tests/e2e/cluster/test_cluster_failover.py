"""Processes die, hang, lose their disks and return, while clients write and read: nothing acknowledged is lost, nothing refused is
there, the copies stay equal, and every member is back in sync without a command.
"""

import itertools
import os
import shutil
import time

import numpy as np
import pytest
from clients import Thin
from cluster import QUICK_HEALTH, Cluster, Layout
from faults import Fault, inflict
from judge import HEAL_DEADLINE_S, depose, judge, settle_clients
from load import Run, prepare, workers
from lynse import VectorDBClient
from node import poll
from report import Inflicted, by_group, pause_after, percentile, read_pause_after

ROUNDS = int(os.environ.get("LAVANDIN_TEST_ROUNDS", "18"))
SETTINGS = ("--request-timeout-secs", "5", "--max-top-k", "0", "--no-audit-log")
WRITE_PAUSE_MAX_S = 5.0
LEADERS_WRITE_PAUSE_MAX_S = 8.0
READ_PAUSE_MAX_S = 0.5
RATE = 150.0


class Clients:
    """Writers and readers at work on a cluster, and the faults that they saw."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.shared = Run({name: member.url for name, member in cluster.members.items()}, cluster.layout.groups, 5.0)
        router = Thin("first", cluster.url)
        prepare(self.shared, router)
        router.close()
        self.threads = workers(self.shared, RATE, seed=1)
        for thread in self.threads:
            thread.start()
        self.write_some()

    def write_some(self, requests: int = 40):
        wanted = self.shared.history.acknowledged() + requests
        poll(lambda: self.shared.history.acknowledged() >= wanted or self.shared.defects, "acknowledged writes", 60.0)

    def suffer(self, kind: str, *targets: str, seconds: float = 2.0) -> Inflicted:
        """One fault and the healing, with clients at work before, meanwhile and after."""
        fault = Fault(kind, targets, seconds, 0.0)
        began_s = time.monotonic()
        inflict(self.cluster, fault)
        self.cluster.wait_settled(HEAL_DEADLINE_S)
        event = Inflicted(fault, began_s, time.monotonic())
        self.write_some()
        return event

    def finish(self):
        settle_clients(self.shared, self.threads)
        judge(self.cluster, self.shared)
        assert not self.shared.defects, self.shared.defects
        assert self.shared.history.verdict.is_clean, (self.shared.history.verdict.counts, self.shared.history.verdict.examples)

    def pauses(self, event: Inflicted) -> tuple[float, float]:
        return pause_after(event, by_group(list(self.shared.writes))), read_pause_after(event, list(self.shared.reads))


def layout(**more) -> Layout:
    return Layout(node_arguments=SETTINGS, coordinator_arguments=SETTINGS, **more)


def test_a_primary_dies_another_hangs_and_the_coordinator_dies(make_cluster):
    """One of each in the fast run."""
    cluster = make_cluster(layout(health=QUICK_HEALTH))
    with cluster.running():
        clients = Clients(cluster)
        epoch = cluster.group("sg0")["primary_epoch"]
        first = cluster.primary("sg0").name
        cluster.kill(first)
        poll(lambda: cluster.primary("sg0").name != first, "another primary", HEAL_DEADLINE_S)
        assert cluster.group("sg0")["primary_epoch"] > epoch
        cluster.spawn(first)
        cluster.wait_settled(HEAL_DEADLINE_S)
        clients.suffer("suspend", cluster.primary("sg1").name, seconds=3.0)
        clients.suffer("kill", "c0")
        clients.finish()


@pytest.mark.slow
def test_every_process_dies_and_every_shard_hangs(make_cluster):
    """The document's quick start with default settings. In each round one process is killed or hangs, returns, and is back in sync
    before the next one's turn; LAVANDIN_TEST_ROUNDS says how many rounds.
    """
    cluster = make_cluster(layout())
    write_pauses, leaders, read_pauses = [], [], []
    with cluster.running():
        clients = Clients(cluster)
        turns = [("kill", name) for name in cluster.members] + [("suspend", name) for name in cluster.nodes]
        for at, (kind, name) in zip(range(ROUNDS), itertools.cycle(turns)):
            of_leader = leads_metadata(cluster, name)
            event = clients.suffer(kind, name, seconds=6.0)
            written, read = clients.pauses(event)
            leader = ", the metadata's leader" if of_leader else ""
            print(f"round {at}: {kind} {name}{leader}: writes paused {written:.2f} s, reads {read:.2f} s", flush=True)
            (leaders if of_leader else write_pauses).append(written)
            read_pauses.append(read)
        clients.finish()
    assert percentile(write_pauses, 99) <= WRITE_PAUSE_MAX_S
    assert not leaders or percentile(leaders, 99) <= LEADERS_WRITE_PAUSE_MAX_S
    assert percentile(read_pauses, 99) <= READ_PAUSE_MAX_S


def leads_metadata(cluster: Cluster, name: str) -> bool:
    info = cluster.info()
    return any(node["uri"] == cluster[name].uri and node["node"] == info["seen_by"] for node in info["nodes"])


@pytest.mark.slow
def test_everything_dies_at_once(make_cluster):
    cluster = make_cluster(layout(health=QUICK_HEALTH))
    with cluster.running():
        clients = Clients(cluster)
        for _ in range(3):
            clients.suffer("kill_all", *cluster.members, seconds=1.0)
        clients.finish()


@pytest.mark.slow
def test_every_process_is_restarted(make_cluster):
    """Stop and start with the same command, one after the other: the document's restarts of shards and of the coordinator."""
    cluster = make_cluster(layout())
    with cluster.running():
        clients = Clients(cluster)
        for name in cluster.members:
            clients.suffer("restart", name, seconds=0.5)
        clients.finish()


@pytest.mark.slow
def test_a_wiped_replica_is_rebuilt(make_cluster):
    cluster = make_cluster(layout(health=QUICK_HEALTH))
    with cluster.running():
        rows = np.random.default_rng(2).standard_normal((20_000, 32)).astype(np.float32)
        collection = VectorDBClient(cluster.url).create_database("large").require_collection("c", dim=32, default_index="FLAT-L2")
        collection.add(ids=[f"r{row}" for row in range(len(rows))], vectors=rows)
        clients = Clients(cluster)
        for group in ("sg0", "sg1"):
            replica = next(node for node in cluster.nodes.values() if node.group == group and node.uri != cluster.primary(group).uri)
            clients.suffer("wipe", replica.name, seconds=2.0)
        clients.finish()
        # the judge has left the rebuilt copies in the lead
        assert collection.shape == (20_000, 32)
        assert [collection.search(rows[at], k=1).ids.tolist() for at in (5, 19_999)] == [["r5"], ["r19999"]]


@pytest.mark.slow
def test_a_wiped_primary_is_replaced_and_rebuilt(make_cluster):
    cluster = make_cluster(layout(health=QUICK_HEALTH))
    with cluster.running():
        clients = Clients(cluster)
        clients.suffer("wipe", cluster.primary("sg0").name, seconds=3.0)
        clients.suffer("wipe", cluster.primary("sg1").name, seconds=0.2)
        clients.finish()


@pytest.mark.slow
def test_the_last_copy_alone_still_serves(make_cluster):
    """With its replica dead a group takes writes and says that it is at risk; without a copy it says why it takes none."""
    # three groups, so that the loss of a whole one leaves the metadata its majority
    cluster = make_cluster(layout(groups=3, health=QUICK_HEALTH))
    with cluster.running():
        collection = VectorDBClient(cluster.url).create_database("d").require_collection("c", dim=2, default_index=None)
        collection.add(ids=["before"], vectors=[[1, 1]])
        other = depose(cluster, "sg0")
        poll(lambda: cluster.group("sg0")["at_risk"] or None, "the word at_risk")
        collection.add(ids=[f"x{at}" for at in range(20)], vectors=[[1, 1]] * 20)
        cluster.kill(other)
        poll(lambda: cluster.group("sg0")["writable"] is False, "the end of writes", HEAL_DEADLINE_S)
        assert "sg0" in cluster.group("sg0")["why_not"]
        reply = cluster.coordinators["c0"].post("/head", {"database_name": "d", "collection_name": "c", "n": 100})
        assert reply.status == 503 and "sg0" in reply.json["error"], reply.text
        for name, node in cluster.nodes.items():
            if node.process.poll() is not None:
                cluster.spawn(name)
        cluster.wait_settled()
        assert collection.shape == (21, 2)


def test_a_copy_whose_files_are_gone_is_rebuilt(make_cluster):
    """Its node is known, with its metadata and its number; an empty copy must not count as one that holds everything."""
    cluster = make_cluster(layout(health=QUICK_HEALTH))
    with cluster.running():
        collection = VectorDBClient(cluster.url).create_database("d").require_collection("c", dim=2)
        ids = [f"id{number}" for number in range(50)]
        collection.add(ids=ids, vectors=np.ones((50, 2), dtype=np.float32))
        first = cluster.primary("sg0").name
        cluster.kill(first)
        shutil.rmtree(cluster[first].data_dir / "groups")
        cluster.spawn(first)
        cluster.wait_settled(HEAL_DEADLINE_S)
        assert sorted(collection.head(100).ids.tolist()) == sorted(ids)
        assert "files of a copy are gone" in cluster[first].log()

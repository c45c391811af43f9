"""Members change while clients write: nodes come, are replaced, are removed and go down; groups are added. Each is one command of
`lavandin cluster`, goes on whoever dies meanwhile, and loses nothing.
"""

import json
import subprocess
import threading
import time

import pytest
from clients import Failed, Thin
from cluster import QUICK_HEALTH, Cluster, Layout
from judge import judge, settle_clients
from load import Run, prepare, workers
from node import binary, clean_environment, poll

DONE_DEADLINE_S = 40.0
WAIT = "--wait=40"
STOPS = ("--stop-timeout-secs", "2")


def spare(cluster: Cluster, name: str = "spare", environment: dict | None = None):
    """An empty plain node, running and not a member."""
    node = cluster._data_node("", name)
    node.environment = environment or {}
    cluster.nodes[name] = node
    return node.start()


def command(cluster: Cluster, *arguments: str, asked: str | None = None, fails: bool = False):
    url = cluster[asked].url if asked else cluster.url
    done = subprocess.run(
        [binary(), "cluster", *arguments, "--json", "--url", url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90, env=clean_environment(), check=False,
    )
    said = done.stderr.decode()
    assert (done.returncode != 0) == fails, f"{arguments}: {said}"
    return said if fails else json.loads(done.stdout)


def copies(cluster: Cluster, group: str) -> set[str]:
    info = cluster.group(group)
    return {info["primary"], *(replica["uri"] for replica in info["replicas"])}


def in_sync(cluster: Cluster, group: str, members: set[str]) -> bool:
    info = cluster.group(group)
    states = [replica["state"] for replica in info["replicas"]]
    return copies(cluster, group) == members and set(states) <= {"active"} and info["writable"]


def folders(node) -> set[str]:
    groups = node.data_dir / "groups"
    return {path.name for path in groups.iterdir()} if groups.exists() else set()


class Writing:
    """Adds one record after the other, through one member, and knows how long the longest took. What is in doubt is asked for
    again under its idempotency key, so that every id is there once at the end."""

    NAMES = {"database_name": "moving", "collection_name": "c"}

    def __init__(self, cluster: Cluster, through: str = "c0"):
        self.cluster, self.router = cluster, Thin(through, cluster[through].url)
        self.stop, self.slowest_s, self.acknowledged, self.errors = threading.Event(), 0.0, 0, []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.router.post("/create_database", self.NAMES)
        self.router.post("/required_collection", {**self.NAMES, "dim": 2})
        self.thread.start()
        self.more(20)
        self.slowest_s = 0.0
        return self

    def _run(self):
        try:
            while not self.stop.is_set():
                began_s = time.monotonic()
                self._add(self.acknowledged)
                self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
                self.acknowledged += 1
        except Exception as error:  # shown by whoever waits for the writer
            self.errors.append(repr(error))

    def _add(self, number: int):
        body = {**self.NAMES, "ids": [number], "vectors": [[float(number), 1.0]]}
        until = time.monotonic() + 30.0
        while True:
            try:
                return self.router.post("/add", body, key=f"add-{number}")
            except Failed:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.02)

    def more(self, writes: int = 50):
        wanted = self.acknowledged + writes
        poll(lambda: self.acknowledged >= wanted or self.errors, f"{writes} more writes", 30.0)
        assert not self.errors, self.errors

    def __exit__(self, *raised):
        self.stop.set()
        self.thread.join(40.0)
        if raised[0] is None:
            assert not self.errors and not self.thread.is_alive(), self.errors
            # every copy that leads a group shows all of it
            shape = self.router.post("/collection_shape", self.NAMES).params["shape"]
            assert shape == [self.acknowledged, 2]
        self.router.close()


def test_a_spare_takes_over_from_a_removed_primary(make_cluster):
    """Added, removed, gone: under writes, and without a pause that a client would notice. The removed node cannot come back by
    itself; with an empty disk it comes back as another node."""
    cluster = make_cluster(Layout(groups=1, node_arguments=STOPS))
    with cluster.running():
        leaving = cluster.primary("sg0")
        staying = next(node for node in cluster.nodes.values() if node is not leaving)
        assert "no spare node" in command(cluster, "remove", leaving.uri, fails=True)
        with Writing(cluster) as writing:
            added = spare(cluster)
            told = command(cluster, "add-node", added.uri, asked=staying.name)
            assert command(cluster, "add-node", added.uri + "/")["node"] == told["node"], "again it does no harm"
            info = cluster.info()
            assert [node["copies"] for node in info["nodes"] if node["uri"] == added.uri] == [0]
            writing.more()
            command(cluster, "remove", leaving.uri, WAIT)
            poll(lambda: in_sync(cluster, "sg0", {staying.uri, added.uri}), "the spare in sync", DONE_DEADLINE_S)
            assert leaving.uri not in [node["uri"] for node in cluster.info()["nodes"]]
            assert "there is no node" in command(cluster, "remove", leaving.uri)["message"]
            writing.more()
        assert writing.slowest_s < 2.0, f"a write took {writing.slowest_s:.2f} s"
        assert "was removed" in command(cluster, "add-node", leaving.uri, fails=True)
        leaving.terminate()
        leaving.spawn()
        poll(lambda: "was removed from its cluster" in leaving.log(), "a word about the removal", 20.0)
        assert len(cluster.info()["nodes"]) == 3
        cluster.wipe(leaving.name)
        leaving.start()
        command(cluster, "add-node", leaving.uri)
        assert len(cluster.info()["nodes"]) == 4


def test_a_node_is_replaced_and_a_group_is_added(make_cluster):
    """The replaced node stays, and its disk keeps no copy; a group on it and another one serves collections made after it."""
    cluster = make_cluster(Layout(groups=1))
    with cluster.running():
        first, second = cluster.nodes.values()
        added = spare(cluster)
        command(cluster, "add-node", added.uri)
        with Writing(cluster) as writing:
            command(cluster, "replace", first.uri, added.uri, WAIT, asked=second.name)
            poll(lambda: in_sync(cluster, "sg0", {second.uri, added.uri}), "the new node in sync", DONE_DEADLINE_S)
            poll(lambda: "1" not in folders(first), "the old copy's removal", 10.0)
            writing.more()
        assert "1" in folders(second) and "1" in folders(added)
        command(cluster, "add-group", "sg1", "--primary", first.uri, "--replica", second.uri, WAIT)
        command(cluster, "add-group", "sg1", "--primary", first.uri, "--replica", second.uri)
        assert "sg1" in command(cluster, "add-group", "sg1", "--primary", added.uri, fails=True)
        poll(lambda: in_sync(cluster, "sg1", {first.uri, second.uri}), "the new group", DONE_DEADLINE_S)
        assert cluster.info()["collections"]["moving/c"]["shard_groups"] == ["sg0"], "it keeps its buckets"
        router = Thin("c0", cluster.url)
        names = {"database_name": "moving", "collection_name": "later"}
        router.post("/required_collection", {**names, "dim": 2})
        ids = [f"r{number}" for number in range(50)]
        router.post("/add", {**names, "ids": ids, "vectors": [[1.0, float(number)] for number in range(50)]})
        assert cluster.info()["collections"]["moving/later"]["shard_groups"] == ["sg0", "sg1"]
        assert router.post("/collection_shape", names).params["shape"] == [50, 2]
        router.close()


def test_a_planned_restart_is_hardly_noticed(make_cluster):
    """A primary hands over before it stops, and writes do not wait for a replica that stops: with default settings a crash of
    either would cost a second or more."""
    cluster = make_cluster(Layout(groups=1))
    with cluster.running(), Writing(cluster) as writing:
        pauses = []
        for _ in range(2):
            name = cluster.primary("sg0").name
            writing.slowest_s = 0.0
            cluster.terminate(name)
            writing.more()
            pauses.append(writing.slowest_s)
            assert cluster.primary("sg0").name != name
            cluster.spawn(name)
            cluster.wait_settled()
        replica = next(name for name in cluster.nodes if name != cluster.primary("sg0").name)
        writing.slowest_s = 0.0
        cluster.terminate(replica)
        writing.more()
        pauses.append(writing.slowest_s)
        cluster.spawn(replica)
        cluster.wait_settled()
        print("pauses of writes:", [f"{pause:.2f} s" for pause in pauses])
        assert max(pauses) < 0.9, pauses


def test_the_status_says_what_is_under_way(make_cluster):
    cluster = make_cluster(Layout(groups=1))
    with cluster.running():
        first, second = cluster.nodes.values()
        added = spare(cluster)
        command(cluster, "add-node", added.uri)
        cluster.suspend(added.name)
        command(cluster, "replace", first.uri, added.uri)
        status = command(cluster, "status", asked=second.name)
        assert any("to go" in sentence for sentence in status["under_way"]), status["under_way"]
        (new,) = [copy for copy in status["shard_groups"][0]["replicas"] if copy["uri"] == added.uri]
        assert new["state"] == "stale" and status["metadata"]["healthy_owners"] >= 1
        text = subprocess.run(
            [binary(), "cluster", "status", "--url", cluster.url],
            stdout=subprocess.PIPE, timeout=30, check=True, env=clean_environment(),
        ).stdout.decode()
        assert "leaving" in text and first.uri in text and "under way:" in text, text
        cluster.resume(added.name)
        poll(lambda: in_sync(cluster, "sg0", {second.uri, added.uri}), "the new node in sync", DONE_DEADLINE_S)
        poll(lambda: command(cluster, "status")["under_way"] == [], "an end of it", 10.0)
        command(cluster, "options", "--min-insync", "2")
        assert cluster.info()["min_in_sync"] == 2
        assert "no shard group" in command(cluster, "add-replica", "sg9", added.uri, fails=True)
        assert "no node" in command(cluster, "add-replica", "sg0", "77", fails=True)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["old", "new", "other", "c0", "leader"])
@pytest.mark.parametrize("step", ["replace", "remove", "add-replica"])
def test_a_step_completes_whoever_is_killed(make_cluster, step, victim):
    """SIGKILL of each kind of process right after the command; it comes back a little later."""
    settings = ("--request-timeout-secs", "5", "--max-top-k", "0", "--no-audit-log")
    layout = Layout(groups=1, health=QUICK_HEALTH, node_arguments=settings, coordinator_arguments=settings)
    cluster = make_cluster(layout)
    with cluster.running():
        old = cluster.primary("sg0")
        other = next(node for node in cluster.nodes.values() if node is not old)
        new = spare(cluster, "new")
        command(cluster, "add-node", new.uri)
        with Writing(cluster, "c0" if victim != "c0" else other.name) as writing:
            arguments = {"replace": (old.uri, new.uri), "remove": (old.uri,), "add-replica": ("sg0", new.uri)}[step]
            command(cluster, step, *arguments)
            leader = next(node["uri"] for node in cluster.info()["nodes"] if node["node"] == cluster.info()["seen_by"])
            leads = next(name for name, member in cluster.members.items() if member.uri == leader)
            names = {"old": old.name, "new": "new", "other": other.name, "leader": leads}
            name = names.get(victim, victim)
            cluster.kill(name)
            time.sleep(1.5)
            cluster[name].spawn()
            left = {new.uri, other.uri} | ({old.uri} if step == "add-replica" else set())
            poll(lambda: settled(cluster, left), f"copies on {left}", DONE_DEADLINE_S)
            if step == "remove":
                poll(lambda: len(cluster.info(other.name)["nodes"]) == 3, "the removal", DONE_DEADLINE_S)
            if step == "replace":
                poll(lambda: "1" not in folders(old), "the old copy's removal", 20.0)
            writing.more()


def settled(cluster: Cluster, members: set[str]) -> bool:
    time.sleep(0.1)
    return in_sync(cluster, "sg0", members)


@pytest.mark.slow
def test_nodes_come_and_go_under_every_kind_of_load(make_cluster):
    """One node after the other is removed and taken in again with an empty disk, until none of the first ones is left; then
    everything is read back from every copy."""
    settings = ("--request-timeout-secs", "5", "--max-top-k", "0", "--no-audit-log")
    layout = Layout(groups=2, health=QUICK_HEALTH, node_arguments=settings, coordinator_arguments=settings)
    cluster = make_cluster(layout)
    with cluster.running():
        run = Run({name: member.url for name, member in cluster.coordinators.items()}, 2, 5.0)
        router = Thin("c0", cluster.url)
        prepare(run, router)
        router.close()
        threads = workers(run, 100.0, seed=3)
        for thread in threads:
            thread.start()
        command(cluster, "add-node", spare(cluster).uri)
        for name in [name for name in cluster.nodes if name != "spare"]:
            command(cluster, "remove", cluster[name].uri, WAIT)
            cluster.wipe(name)
            cluster[name].start()
            command(cluster, "add-node", cluster[name].uri)
        cluster.wait_settled()
        settle_clients(run, threads)
        judge(cluster, run)
        assert not run.defects, run.defects
        assert run.history.verdict.is_clean, (run.history.verdict.counts, run.history.verdict.examples)

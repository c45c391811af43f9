"""The document's upgrade, and rolling ones: two releases that speak neighbouring protocol numbers form one cluster, and one that shares
no number with the others is refused with a sentence.

The second release is this program with a raised number (LAVANDIN_TEST_PROTOCOLS), or the program that LAVANDIN_NEXT_BIN names.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass, field

import pytest
from cluster import QUICK_HEALTH, Cluster, Layout, ask
from lynse import VectorDBClient
from node import binary, clean_environment, poll
from test_cluster_failover import Clients, layout
from test_cluster_members import Writing, command, spare

DEADLINE_S = 30.0
RECORDS = 400


@dataclass(frozen=True)
class Release:
    program: str
    environment: dict = field(default_factory=dict)

    def start(self, cluster: Cluster, *names: str):
        """Restarts members as this release, together, and waits until all is well."""
        for name in names:
            cluster.terminate(name)
        for name in names:
            cluster[name].program, cluster[name].environment = self.program, self.environment
            cluster.spawn(name)
        cluster.wait_settled()


def speaking(numbers: str) -> Release:
    return Release(binary(), {"LAVANDIN_TEST_PROTOCOLS": numbers})


def releases(cluster: Cluster) -> tuple[Release, Release, int]:
    """This one, the next one, and the number of this one."""
    number = cluster.info()["protocol"]
    other = os.environ.get("LAVANDIN_NEXT_BIN")
    return Release(binary()), Release(other) if other else speaking(f"1-{number + 1}"), number


def raised(number: int) -> int:
    """That of the next release; another program may speak the same."""
    return number + ("LAVANDIN_NEXT_BIN" not in os.environ)


def protocols(cluster: Cluster) -> tuple[int, set[int]]:
    """What all members speak, and what each of them does."""
    info = cluster.info()
    return info["protocol"], {node["protocol"] for node in info["nodes"]}


def test_the_upgrade_as_the_document_writes_it(make_cluster):
    """Back up, stop writes, checkpoint, replicas first, then primaries, the coordinator last, smoke test, writes again."""
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    with cluster.running():
        _, following, number = releases(cluster)
        collection = VectorDBClient(cluster.url).create_database("d").require_collection("c", dim=2)
        ids = [f"r{at}" for at in range(RECORDS)]
        collection.add(ids=ids, vectors=[[float(at), 1.0] for at in range(RECORDS)])
        collection.checkpoint()
        for name, node in cluster.nodes.items():
            shutil.copytree(node.data_dir, cluster.folder / "backup" / name)
        primaries = [cluster.primary(group).name for group in ("sg0", "sg1")]
        following.start(cluster, *(name for name in cluster.nodes if name not in primaries))
        following.start(cluster, *primaries)
        assert protocols(cluster) == (number, {number, raised(number)}), "the coordinator is still the old one"
        following.start(cluster, "c0")
        assert protocols(cluster) == (raised(number), {raised(number)})
        for member in cluster.members.values():
            found = VectorDBClient(member.url).get_database("d").get_collection("c")
            assert found.head(2 * RECORDS).ids.tolist() == ids, member.name
            assert found.search([float(RECORDS), 0.0], k=1).ids.tolist() == ids[-1:]
        collection.add(ids=["after"], vectors=[[0.5, 0.5]])
        assert collection.shape == (RECORDS + 1, 2)


def test_a_rolling_upgrade_under_writes_and_back(make_cluster):
    """One member after the other, the metadata's leader and primaries among them; mixed halves serve; and down again, as long as
    nothing needs the new number."""
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    with cluster.running(), Writing(cluster, "sg1-1") as writing:
        this, following, number = releases(cluster)
        order = ["sg0-1", "sg0-0", "sg1-0", "c0"]
        for name in order:
            following.start(cluster, name)
            writing.more(10)
        assert protocols(cluster) == (number, {number, raised(number)})
        for name in order:
            this.start(cluster, name)
            writing.more(10)
        assert protocols(cluster) == (number, {number})


def test_a_release_that_shares_no_number_is_refused(make_cluster):
    """On both sides and in the status it says so; the others go on, and the right program makes it good."""
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    with cluster.running(), Writing(cluster) as writing:
        number = cluster.info()["protocol"]
        far, sentence = speaking(f"{number + 1}-{number + 2}"), f"speaks peer protocol {number + 1}-{number + 2}"
        victim = cluster.nodes["sg1-1"]
        cluster.terminate(victim.name)
        victim.environment = far.environment
        cluster.spawn(victim.name)

        def shown() -> dict:
            return next(node for node in cluster.info()["nodes"] if node["uri"] == victim.uri)

        poll(lambda: shown()["state"] == "down" and sentence in (shown()["last_error"] or ""), "a word in the status", DEADLINE_S)
        assert "upgrade this node" in shown()["last_error"], "it is the others that are old"
        assert any(victim.uri in text and sentence in text for text in cluster.info()["degraded"])
        poll(lambda: "not_registered" in victim.log(), "a word of the refused node", DEADLINE_S)
        assert "upgrade the other node" in victim.log() and ask(victim, "/readyz").status == 503
        poll(lambda: any(sentence in cluster[name].log() for name in ("sg0-0", "sg0-1", "sg1-0")), "a word of the others", DEADLINE_S)
        text = subprocess.run(
            [binary(), "cluster", "status", "--url", cluster.url],
            stdout=subprocess.PIPE, timeout=30, check=True, env=clean_environment(),
        ).stdout.decode()
        assert sentence in text, text
        added = spare(cluster, "spare", environment=far.environment)
        assert sentence in command(cluster, "add-node", added.uri, fails=True)
        added.stop()
        del cluster.nodes["spare"]
        writing.more(10)
        speaking(f"1-{number + 2}").start(cluster, victim.name)
        writing.more(10)


@pytest.mark.slow
def test_a_rolling_upgrade_under_every_kind_of_load(make_cluster):
    """There, with a member killed half way, and back; then everything is read back from every copy."""
    cluster = make_cluster(layout(health=QUICK_HEALTH))
    with cluster.running():
        clients = Clients(cluster)
        this, following, _ = releases(cluster)
        for release in (following, this):
            for at, name in enumerate(cluster.members):
                release.start(cluster, name)
                if at == 2:
                    clients.suffer("kill", cluster.primary("sg0").name)
                clients.write_some(10)
        clients.finish()

"""Data directories that were copied while their node lives: the document's way to rebuild a stale replica."""

import shutil

import pytest
from cluster import QUICK_HEALTH, Cluster, Layout
from lynse import VectorDBClient
from node import poll

DEADLINE_S = 30.0


def collection(url: str):
    return VectorDBClient(url).create_database("d").require_collection("c", dim=2, default_index=None)


def add(cluster: Cluster, ids: list[str]):
    collection(cluster.url).add(ids=ids, vectors=[[1.0, float(at)] for at in range(len(ids))])


def held(url: str) -> list:
    return collection(url).head(1000).ids.tolist()


@pytest.mark.parametrize("copies", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_stale_replica_rebuilt_as_the_document_writes_it(make_cluster, copies):
    """Stopped, given the primary's directory, started. The copy must not take the primary's part: with two data nodes the copied
    metadata has a single voter, which would lead a second history."""
    cluster = make_cluster(Layout(groups=1, copies=copies, health=QUICK_HEALTH))
    with cluster.running():
        primary = cluster.primary("sg0")
        replica = next(node for node in cluster.nodes.values() if node is not primary)
        add(cluster, ["first", "second"])
        cluster.terminate(replica.name)
        add(cluster, ["missed"])
        assert any(one["state"] == "stale" for one in cluster.group("sg0")["replicas"])
        shutil.rmtree(replica.data_dir)
        shutil.copytree(primary.data_dir, replica.data_dir)
        add(cluster, ["after the copy"])
        before = cluster.group("sg0")["primary_epoch"], cluster.info()["nodes"]
        cluster[replica.name].spawn()
        poll(lambda: "copied_directory" in replica.log(), "a word about the copy", DEADLINE_S)
        add(cluster, ["meanwhile"])
        cluster.wait_settled()
        told = ["first", "second", "missed", "after the copy", "meanwhile"]
        assert all(held(member.url) == told for member in cluster.members.values())
        assert cluster.group("sg0")["primary_epoch"] == before[0], "nobody disturbed the primary"
        assert [node for node in cluster.info()["nodes"] if node["uri"] == primary.uri][0]["incarnation"] == 1
        cluster.kill(primary.name)
        poll(lambda: cluster.primary("sg0") is not primary, "another primary", DEADLINE_S)
        assert held(cluster.url) == told

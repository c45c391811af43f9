"""A node that holds data becomes the first of a cluster: listed as a primary it brings its collections in, listed as a replica, or
beside another one with data, it is left alone with a sentence.
"""

import pytest
from cluster import QUICK_HEALTH, Cluster, Layout
from lynse import VectorDBClient
from node import poll

DEADLINE_S = 60.0


def collection(url: str, name: str):
    return VectorDBClient(url).create_database("d").require_collection(name, dim=2, default_index=None)


def fill(node, name: str = "old", count: int = 50):
    """Data of a node alone, stopped and started once, as it would be."""
    node.start()
    collection(node.url, name).add(ids=[f"r{at}" for at in range(count)], vectors=[[float(at), 1.0] for at in range(count)])
    assert collection(node.url, name).add(vectors=[[0.0, 0.0]]) == [count]
    node.terminate()


def test_a_primary_with_data_brings_it_in(make_cluster):
    """Of the second group, so that nothing rests on the first place. What it has stays in its group, with copies from now on; what
    is made later lies in both."""
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    one = cluster["sg1-0"]
    fill(one)
    with cluster.running():
        told = [f"r{at}" for at in range(50)] + [50]
        for member in cluster.members.values():
            assert collection(member.url, "old").head(100).ids.tolist() == told, member.name
        assert cluster.primary("sg1") is one and {"sg0", "sg1"} == {group["name"] for group in cluster.info()["shard_groups"]}
        known = cluster.info()["collections"]
        assert known["d/old"]["shard_groups"] == ["sg1"]
        assert collection(cluster.url, "old").add(vectors=[[0.0, 0.0]])[0] > 50
        made = collection(cluster.url, "later")
        made.add(ids=[f"r{at}" for at in range(20)], vectors=[[float(at), 1.0] for at in range(20)])
        assert sorted(cluster.info()["collections"]["d/later"]["shard_groups"]) == ["sg0", "sg1"]
        assert cluster.info()["bucket_count"] == 4096 and cluster.metadata_is_whole()
        cluster.kill(one.name)
        poll(lambda: cluster.primary("sg1") is not one, "another primary", DEADLINE_S)
        assert collection(cluster.url, "old").head(100).ids.tolist()[:51] == told
        cluster.spawn(one.name)
        cluster.wait_settled()
        assert len(collection(one.url, "old").head(100).ids.tolist()) == 52


def refused(cluster: Cluster, *sentence: str):
    for member in cluster.members.values():
        member.spawn()
    said = cluster["c0"].log
    poll(lambda: all(word in said() for word in sentence), "a sentence in the coordinator's log", DEADLINE_S)


@pytest.mark.slow
def test_a_replica_with_data_and_two_with_data_are_left_alone(make_cluster):
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    replica, other = cluster["sg0-1"], cluster["sg1-0"]
    fill(replica)
    refused(cluster, replica.uri, "holds data of its own and is no primary")
    assert VectorDBClient(replica.url).get_database("d").get_collection("old").shape == (51, 2), "it serves as before"
    cluster.stop()
    fill(other)
    refused(cluster, "several nodes hold data of their own", replica.uri, other.uri)

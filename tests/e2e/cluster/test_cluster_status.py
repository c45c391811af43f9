"""When the harness calls a cluster settled: against statuses made by hand, without a process."""

import pytest
from cluster import Cluster, Layout


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    made = Cluster(tmp_path, Layout())
    made.told = healthy(made)
    monkeypatch.setattr(made, "info", lambda asked=None: made.told)
    monkeypatch.setattr(made, "metadata_is_whole", lambda: True)
    return made


def healthy(cluster: Cluster) -> dict:
    document = cluster.document()["shard_groups"]
    members = enumerate(cluster.members.values(), start=1)
    return {
        "shard_groups": [
            {
                "name": group["name"],
                "primary": group["primary"],
                "primary_epoch": 1,
                "replicas": [{"uri": uri, "state": "active"} for uri in group["replicas"]],
                "writable": True,
                "why_not": None,
            }
            for group in document
        ],
        "nodes": [{"node": number, "uri": member.uri, "state": "up", "incarnation": 1} for number, member in members],
    }


def test_all_is_well(cluster):
    assert cluster.unsettled() == []
    cluster.wait_settled(1.0)
    assert cluster.registered["sg0-0"] == (1, 1) and set(cluster.registered) == set(cluster.members)
    assert cluster.primary("sg1").name == "sg1-0"


@pytest.mark.parametrize(
    "spoil, word",
    [
        (lambda told: told["shard_groups"].pop(), "sg1 is missing"),
        (lambda told: told["shard_groups"][0]["replicas"][0].update(state="stale"), "stale"),
        (lambda told: told["shard_groups"][0]["replicas"].clear(), "0 replicas"),
        (lambda told: told["shard_groups"][1].update(writable=False, why_not="no copy"), "no copy"),
        (lambda told: told["shard_groups"][1].update(writable=None, why_not="nobody knows"), "nobody knows"),
        (lambda told: told["nodes"][4].update(state="silent"), "silent"),
    ],
)
def test_something_is_wrong(cluster, spoil, word):
    spoil(cluster.told)
    (sentence,) = cluster.unsettled()
    assert word in sentence
    with pytest.raises(AssertionError, match=word):
        cluster.wait_settled(0.2)


def test_a_start_counts_once_it_is_registered(cluster, monkeypatch):
    """Right after a start the status is still that of the process before it."""
    monkeypatch.setattr(type(cluster.nodes["sg0-1"]), "spawn", lambda self: self)
    cluster.wait_settled(1.0)
    cluster.spawn("sg0-1")
    (sentence,) = cluster.unsettled()
    assert "sg0-1 has not registered" in sentence
    cluster.told["nodes"][1]["incarnation"] = 2
    assert cluster.unsettled() == []
    cluster.wait_settled(1.0)
    assert cluster.superseded == {}


def test_a_new_disk_is_another_node(cluster, monkeypatch):
    monkeypatch.setattr(type(cluster.nodes["sg0-1"]), "spawn", lambda self: self)
    cluster.wait_settled(1.0)
    cluster.wipe("sg0-1")
    cluster.spawn("sg0-1")
    assert cluster.unsettled() != []
    cluster.told["nodes"][1]["state"] = "lost"
    cluster.told["nodes"].append({"node": 9, "uri": cluster["sg0-1"].uri, "state": "up", "incarnation": 1})
    assert cluster.unsettled() == []
    with pytest.raises(AssertionError):
        cluster.wait_settled(0.2)  # the metadata may not have noticed the lost voter yet

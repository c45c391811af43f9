"""Coordinators: any number of them, with pinned owners or none, restarted, without their cache, with keys; and wrong starts."""

import json
import shutil

import pytest
from cluster import QUICK_HEALTH, Cluster, Layout, ask, run_to_end
from lynse import VectorDBClient
from node import poll

KEY = "shard-secret"
DEADLINE_S = 30.0


def write(cluster: Cluster, url: str, ids: list[str]):
    collection = VectorDBClient(url).create_database("d").require_collection("c", dim=2, default_index=None)
    collection.add(ids=ids, vectors=[[1.0, 2.0]] * len(ids))


def head(url: str) -> list:
    return VectorDBClient(url).get_database("d").get_collection("c").head(1000).ids.tolist()


def status(member) -> dict | None:
    reply = ask(member, "/coordinator_status")
    return None if reply is None or reply.status != 200 else reply.params


def test_a_second_coordinator_and_the_loss_of_the_first(make_cluster):
    """Also: the chores move, a standby serves by itself, and a coordinator needs no cache to come back."""
    cluster = make_cluster(Layout(health=QUICK_HEALTH, coordinators=2))
    with cluster.running():
        first, second = cluster.coordinators.values()
        write(cluster, second.url, ["a", "b", "c", "d"])
        assert head(first.url) == ["a", "b", "c", "d"]
        poll(lambda: "leader" in (status(first)["role"], status(second)["role"]), "a coordinator to do the chores", DEADLINE_S)
        told = [status(first), status(second)]
        assert sorted(one["role"] for one in told) == ["leader", "standby"]
        assert told[0]["leader"] == told[1]["leader"]
        assert [one["coordinator_uri"] for one in told] == [first.uri, second.uri]
        leader, standby = (first, second) if told[0]["role"] == "leader" else (second, first)
        cluster.kill(leader.name)
        write(cluster, standby.url, ["e"])
        poll(lambda: status(standby)["role"] == "leader", "the standby's turn", DEADLINE_S)
        after = status(standby)
        assert after["leader"]["leader_uri"] == standby.uri
        assert after["leader"]["lease_epoch"] > told[0]["leader"]["lease_epoch"]
        if leader.state_path.exists():
            leader.state_path.unlink()
        cluster.spawn(leader.name)
        cluster.wait_settled(asked=leader.name)
        assert head(leader.url) == ["a", "b", "c", "d", "e"]
        assert status(leader)["role"] == "standby", "what moved does not move back without a reason"


def owners(cluster: Cluster, count: int) -> str:
    return ",".join(node.uri for node in list(cluster.nodes.values())[:count])


@pytest.mark.slow
@pytest.mark.parametrize("count, mode", [(1, "single"), (3, "replicated")])
def test_pinned_owners(make_cluster, count, mode):
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    coordinator = cluster.coordinators["c0"]
    coordinator.arguments += ("--metadata-owners", owners(cluster, count))
    with cluster.running():
        metadata = status(coordinator)["metadata"]
        assert metadata["mode"] == mode and metadata["degraded"] is False
        uris = [owner if isinstance(owner, str) else owner["uri"] for owner in metadata["owners"]]
        assert sorted(uris) == sorted(owners(cluster, count).split(","))
        write(cluster, cluster.url, ["a", "b"])
        cluster.terminate("c0")
        # owners alone are enough to start again
        without_config = coordinator.command()
        at = without_config.index("--cluster-config")
        without_config = without_config[:at] + without_config[at + 2 :]
        coordinator.command = lambda: without_config
        cluster.spawn("c0")
        cluster.wait_settled()
        assert head(cluster.url) == ["a", "b"]


def test_two_owners_are_an_error(make_cluster):
    cluster = make_cluster()
    coordinator = cluster.coordinators["c0"]
    code, said = run_to_end([*coordinator.command(), "--metadata-owners", owners(cluster, 2)])
    assert code != 0 and "metadata-owners" in said and "panicked" not in said, said


def test_a_coordinator_without_config_and_owners_says_what_to_pass(make_cluster):
    command = make_cluster().coordinators["c0"].command()
    at = command.index("--cluster-config")
    code, said = run_to_end(command[:at] + command[at + 2 :])
    assert code != 0 and "Pass --cluster-config, or pass --metadata-owners explicitly" in said, said


@pytest.mark.parametrize(
    "document, word",
    [({"shard_groups": []}, "cluster config requires at least one shard group"), ({"bucket_count": 4096}, "shard group"), ("[", "cluster.json")],
)
def test_a_wrong_cluster_json_is_named(make_cluster, document, word):
    cluster = make_cluster()
    cluster.config.write_text(document if isinstance(document, str) else json.dumps(document))
    code, said = run_to_end(cluster.coordinators["c0"].command())
    assert code != 0 and word in said and "panicked" not in said, said


@pytest.mark.slow
def test_two_coordinators_that_start_at_once_form_one_cluster(make_cluster):
    for _ in range(3):
        cluster = make_cluster(Layout(health=QUICK_HEALTH, coordinators=2))
        with cluster.running():
            assert len({cluster.info(name)["cluster"] for name in cluster.members}) == 1


@pytest.mark.slow
def test_the_metadata_says_that_an_owner_is_down(make_cluster):
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    with cluster.running():
        uri = status(cluster.coordinators["c0"])["metadata"]["owners"][0]["uri"]
        owner = next(node for node in cluster.nodes.values() if node.uri == uri)
        cluster.kill(owner.name)
        poll(lambda: not cluster.metadata_is_whole(), "a degraded metadata", DEADLINE_S)
        write(cluster, cluster.url, ["a", "b", "c"])
        cluster.spawn(owner.name)
        cluster.wait_settled()
        assert head(cluster.url) == ["a", "b", "c"]


def test_shards_with_keys(make_cluster):
    """--api-key on the shards, the same as --shard-api-key on the coordinator; a wrong one is a sentence and joins nothing."""
    cluster = make_cluster(Layout(health=QUICK_HEALTH, node_key=KEY))
    coordinator = cluster.coordinators["c0"]
    coordinator.arguments += ("--shard-api-key", KEY)
    with cluster.running():
        write(cluster, cluster.url, ["a", "b"])
        node = next(iter(cluster.nodes.values()))
        without = node.connect(key=None)
        assert without.get("/list_databases").status == 401 and without.get("/healthz").status == 200
        with VectorDBClient(node.url, api_key=KEY) as client:
            assert client.get_database("d").get_collection("c").head(10).ids.tolist() == ["a", "b"]
        with pytest.raises(ConnectionError, match="Authentication"):
            VectorDBClient(node.url, api_key="wrong")
        wrong = cluster.add_coordinator("wrong", ("--shard-api-key", "wrong"))
        wrong.spawn()
        poll(lambda: "--shard-api-key" in wrong.log() or wrong.process.poll() is not None, "a word about the key", DEADLINE_S)
        assert "--shard-api-key" in wrong.log() and "panicked" not in wrong.log()
        reply = ask(wrong, "/readyz")
        assert reply is None or reply.status != 200
        wrong.stop()
        assert not any(one["uri"] == wrong.uri for one in cluster.info("c0")["nodes"])


def test_a_backup_as_the_document_writes_it(make_cluster):
    """Checkpoint through the coordinator, stop the writes, copy the directories; later start on the copies."""
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    with cluster.running():
        ids = [f"r{at}" for at in range(3000)]
        for start in range(0, 3000, 500):
            write(cluster, cluster.url, ids[start : start + 500])
        VectorDBClient(cluster.url).get_database("d").get_collection("c").checkpoint()
        write(cluster, cluster.url, ["after the checkpoint"])
        backup = cluster.folder / "backup"
        for name, node in cluster.nodes.items():
            shutil.copytree(node.data_dir, backup / name)
        write(cluster, cluster.url, ["after the backup"])
        for name in cluster.members:
            cluster.kill(name)
        for name, node in cluster.nodes.items():
            shutil.rmtree(node.data_dir)
            shutil.copytree(backup / name, node.data_dir)
            node.spawn()
        cluster.wipe("c0")  # only the configuration and the service files are backed up
        cluster.spawn("c0")
        cluster.wait_settled()
        found = VectorDBClient(cluster.url).get_database("d").get_collection("c").head(10_000).ids.tolist()
        assert found == [*ids, "after the checkpoint"]

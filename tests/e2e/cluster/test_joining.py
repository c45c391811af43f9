"""Clusters that a head forms and workers join, with the document's env files (tests/e2e/fixtures)."""

import json
import os
import shutil
import time

import numpy as np
import pytest
from heads import Members, post_signed, signed_headers
from lynse import VectorDBClient
from node import poll

ROWS = 300


@pytest.fixture
def members(tmp_path):
    made = Members(tmp_path)
    yield made
    made.stop()
    print(made.logs())


def collection(url: str, database: str = "joined"):
    client = VectorDBClient(url)
    database = client.get_database(database) if database in client.list_databases() else client.create_database(database)
    return database.require_collection("rows", dim=4, default_index=None)


def fill(url: str):
    handle = collection(url)
    angles = np.linspace(0, np.pi, ROWS, dtype=np.float32)
    vectors = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)
    handle.add(ids=list(range(ROWS)), vectors=vectors)
    handle.commit()
    return vectors


def nearest(url: str, vector) -> int:
    return int(collection(url).search(vector, k=1).ids[0])


def cluster_id(member) -> str:
    return member.get("/cluster_info").params["cluster"]


def test_the_documents_env_files_form_a_cluster(members):
    head, worker = members.add("head"), members.add("worker")
    head.spawn()
    worker.spawn()
    groups = members.wait_whole("worker", 2)["shard_groups"]
    assert {group["primary"] for group in groups} == {head.url, worker.url}
    assert worker.said(f"Waiting for head node to be ready: {head.url}")
    assert worker.said(f"Synced with head node: {head.url}")
    assert head.said(f"Node {worker.url} registered")
    assert head.data_dir.is_dir() and worker.data_dir.is_dir()

    vectors = fill(worker.url)
    assert nearest(head.url, vectors[7]) == nearest(worker.url, vectors[7]) == 7
    listed = {one["node_url"]: one for one in worker.get("/cluster/nodes").json}
    assert listed.keys() == {head.url, worker.url}
    assert [one["is_head"] for one in listed.values()].count(True) == 1
    assert all(abs(time.time() - one["last_heartbeat"]) < 30 for one in listed.values())

    # What the worker leads, the head has too.
    worker.kill()
    poll(lambda: collection(head.url).shape[0] == ROWS, "all records through the head")
    assert nearest(head.url, vectors[123]) == 123
    worker.start()
    members.wait_whole("worker", 2)
    assert nearest(worker.url, vectors[250]) == 250


def test_a_worker_may_start_first_and_says_that_it_is_joining(members):
    head = members.add("head")
    worker = members.add("worker", "--join-wait", "forever")
    worker.spawn()
    joining = f"joining: this node waits for the cluster of the head node {head.url}"
    poll(lambda: worker.said("Waiting for head node"), "a worker that waits")
    for path in ("/readyz", "/datasets/", "/cluster/nodes"):
        reply = worker.get(path)
        assert reply.status == 503 and joining in reply.text, f"{path}: {reply.status} {reply.text}"
    assert worker.get("/version").status == worker.get("/healthz").status == 200
    head.spawn()
    members.wait_whole("head", 2)


def test_a_worker_without_a_head_fails_to_start(members):
    head, worker = members.add("head"), members.add("worker")
    begun = time.monotonic()
    worker.spawn()
    code, line = worker.outcome(deadline_s=30)
    assert code == 1 and f"Node {head.url} did not start in 10.0 seconds: " in line, line
    assert 9.5 < time.monotonic() - begun < 15


def test_a_wrong_secret_is_told_on_both_sides(members):
    head, worker = members.add("head"), members.add("worker", "--join-wait", "2", "--cluster-secret", "another")
    head.spawn()
    poll(lambda: head.is_ready(), "the head")
    worker.spawn()
    code, line = worker.outcome(deadline_s=30)
    assert code == 1 and "has another cluster secret" in line and "--cluster-secret" in line, line
    assert head.said("a node was refused as a peer") and head.said("has another cluster secret")
    assert len(head.get("/cluster_info").params["nodes"]) == 1


def test_members_need_no_head_once_they_have_joined(members):
    head, first, second = members.add("head"), members.add("first"), members.add("second")
    for member in (head, first, second):
        member.spawn()
    members.wait_whole("head", 3)
    vectors = fill(first.url)
    head.kill()
    first.kill()
    first.start()
    poll(lambda: collection(first.url).shape[0] == ROWS, "all records without the head")
    assert nearest(second.url, vectors[42]) == 42
    collection(second.url).add(ids=[ROWS], vectors=np.full((1, 4), -1.0, dtype=np.float32))
    head.spawn()
    members.wait_whole("head", 3)
    assert collection(head.url).shape[0] == ROWS + 1


def test_a_head_whose_disk_is_new_is_taken_in_again(members):
    head, first, second = members.add("head"), members.add("first"), members.add("second")
    for member in (head, first, second):
        member.spawn()
    members.wait_whole("first", 3)
    vectors, before = fill(first.url), cluster_id(first)
    head.kill()
    shutil.rmtree(head.data_dir)
    head.spawn()
    members.wait_whole("first", 3)
    assert cluster_id(head) == cluster_id(first) == before
    assert nearest(head.url, vectors[9]) == 9


def test_a_head_with_a_new_disk_founds_nothing_beside_a_member(members):
    head, worker = members.add("head"), members.add("worker")
    head.spawn()
    worker.spawn()
    members.wait_whole("worker", 2)
    vectors = fill(worker.url)
    # The head alone votes on the metadata.
    head.kill()
    kept = head.data_dir.with_name("kept")
    head.data_dir.rename(kept)
    head.spawn()
    poll(lambda: head.said("no other cluster is formed"), "a head that waits")
    reply = head.get("/readyz")
    assert reply.status == 503 and "joining" in reply.text, reply.text
    head.kill()
    shutil.rmtree(head.data_dir)
    kept.rename(head.data_dir)
    head.spawn()
    members.wait_whole("head", 2)
    assert nearest(head.url, vectors[77]) == 77


def test_a_head_brings_its_collections_in(members):
    head, worker = members.add("head"), members.add("worker")
    head.be_of_cluster(False)
    head.start()
    vectors = fill(head.url)
    assert head.get("/cluster/nodes").json["detail"] == "Cluster not enabled"
    assert head.terminate() == 0
    head.be_of_cluster(True)
    head.spawn()
    worker.spawn()
    members.wait_whole("worker", 2)
    assert nearest(worker.url, vectors[11]) == 11


def test_a_worker_with_data_of_its_own_does_not_join(members):
    head, worker = members.add("head"), members.add("worker")
    worker.be_of_cluster(False)
    worker.start()
    vectors = fill(worker.url)
    assert worker.terminate() == 0
    worker.be_of_cluster(True)
    head.spawn()
    worker.spawn()
    code, line = worker.outcome(deadline_s=30)
    assert code == 1 and "holds data of its own" in line, line
    worker.be_of_cluster(False)
    worker.start()
    assert nearest(worker.url, vectors[3]) == 3


def test_signed_calls_change_members_once(members):
    head, worker = members.add("head"), members.add("worker")
    head.spawn()
    poll(lambda: head.is_ready(), "the head")
    # A node that was told of no head waits to be registered.
    worker.be_of_cluster(False)
    worker.arguments = ("--cluster-secret", "your_shared_secret_here")
    worker.start()
    node = {"node_url": worker.url}
    # For two seconds after its start it takes no signatures.
    poll(lambda: post_signed(head, "/cluster/heartbeat", node).status == 404, "a head that takes signed calls")
    for path in ("/cluster/register", "/cluster/heartbeat", "/cluster/deregister"):
        unsigned = post_signed(head, path, node, headers={"X-Lavandin-Time": "1"})
        assert unsigned.status == 401 and "Invalid cluster auth" in unsigned.json["detail"], unsigned.text
        assert post_signed(head, path, node, secret="another").status == 401
        # Whoever has no secret makes the node hold no more than that.
        assert post_signed(head, path, {"node_url": "x" * 5000}).status == 413
    body = json.dumps(node).encode()
    headers = signed_headers("your_shared_secret_here", head.url, "/cluster/register", body, os.urandom(16))
    registered = post_signed(head, "/cluster/register", node, headers=headers)
    assert (registered.status, registered.json) == (200, None), registered.text
    replayed = post_signed(head, "/cluster/register", node, headers=headers)
    assert replayed.status == 401 and "received before" in replayed.json["detail"], replayed.text
    members.wait_whole("head", 2)
    assert post_signed(head, "/cluster/heartbeat", node).status == 200
    assert post_signed(worker, "/cluster/sync", {}).status == 410


def held(info: dict) -> dict:
    """How many copies each node holds, by URI."""
    return {node["uri"]: node["copies"] for node in info["nodes"] if node["state"] == "up"}


def test_copies_follow_the_nodes_that_there_are(members):
    head, first, second = members.add("head"), members.add("first"), members.add("second")
    head.spawn()
    first.spawn()
    members.wait_whole("head", 2)
    vectors = fill(first.url)
    second.spawn()
    poll(lambda: held(members.info("head") or {"nodes": []}) == dict.fromkeys([head.url, first.url, second.url], 2), "two copies each")
    members.wait_whole("second", 3)
    assert nearest(second.url, vectors[200]) == 200

    # For two seconds after its start it takes no signatures.
    poll(lambda: post_signed(head, "/cluster/deregister", {"node_url": first.url}).status == 200, "a head that takes signed calls")

    def is_gone() -> bool:
        info = members.info("head")
        groups = info["shard_groups"] if info else []
        return bool(groups) and held(info).keys() == {head.url, second.url} and all(group["in_sync"] == 2 for group in groups)

    poll(is_gone, "a node that has left its copies to the others", 60)
    first.kill()
    assert nearest(second.url, vectors[100]) == 100
    assert collection(head.url).shape[0] == ROWS

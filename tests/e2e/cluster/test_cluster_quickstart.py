"""The document's quick start, with its files, commands, snippet and curls, against real processes."""

import http.client
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import ask
from lynse import VectorDBClient
from node import clean_environment, poll

SNIPPET = Path(__file__).parent.parent / "fixtures" / "lynsedb_cluster_snippet.py.txt"
DOCUMENTED_URL = "http://127.0.0.1:7637"


@pytest.fixture
def cluster(show_logs):
    return show_logs


def run_snippet(url: str) -> str:
    text = SNIPPET.read_text()
    assert text.count(DOCUMENTED_URL) == 1
    command = [sys.executable, "-c", text.replace(DOCUMENTED_URL, url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environment(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(url: str) -> dict:
    """What `curl URL` shows."""
    port, path = int(url.split(":")[2].split("/")[0]), "/" + url.split("/", 3)[3]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    return json.loads(answer.read())


def test_cluster_json_is_the_documents(cluster):
    document = json.loads(cluster.config.read_text())
    assert list(document) == ["bucket_count", "write_mirror_replicas", "shard_groups"]
    assert [list(group) for group in document["shard_groups"]] == [["name", "primary", "replicas"]] * 2
    assert [group["name"] for group in document["shard_groups"]] == ["sg0", "sg1"]


def test_the_coordinator_is_running(cluster):
    assert curl(f"{cluster.url}/")["status"] == "success"
    info = curl(f"{cluster.url}/cluster_info")["params"]
    wanted = json.loads(cluster.config.read_text())
    assert info["bucket_count"] == wanted["bucket_count"] and info["write_mirror_replicas"] is True
    assert [(group["name"], group["primary"]) for group in info["shard_groups"]] == [
        (group["name"], group["primary"]) for group in wanted["shard_groups"]
    ]
    for group, asked in zip(info["shard_groups"], wanted["shard_groups"]):
        assert group["primary_epoch"] >= 1 and group["writable"] is True and group["why_not"] is None
        assert [(replica["uri"], replica["state"]) for replica in group["replicas"]] == [(uri, "active") for uri in asked["replicas"]]
    assert isinstance(info["meta_epoch"], int) and info["meta_epoch"] >= 1


def test_the_snippet_finds_both_documents_in_order(cluster):
    printed = run_snippet(cluster.url)
    first, second = printed.find("doc-1"), printed.find("doc-2")
    assert 0 <= first < second, printed
    search = {"database_name": "demo", "collection_name": "docs", "vector": [0.1, 0.2, 0.3, 0.4], "k": 2, "return_fields": True}
    for member in cluster.members.values():
        found = member.post("/search", search).params["items"]
        assert found["ids"] == ["doc-1", "doc-2"], member.name
        assert found["fields"] == [{"title": "first"}, {"title": "second"}]
    assert run_snippet(cluster.nodes["sg1-1"].url) == printed, "any node serves as well as the coordinator"


def test_meta_epoch_rises_with_the_metadata(cluster):
    before = cluster.info()["meta_epoch"]
    VectorDBClient(cluster.url).create_database("raises")
    info = cluster.info()
    assert info["meta_epoch"] > before and "raises" in info["databases"]


def test_every_member_tells_the_same_story(cluster):
    def story(name):
        return [{key: group[key] for key in ("name", "primary", "primary_epoch", "replicas")} for group in told[name]["shard_groups"]]

    told = {name: cluster.info(name) for name in cluster.members}
    for groups in told.values():
        for group in groups["shard_groups"]:
            for replica in group["replicas"]:
                replica.pop("lag", None)  # a number of the moment
    assert all(story(name) == story("c0") for name in told)


def test_coordinator_status(cluster):
    poll(lambda: curl(f"{cluster.url}/coordinator_status")["params"]["role"] == "leader", "a live coordinator to do the chores")
    status = curl(f"{cluster.url}/coordinator_status")["params"]
    assert status["coordinator_uri"] == cluster.url == status["coordinator_id"]
    assert status["leader"]["leader_uri"] == cluster.url and status["leader"]["lease_epoch"] >= 1
    metadata = status["metadata"]
    assert metadata["mode"] == "replicated" and metadata["degraded"] is False
    uris = {node.uri for node in cluster.nodes.values()}
    assert len(metadata["owners"]) == 3 and {owner["uri"] for owner in metadata["owners"]} <= uris
    for node in cluster.nodes.values():
        told = ask(node, "/coordinator_status").params
        assert told["role"] == "standby" and told["coordinator_uri"] == node.uri and told["leader"] == status["leader"]


def test_monitoring(cluster):
    """The document's monitoring section: health, readiness and metrics of every node, and of the coordinator too."""
    for member in cluster.members.values():
        for path in ("/healthz", "/readyz", "/metrics", "/cluster_info", "/coordinator_status", "/"):
            assert ask(member, path).status == 200, (member.name, path)

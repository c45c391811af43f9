"""Which copy answers a read, what a repeated batch is told, and whether copies are the same: through every member."""

import json
import subprocess
from urllib.parse import urlencode

import numpy as np
import pytest
from cluster import QUICK_HEALTH, Cluster, Layout, owner
from judge import depose
from node import Connection, binary, poll

ROWS = 40


@pytest.fixture
def cluster(show_logs):
    return show_logs


def make(cluster: Cluster, database: str) -> dict:
    named = {"database_name": database, "collection_name": "c"}
    member = next(iter(cluster.members.values()))
    member.post("/create_database", {"database_name": database, "drop_if_exists": True}).params
    member.post("/required_collection", {**named, "dim": 2}).params
    for other in cluster.members.values():
        poll(lambda other=other: other.post("/stats", named).status == 200, f"{other.name} knows of it")
    return named


def ask(cluster: Cluster, name: str, path: str, payload: dict, **headers):
    connection = Connection(cluster[name].port)
    named = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
    try:
        return connection.request("POST", path, json.dumps(payload).encode(), named)
    finally:
        connection.close()


def replica_of(cluster: Cluster, group: str) -> tuple[str, str]:
    """A node with a copy that does not lead, and its number."""
    info = cluster.info()
    primary = cluster.primary(group).uri
    node = next(node for node in cluster.nodes.values() if node.group == group and node.uri != primary)
    return node.name, next(str(known["node"]) for known in info["nodes"] if known["uri"] == node.uri)


def test_the_modes_of_reading(cluster):
    named = make(cluster, "modes")
    name, number = replica_of(cluster, "sg0")
    keys = [f"r{row}" for row in range(ROWS)]
    mine = [key for key in keys if owner("modes", "c", key) == "sg0"]
    written = ask(cluster, "c0", "/add", {**named, "ids": keys, "vectors": [[1.0, 1.0]] * ROWS}, x_read_consistency="session")
    assert written.status == 200, written.text
    token = written.headers["x-session-token"]
    assert len(token.split(",")) == 2, "both groups have a part"
    read = {**named, "id": mine}
    for member in cluster.members:
        for mode in ("primary", "linearizable"):
            told = ask(cluster, member, "/read_by_only_id", read, x_read_consistency=mode)
            assert told.status == 200 and "x-answered-by" not in told.headers, (member, mode, told.text)
        told = ask(cluster, member, "/read_by_only_id", read, x_read_consistency="session", x_session_token=token)
        assert told.status == 200 and told.headers["x-session-token"], (member, told.text)

    def answered_there(**headers) -> bool:
        told = ask(cluster, name, "/read_by_only_id", read, **headers)
        return told.status == 200 and told.headers.get("x-answered-by") == number

    # as soon as the replica has applied what was committed
    poll(lambda: answered_there(x_read_consistency="any"), "an answer of the replica's own")
    poll(lambda: answered_there(x_read_consistency="session", x_session_token=token), "a session's answer")
    poll(lambda: answered_there(x_read_consistency="bounded", x_max_staleness_ms="5000"), "a fresh answer")
    assert "x-answered-by" not in ask(cluster, name, "/read_by_only_id", read).headers
    wrong = ask(cluster, name, "/read_by_only_id", read, x_read_consistency="newest")
    assert wrong.status == 400 and "linearizable" in wrong.json["error"], wrong.text


def test_a_node_that_was_killed_shows_what_it_had_acknowledged(make_cluster):
    """The primary dies with the answer; its next process has to ask another copy, which may not have heard that all is committed."""
    cluster = make_cluster(Layout())
    with cluster.running():
        named = make(cluster, "killed")
        for number in range(4):
            name = cluster.primary("sg0").name
            key = next(key for at in range(100) if owner("killed", "c", key := f"r{number}-{at}") == "sg0")
            told = ask(cluster, name, "/add", {**named, "ids": [key], "vectors": [[1.0, 1.0]]})
            cluster.kill(name)
            assert told.status == 200, told.text
            cluster.spawn(name)

            def is_shown(name=name, key=key) -> bool:
                try:
                    read = ask(cluster, name, "/read_by_only_id", {**named, "id": [key]})
                except OSError:
                    return False
                assert "does not exist" not in read.text, read.text
                return read.status == 200

            poll(is_shown, "an answer")
            cluster.wait_settled()


def test_copies_are_found_to_be_the_same(cluster):
    named = make(cluster, "same")
    keys = [f"r{row}" for row in range(ROWS)]
    ask(cluster, "c0", "/add", {**named, "ids": keys, "vectors": [[1.0, 1.0]] * ROWS}).params
    for member in cluster.members.values():
        told = member.get("/cluster_verify").params
        found = [[copy["verdict"] for copy in group["copies"]] for group in told["shard_groups"]]
        assert told["wrong"] is False and found == [["primary", "same"]] * 2, told
    command = [binary(), "cluster", "verify", "--api-url", cluster.url]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert shown.count("same") == 2 and "sg0: " in shown, shown
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert json.loads(as_json)["wrong"] is False


def add_without_ids(cluster: Cluster, name: str, named: dict, key: str, rows: int) -> list:
    """Until it is answered: it may be sent again as often as one likes."""
    query = urlencode({**named, "dim": 2, "n_vectors": rows, "return_ids": "true"})
    body = np.full((rows, 2), rows, dtype=np.float32).tobytes()
    headers = {"content-type": "application/octet-stream", "idempotency-key": key}

    def add():
        connection = Connection(cluster[name].port)
        try:
            told = connection.request("POST", f"/bulk_add_binary?{query}", body, headers)
        finally:
            connection.close()
        return told.params["ids"] if told.status == 200 else None

    return poll(add, f"an answer of {name}")


def test_a_batch_without_ids_is_given_the_same_ones_whoever_is_asked(make_cluster):
    cluster = make_cluster(Layout(health=QUICK_HEALTH))
    with cluster.running():
        named = make(cluster, "again")
        batches = {f"key{at}": 1 + 7 * (at % 3) for at in range(12)}

        def add_all(name: str) -> dict:
            return {key: add_without_ids(cluster, name, named, key, rows) for key, rows in batches.items()}

        given = add_all("c0")
        everything = sorted(one for ids in given.values() for one in ids)
        assert len(set(everything)) == sum(batches.values())
        for name in cluster.members:
            assert add_all(name) == given, name
        for group in ("sg0", "sg1"):
            killed = cluster.primary(group).name
            depose(cluster, group)
            for name in cluster.members:
                assert name == killed or add_all(name) == given, name
            cluster.spawn(killed)
            cluster.wait_settled()
        listed = cluster["c0"].post("/head", {**named, "n": 1000}).params["head"][1]
        assert sorted(listed) == everything


@pytest.mark.slow
def test_a_replica_whose_bytes_changed_is_found_and_rebuilt(make_cluster):
    cluster = make_cluster(Layout(groups=1, health=QUICK_HEALTH))
    with cluster.running():
        named = make(cluster, "rot")
        vector = [1234.5, -77.25]
        ask(cluster, "c0", "/add", {**named, "ids": ["x", "y"], "vectors": [vector, [1.0, 2.0]]}).params
        # a node that has sealed its records, then is the replica
        name = cluster.primary("sg0").name
        cluster["c0"].post("/checkpoint", named).params
        depose(cluster, "sg0")
        cluster.spawn(name)
        cluster.wait_settled()
        stored = np.array(vector, dtype=np.float32).tobytes()
        changed = [path for path in cluster[name].data_dir.rglob("*.rows") if overwrite(path, stored)]
        assert changed, "the vector lies in a segment"
        told = cluster["c0"].get("/cluster_verify").params
        verdicts = {copy["uri"]: copy["verdict"] for copy in told["shard_groups"][0]["copies"]}
        assert told["wrong"] is True and verdicts[cluster[name].uri] == "damaged", told
        assert ask(cluster, name, "/read_by_only_id", {**named, "id": ["x"]}).params["item"][0][0] == vector
        poll(lambda: cluster[name].metric("lavandin_copies_started_over_total") == 1, "a copy that begins anew")
        cluster.wait_settled()
        told = cluster["c0"].get("/cluster_verify").params
        assert told["wrong"] is False and [copy["verdict"] for copy in told["shard_groups"][0]["copies"]] == ["primary", "same"], told
        assert subprocess.run([binary(), "cluster", "verify", "--api-url", cluster.url], capture_output=True, check=False).returncode == 0
        assert ask(cluster, name, "/read_by_only_id", {**named, "id": ["x"]}).params["item"][0][0] == vector


def overwrite(path, stored: bytes) -> bool:
    """Changes the first byte of what a file holds, where it does."""
    at = path.read_bytes().find(stored)
    if at < 0:
        return False
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([stored[0] ^ 1]))
    return True

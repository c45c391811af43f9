"""Damage under a running cluster, and under a stopped node: it is found, reported and repaired from a good copy, without a
command and without a restart, and no acknowledged write is lost.

Bits are flipped where checksums see them: in the rows of a segment's file, and in the log. A comparison finds them; there
is one every hour, and the tests ask for theirs.
"""

import json
import shutil
import subprocess

import pytest
from cluster import QUICK_HEALTH, Cluster, Layout
from node import binary, clean_environment, poll
from test_cluster_members import Writing

REPAIR_DEADLINE_S = 60.0
NAMES = {"database_name": "precious", "collection_name": "c"}
# enough for a replica to seal them for their graph
ROWS = 18_000
LAYOUT = Layout(groups=1, copies=2, health=QUICK_HEALTH)


def fill(cluster: Cluster):
    """Rows in sealed segments with a graph on both copies, and a log behind their checkpoints."""
    router = next(iter(cluster.coordinators.values()))
    router.post("/create_database", {"database_name": NAMES["database_name"]}).params
    router.post("/required_collection", {**NAMES, "dim": 8}).params
    for start in range(0, ROWS, 1000):
        ids = list(range(start, start + 1000))
        vectors = [[float(number % 97), float(number)] + [1.0] * 6 for number in ids]
        router.post("/add", {**NAMES, "ids": ids, "vectors": vectors}).params
        if start == 0:
            router.post("/build_index", {**NAMES, "index_mode": "HNSW-L2"}).params
    for number in range(ROWS, ROWS + 20):
        router.post("/add", {**NAMES, "ids": [number], "vectors": [[1.0] * 8]}).params
    for node in cluster.nodes.values():
        poll(lambda node=node: sealed(node), f"sealed rows on {node.name}", REPAIR_DEADLINE_S)


def sealed(node) -> list:
    names = [path.name for path in files(node, "segments")] if (node.data_dir / "groups" / "1" / "segments").exists() else []
    return names if any(name.endswith(".graph") for name in names) else []


def verdicts(cluster: Cluster) -> list[str]:
    """What a comparison says of the copies, or that it could not be made."""
    done = subprocess.run(
        [binary(), "cluster", "verify", "--json", "--timeout", "60", "--url", cluster.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90, env=clean_environment(), check=False,
    )
    if not done.stdout:
        return [done.stderr.decode()]
    found = json.loads(done.stdout)
    said = [copy["verdict"] for group in found["shard_groups"] for copy in group["copies"]]
    assert (done.returncode == 0) == (not found["wrong"]), said
    return said


def replica_of(cluster: Cluster, group: str = "sg0"):
    primary = cluster.primary(group)
    return next(node for node in cluster.nodes.values() if node.group == group and node is not primary)


def files(node, folder: str) -> list:
    return sorted((node.data_dir / "groups" / "1" / folder).iterdir())


def flip(path, place: int):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 4]))


def flip_rows(node):
    rows = [path for path in files(node, "segments") if path.suffix == ".rows"]
    assert rows, f"{node.name} has no sealed rows"
    flip(rows[0], 64 + 17)


def flip_log(node):
    """In its oldest record: what is behind it counts, so that it is no torn end."""
    logs = [path for path in files(node, "log") if path.suffix == ".log"]
    flip(logs[0], 64 + 60)


def aside(node):
    return node.data_dir / "groups" / "1.damaged"


def events(node) -> set[str]:
    return {line["event"] for line in map(parsed, node.log().splitlines()) if "event" in line}


def parsed(line: str) -> dict:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return {**entry, **entry.get("fields", {})} if isinstance(entry, dict) else {}


def wait_repaired(cluster: Cluster, node):
    """Set aside, rebuilt, in sync, and nothing is found wrong any more."""
    poll(lambda: aside(node).exists(), f"the copy on {node.name} is set aside", REPAIR_DEADLINE_S)
    cluster.wait_settled(REPAIR_DEADLINE_S)
    poll(lambda: verdicts(cluster) == ["primary", "same"], "clean copies", REPAIR_DEADLINE_S)


def check_whole(cluster: Cluster, incarnations: dict):
    """Every record is there, through every process, and no process was started again."""
    for member in cluster.members.values():
        stats = member.post("/stats", NAMES).params["stats"]
        assert stats["n_live"] == ROWS + 20, member.name
    info = cluster.info()
    assert {node["node"]: node["incarnation"] for node in info["nodes"]} == incarnations


def incarnations(cluster: Cluster) -> dict:
    return {node["node"]: node["incarnation"] for node in cluster.info()["nodes"]}


def cases(*quick: tuple) -> list:
    """Who is damaged, and where; those that are not `quick` run with the slow tests."""
    of_all = [(whose, damage) for whose in ("replica", "primary") for damage in (flip_rows, flip_log)]
    return [
        pytest.param(*case, id=f"{case[0]}-{case[1].__name__}", marks=[] if case in quick else [pytest.mark.slow])
        for case in of_all
    ]


@pytest.mark.parametrize(("whose", "damage"), cases(("replica", flip_rows), ("primary", flip_log)))
def test_damage_under_a_running_node_is_repaired(make_cluster, whose, damage):
    cluster = make_cluster(LAYOUT).start()
    fill(cluster)
    assert verdicts(cluster) == ["primary", "same"]
    before = incarnations(cluster)
    node = replica_of(cluster) if whose == "replica" else cluster.primary("sg0")
    damage(node)
    assert "damaged" in verdicts(cluster)
    wait_repaired(cluster, node)
    assert {"copy_damaged", "copy_out_of_order", "copy_set_aside"} <= events(node)
    assert ("copy_resigns" in events(node)) == (whose == "primary")
    if whose == "primary":
        assert cluster.primary("sg0") is not node
    check_whole(cluster, before)
    metrics = node.get("/metrics").body.decode()
    assert "lavandin_copies_started_over_total 1\n" in metrics and "lavandin_copies_out_of_order 0\n" in metrics


@pytest.mark.parametrize(("whose", "damage"), cases(("replica", flip_log), ("primary", flip_rows)))
def test_damage_under_a_stopped_node_is_repaired(make_cluster, whose, damage):
    cluster = make_cluster(LAYOUT).start()
    fill(cluster)
    node = replica_of(cluster) if whose == "replica" else cluster.primary("sg0")
    cluster.kill(node.name)
    damage(node)
    cluster.spawn(node.name)
    cluster.wait_settled(REPAIR_DEADLINE_S)
    if not aside(node).exists():
        # Rows are looked at when they are needed.
        assert damage is flip_rows and "damaged" in verdicts(cluster)
    wait_repaired(cluster, node)
    check_whole(cluster, incarnations(cluster))


def test_files_that_vanish_are_missed_and_rebuilt(make_cluster):
    cluster = make_cluster(LAYOUT).start()
    fill(cluster)
    before = incarnations(cluster)
    for node in (replica_of(cluster), cluster.primary("sg0")):
        shutil.rmtree(node.data_dir / "groups" / "1")
        poll(lambda node=node: "copy_set_aside" in events(node), "the copy begins anew", REPAIR_DEADLINE_S)
        cluster.wait_settled(REPAIR_DEADLINE_S)
        assert not aside(node).exists(), "there was nothing to set aside"
        check_whole(cluster, before)
    assert verdicts(cluster) == ["primary", "same"]


def test_the_last_copy_goes_on_and_says_so(make_cluster):
    cluster = make_cluster(LAYOUT).start()
    fill(cluster)
    node = cluster.primary("sg0")
    cluster.kill(replica_of(cluster).name)
    poll(lambda: cluster.group("sg0")["in_sync"] == 1, "a set of one", REPAIR_DEADLINE_S)
    flip_log(node)
    assert "damaged" in verdicts(cluster)
    poll(lambda: "last_copy_out_of_order" in events(node), "a sentence about it", REPAIR_DEADLINE_S)
    ids = [ROWS + 1000]
    next(iter(cluster.coordinators.values())).post("/add", {**NAMES, "ids": ids, "vectors": [[2.0] * 8]}).params
    assert not aside(node).exists()
    # The other one comes back, catches up although the log is damaged, and takes over.
    other = replica_of(cluster)
    shutil.rmtree(other.data_dir / "groups")
    cluster.spawn(other.name)
    wait_repaired(cluster, node)
    assert cluster.primary("sg0") is other
    stats = next(iter(cluster.coordinators.values())).post("/stats", NAMES).params["stats"]
    assert stats["n_live"] == ROWS + 21


def test_no_acknowledged_write_is_lost_while_damage_is_repaired(make_cluster):
    """A writer goes on meanwhile, and counts every record at the end."""
    cluster = make_cluster(LAYOUT).start()
    fill(cluster)
    with Writing(cluster) as writing:
        for whose in ("replica", "primary"):
            node = replica_of(cluster) if whose == "replica" else cluster.primary("sg0")
            writing.more()
            flip_rows(node)
            assert "damaged" in verdicts(cluster)
            poll(lambda node=node: aside(node).exists(), "the copy is set aside", REPAIR_DEADLINE_S)
            writing.more()
            cluster.wait_settled(REPAIR_DEADLINE_S)
        writing.more()
    assert writing.slowest_s < 5.0, f"a write took {writing.slowest_s:.2f} s"


VOLUME_BYTES = 200 << 20


@pytest.fixture
def small_volume(tmp_path):
    """A disk that is full soon."""
    volume = tmp_path / "volume"
    volume.mkdir()
    size = ["-o", f"size={VOLUME_BYTES}"]
    mounted = subprocess.run(["mount", "-t", "tmpfs", *size, "tmpfs", str(volume)], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let tests mount a disk")
    yield volume
    subprocess.run(["umount", "-l", str(volume)], check=True)


@pytest.mark.parametrize("whose", ["replica", *(pytest.param(whose, marks=pytest.mark.slow) for whose in ("primary", "last"))])
def test_a_copy_on_a_full_disk_goes_on_when_there_is_space(small_volume, make_cluster, whose):
    cluster = make_cluster(LAYOUT)
    first, second = cluster.nodes.values()
    on_volume = second if whose == "replica" else first
    # its log stays on the other disk
    (small_volume / "data").mkdir()
    on_volume.data_dir.symlink_to(small_volume / "data")
    cluster.start()
    fill(cluster)
    if (cluster.primary("sg0") is on_volume) != (whose != "replica"):
        # a busy machine has made the other one the primary
        present = cluster.primary("sg0")
        cluster.terminate(present.name)
        poll(lambda: cluster.primary("sg0") is not present, "another primary", REPAIR_DEADLINE_S)
        cluster.spawn(present.name)
        cluster.wait_settled(REPAIR_DEADLINE_S)
    if whose == "last":
        cluster.kill(second.name)
        poll(lambda: cluster.group("sg0")["in_sync"] == 1, "a set of one", REPAIR_DEADLINE_S)
    ballast = small_volume / "ballast"
    with open(ballast, "wb") as file, pytest.raises(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    router = next(iter(cluster.coordinators.values()))

    def write_until_full() -> bool:
        vectors = [[3.0] * 8] * 500
        reply = router.connect().post("/upsert", {**NAMES, "ids": list(range(500)), "vectors": vectors})
        assert whose == "last" or reply.status == 200, reply.text
        return "copy_out_of_order" in events(on_volume)

    poll(write_until_full, "a full disk is noticed", REPAIR_DEADLINE_S)
    if whose == "last":
        # the disk has a part of the metadata, too, so that perhaps nobody leads
        poll(lambda: not cluster.group("sg0")["writable"], "it says so", REPAIR_DEADLINE_S)
        assert cluster.group("sg0")["why_not"]
    else:
        poll(lambda: cluster.primary("sg0") is not on_volume, "another primary", REPAIR_DEADLINE_S)
    ballast.unlink()
    poll(lambda: {"space_again", "metadata_stopped"} & events(on_volume), "space is noticed", REPAIR_DEADLINE_S)
    if whose == "last":
        cluster.spawn(second.name)
    cluster.wait_settled(REPAIR_DEADLINE_S)
    assert "copy_set_aside" not in events(on_volume), "nothing was thrown away"
    assert router.post("/stats", NAMES).params["stats"]["n_live"] == ROWS + 20
    assert verdicts(cluster) == ["primary", "same"]

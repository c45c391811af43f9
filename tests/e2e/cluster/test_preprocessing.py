"""Preprocessing on a cluster: all nodes make files, and what was begun ends, whatever nodes die."""

import sys
import urllib.parse
from pathlib import Path

import pyarrow.parquet
import pytest
from node import poll

sys.path.insert(0, str(Path(__file__).parent.parent / "lavender"))

from data import write_shards  # noqa: E402
from feed_api import FeedApi, detail, ok, values  # noqa: E402

SHARDS, ROWS = 30, 10
TOTAL = SHARDS * ROWS
MODULES = Path(__file__).parent.parent / "lavender" / "modules"
# A node that is away is waited for, a file is tried elsewhere, and the chores move meanwhile.
DEADLINE_S = 90.0


def start(members, workers: int):
    """A head and so many workers that may write below the tests' folder, and a dataset whose files all of them have."""
    arguments = ("--modules-dir", MODULES, "--python", sys.executable, "--python-workers", 1, "--file-roots", members.folder)
    nodes = members.start(workers, *arguments)
    for node in nodes:
        write_shards(node.folder / "shardset", SHARDS, ROWS)
    members.dataset, _ = api(nodes[-1]).dataset_of("source", "file://shardset", shards=SHARDS)
    for node in nodes:
        poll(lambda node=node: api(node).function("slow_suffix", "preprocessors"), "the modules of the tests")
    return nodes


def api(node) -> FeedApi:
    return FeedApi(node.port)


def begin(one: FeedApi, dataset: str, target: str, seconds: float = 0.1, **options) -> str:
    """A task with user code that takes so long for a file."""
    slow = {"name": "slow_suffix", "params": {"seconds": seconds, "suffix": "_q"}}
    payload = {"shardset_location": target, "preprocessors": [slow], "export_columns": ["marked"], "batch_size": ROWS}
    return ok(one.post(f"/datasets/{dataset}/preprocess", {**payload, **options}))["task_id"]


def tasks(one: FeedApi) -> dict:
    return {task["task_id"]: task for task in ok(one.get("/background-tasks/"))}


def wait_for_end(one: FeedApi, task: str):
    def is_over() -> bool:
        shown = tasks(one).get(task)
        assert shown is None or shown["status"] not in ("failed", "aborted"), shown
        return shown is None

    poll(is_over, "the end of the task", DEADLINE_S)


def written(folder) -> list:
    return sorted(folder.glob("shard.*.parquet")) if folder.exists() else []


def check_whole(folder):
    """Every file is there, whole."""
    files = [pyarrow.parquet.read_table(path).to_pylist() for path in written(folder)]
    assert files == [[{"id": shard * ROWS + row, "marked": f"{shard * ROWS + row}_q"} for row in range(ROWS)] for shard in range(SHARDS)]


def head_of(nodes):
    """The node that does the chores."""

    def found():
        shown = {one["node_url"]: one["is_head"] for one in ok(api(nodes[0]).get("/cluster/nodes"))}
        return next((node for node in nodes if shown.get(node.url)), None)

    return poll(found, "a node that does the chores")


def test_all_nodes_make_files_and_the_directory_becomes_a_shardset(members):
    nodes = start(members, 2)
    one, other = api(nodes[1]), api(nodes[2])
    task = begin(one, members.dataset, "file://out", register=True)
    assert task in tasks(other), "any node tells of it as soon as it is begun"
    wait_for_end(other, task)
    shares = [len(written(node.folder / "out")) for node in nodes]
    assert sum(shares) == SHARDS and min(shares) >= SHARDS // 10, shares
    made = [shardset for shardset in ok(other.get(f"/datasets/{members.dataset}"))["shardsets"] if shardset["location"] == "file://out"]
    assert [shardset["shard_count"] for shardset in made] == [SHARDS]
    joined = api(nodes[0]).iterate(members.dataset, batch_size=ROWS)
    assert values(api(nodes[0]).drain(joined), "marked") == [f"{number}_q" for number in range(TOTAL)]

    # Once more, over what is there: each file where it lies, and the shardset is synced.
    again = begin(other, members.dataset, "file://out", seconds=0.01, register=True, overwrite=True)
    assert again == task
    wait_for_end(one, task)
    assert [len(written(node.folder / "out")) for node in nodes] == shares
    joined = other.iterate(members.dataset, batch_size=ROWS)
    assert values(other.drain(joined), "marked") == [f"{number}_q" for number in range(TOTAL)]


@pytest.mark.parametrize("victim", ["asked", "chores"])
def test_a_task_ends_although_a_node_dies(members, victim):
    nodes = start(members, 2)
    # On one machine nodes can share a folder, so that nothing is lost with a node that never comes back.
    out = members.folder / "out"
    chores = head_of(nodes)
    others = [node for node in nodes if node is not chores]
    killed = chores if victim == "chores" else others[0]
    task = begin(api(others[0]), members.dataset, f"file://{out}", seconds=0.4, register=True)
    poll(lambda: len(written(out)) >= SHARDS // 6, "the first files", DEADLINE_S)
    killed.kill()
    left = next(node for node in others if node is not killed)
    assert len(written(out)) < SHARDS, "the files are so few that all are there"
    wait_for_end(api(left), task)
    check_whole(out)
    iteration = api(left).iterate(members.dataset, batch_size=ROWS)
    assert values(api(left).drain(iteration), "marked") == [f"{number}_q" for number in range(TOTAL)]


def test_a_task_goes_on_when_all_nodes_are_back(members):
    nodes = start(members, 1)
    out = members.folder / "out"
    task = begin(api(nodes[1]), members.dataset, f"file://{out}", seconds=0.3)
    poll(lambda: len(written(out)) >= SHARDS // 6, "the first files", DEADLINE_S)
    for node in nodes:
        node.kill()
    before = {path.name: path.stat().st_mtime_ns for path in written(out)}
    assert len(before) < SHARDS, "the files are so few that all are there"
    for node in nodes:
        node.spawn()
    members.wait_whole("worker1", 2)
    wait_for_end(api(nodes[0]), task)
    check_whole(out)
    assert {path.name: path.stat().st_mtime_ns for path in written(out) if path.name in before} == before


def test_a_task_is_aborted_through_any_node_and_failures_are_told_by_all(members):
    nodes = start(members, 1)
    one, other = api(nodes[0]), api(nodes[1])
    task = begin(one, members.dataset, f"file://{members.folder / 'aborted'}", seconds=1.0)
    assert ok(other.post(f"/background-tasks/{urllib.parse.quote(task, safe='')}/abort")) is None
    assert [tasks(asked)[task]["status"] for asked in (one, other)] == ["aborted", "aborted"]
    # It can be begun again, and what fails in one node's user code fails the task everywhere.
    failing = {"preprocessors": [{"name": "raise_on", "params": {"every": TOTAL, "at": 70}}], "export_columns": ["id"]}
    task = begin(other, members.dataset, f"file://{members.folder / 'failed'}", **failing)
    poll(lambda: tasks(one)[task]["status"] == "failed", "the failure", DEADLINE_S)
    assert tasks(other)[task]["status"] == "failed"
    for node in nodes:
        node.stop()
        node.spawn()
        poll(node.is_ready, "a node that is back")
    members.wait_whole("worker1", 2)
    one, other = api(nodes[0]), api(nodes[1])
    assert [tasks(asked)[task]["status"] for asked in (one, other)] == ["failed", "failed"], "that outlives restarts"
    refused = one.post(f"/datasets/{members.dataset}/preprocess", {"shardset_location": "file:///nowhere/out", "preprocessors": [], "export_columns": [], "batch_size": 1})
    assert refused.status in (400, 403) and "nowhere" in detail(refused), refused.text

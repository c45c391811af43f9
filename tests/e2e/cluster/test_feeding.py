"""Datasets on a cluster of a head and workers, each with a folder of its own as if it ran on a machine of its own.

A relative location is relative to a node's own folder, so that one location names different folders on different nodes.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from node import binary, clean_environment, poll
from trainer import Job, at_once

sys.path.insert(0, str(Path(__file__).parent.parent / "lavender"))

from data import order, row, write_shards  # noqa: E402
from feed_api import FeedApi, detail, in_progress, indices, is_end, ok, unique, values  # noqa: E402
from lavender_data.client import LavenderDataLoader  # noqa: E402

SHARDS, ROWS = 6, 10
TOTAL = SHARDS * ROWS
LOCATION = "file://shardset"
GOING_ON_S = 30.0
# After a return of the only other node.
RETURN_S = 5.0


def api(member) -> FeedApi:
    return FeedApi(member.port)


def spread_shards(nodes, kind: str = "csv"):
    """The document's directory example: each node has a part of the files, in one and the same place."""
    folder = nodes[0].folder.parent / "all"
    write_shards(folder, SHARDS, ROWS, kind)
    per_node = SHARDS // len(nodes)
    for number, node in enumerate(nodes):
        (node.folder / "shardset").mkdir()
        for shard in range(number * per_node, (number + 1) * per_node):
            name = f"shard.{shard:05d}.{kind}"
            shutil.copyfile(folder / name, node.folder / "shardset" / name)


def copied_shards(nodes, kind: str = "parquet"):
    """All files on all nodes."""
    for node in nodes:
        write_shards(node.folder / "shardset", SHARDS, ROWS, kind)


def test_what_one_node_is_told_all_nodes_know(members):
    head, worker = nodes = members.start(1)
    copied_shards(nodes)
    for one, other in [(head, worker), (worker, head)]:
        here, there = api(one), api(other)
        name = unique("shared")
        dataset = here.create_dataset(name)["id"]
        assert [found["id"] for found in ok(there.get(f"/datasets/?name={name}"))] == [dataset]
        shardset = ok(there.post(f"/datasets/{dataset}/shardsets", {"location": LOCATION, "columns": []}))["id"]
        assert [found["id"] for found in ok(here.get(f"/datasets/{dataset}"))["shardsets"]] == [shardset]
        assert here.wait_synced(dataset, shardset, SHARDS)["total_samples"] == TOTAL
        assert ok(there.get(f"/datasets/{dataset}/shardsets/{shardset}"))["shard_count"] == SHARDS
        assert len(ok(there.get(f"/datasets/{dataset}/shardsets/{shardset}/shards?offset=0&limit=10"))["shards"]) == SHARDS
        iteration = here.iterate(dataset, batch_size=10)
        assert iteration in [found["id"] for found in ok(there.get(f"/iterations/?dataset_id={dataset}"))]
        assert there.progress(iteration)["total"] == TOTAL
        ok(here.delete(f"/datasets/{dataset}"))
        assert there.get(f"/datasets/{dataset}").status == 404
        assert there.get(f"/iterations/{iteration}").status == 404
        assert ok(there.get(f"/datasets/?name={name}")) == []


def test_different_files_on_two_nodes_deliver_all_six_shards(members):
    head, worker = nodes = members.start(1)
    spread_shards(nodes)
    dataset, shardset = api(worker).dataset_of("six", LOCATION, shards=SHARDS)
    for node in nodes:
        iteration = api(node).iterate(dataset, batch_size=7, shuffle=True, shuffle_seed=3, shuffle_block_size=2)
        found = [int(value) for value in values(api(node).drain(iteration))]
        assert found == order([ROWS] * SHARDS, 3, 2)

    # A file that no node has any more is told before the first batch, with the nodes that were asked.
    gone = worker.folder / "shardset" / "shard.00004.csv"
    text = gone.read_bytes()
    gone.unlink()
    for node in nodes:
        refused = detail(api(node).create_iteration(dataset, batch_size=8))
        assert "shard.00004.csv is on no node as it was synced" in refused
        assert "missing here" in refused and "missing on http://127.0.0.1" in refused
    # One that came back is found, wherever it is.
    (head.folder / "shardset" / gone.name).write_bytes(text)
    assert len(values(api(worker).drain(api(worker).iterate(dataset, batch_size=8)))) == TOTAL


def test_a_file_that_differs_between_nodes_is_named(members):
    head, worker = nodes = members.start(1)
    copied_shards(nodes)
    other = head.folder / "other"
    write_shards(other, 1, ROWS + 1)
    shutil.copyfile(other / "shard.00000.parquet", worker.folder / "shardset" / "shard.00002.parquet")
    dataset = api(head).create_dataset(unique("two"))["id"]
    refused = detail(api(worker).post(f"/datasets/{dataset}/shardsets", {"location": LOCATION, "columns": []}))
    assert "shard.00002.parquet differs between nodes" in refused
    assert head.url in refused and worker.url in refused


def test_one_rank_through_every_node_in_turn(members):
    nodes = members.start(2)
    copied_shards(nodes)
    apis = [api(node) for node in nodes]
    dataset, _ = apis[1].dataset_of("turns", LOCATION, shards=SHARDS)
    iteration = apis[2].iterate(dataset, batch_size=4)
    found = []
    for turn in itertools.count():
        batch = apis[turn % 3].next_batch(iteration)
        if batch is None:
            break
        found += values([batch])
        apis[(turn + 1) % 3].complete_all(iteration, batch)
        progress = apis[(turn + 2) % 3].progress(iteration)
        assert progress["current"] == progress["completed"] == len(found)
    assert found == list(range(TOTAL))
    assert all(is_end(one.next(iteration)) for one in apis)


def test_two_ranks_on_two_nodes_get_everything_once(members):
    nodes = members.start(1)
    copied_shards(nodes)
    apis = [api(node) for node in nodes]
    dataset, _ = apis[0].dataset_of("ranks", LOCATION, shards=SHARDS)
    made = [one.iterate(dataset, batch_size=3, rank=rank, world_size=2) for rank, one in enumerate(apis)]
    assert made[0] == made[1]
    found, ended = [], set()
    while len(ended) < 2:
        for rank, one in enumerate(apis):
            batch = one.next_batch(made[0], rank) if rank not in ended else None
            if batch is None:
                ended.add(rank)
                continue
            found += values([batch])
            one.complete_all(made[0], batch)
    assert sorted(found) == list(range(TOTAL))
    progress = apis[0].progress(made[0])
    assert (progress["completed"], in_progress(progress)) == (TOTAL, [])


def test_a_pushback_through_one_node_is_heard_by_the_other(members):
    nodes = members.start(1)
    copied_shards(nodes)
    head, worker = (api(node) for node in nodes)
    dataset, _ = head.dataset_of("pushed", LOCATION, shards=SHARDS)
    iteration = worker.iterate(dataset, batch_size=5)
    first = [indices(worker.next_batch(iteration)) for _ in range(3)]
    head.pushback(iteration)
    assert [indices(worker.next_batch(iteration)) for _ in range(3)] == first
    assert indices(head.next_batch(iteration)) == [15, 16, 17, 18, 19]


@pytest.mark.parametrize("killed", ["head", "worker1", "worker2"])
def test_an_epoch_goes_on_when_a_node_dies(members, killed):
    """The client of the node that is killed goes on through another one: every sample once, in the planned order."""
    nodes = members.start(2)
    copied_shards(nodes)
    victim = members[killed]
    others = [node for node in nodes if node is not victim]
    dataset, _ = api(victim).dataset_of("epoch", LOCATION, shards=SHARDS)
    iteration = api(victim).iterate(dataset, batch_size=4, shuffle=True, shuffle_seed=9, shuffle_block_size=2)
    found = []
    for turn in range(5):
        batch = api(victim).next_batch(iteration)
        found += values([batch])
        api(victim).complete_all(iteration, batch)
    victim.kill()

    def taken(call):
        """What a client does: it asks again until there is an answer."""
        outcome = poll(lambda: answer(call), "an answer of a surviving node", GOING_ON_S)
        return outcome[0]

    for turn in itertools.count():
        one = others[turn % 2]
        reply = taken(lambda: api(one).next(iteration))
        if is_end(reply):
            break
        batch = api(one).next_batch(iteration) if reply.status != 200 else decoded(reply)
        found += values([batch])
        for index in indices(batch):
            taken(lambda index=index: api(one).complete(iteration, index))
    assert found == order([ROWS] * SHARDS, 9, 2)
    progress = api(others[0]).progress(iteration)
    assert (progress["completed"], in_progress(progress)) == (TOTAL, [])


def decoded(reply):
    from samples import decode

    return decode(reply.body)


def answer(call):
    """A list of the reply, unless the node or its group cannot answer at the moment."""
    try:
        reply = call()
    except OSError:
        return None
    return None if reply.status in (429, 503, 504) else [reply]


def kill_during_epochs(members, victims, rounds: int):
    """Each round an epoch of two ranks, in the middle of which a node is killed and started again."""
    names = list(members.all)
    everyone = [(member.port, None) for member in members.all.values()]
    nodes = list(members.all.values())
    for node in nodes:
        write_shards(node.folder / "shardset", 30, 20)
    dataset, _ = api(nodes[-1]).dataset_of("rounds", LOCATION, shards=30)
    worst, returns = 0.0, []
    for number in range(rounds):
        victim = members[victims[number % len(victims)]]
        iteration = api(nodes[0]).iterate(
            dataset, batch_size=6, shuffle=True, shuffle_seed=number, shuffle_block_size=2, rank=0, world_size=2
        )
        assert api(nodes[-1]).iterate(
            dataset, batch_size=6, shuffle=True, shuffle_seed=number, shuffle_block_size=2, rank=1, world_size=2
        ) == iteration
        # Of the ranks one is at the victim.
        order_of_nodes = sorted(everyone, key=lambda node: node[0] != victim.port)
        job = Job(iteration, order_of_nodes, 2).start()
        poll(lambda job=job: sum(len(rank.batches) for rank in job.ranks) > 10 + number % 20, "an epoch under way", 60)
        victim.kill()
        if len(names) > 2:
            job.wait(180)
            victim.start()
        else:
            # Until the other node has stopped what it cannot do alone, if there is something.
            time.sleep(number % 6)
            victim.start()
            back, before = time.monotonic(), sum(len(rank.batches) for rank in job.ranks)
            poll(lambda job=job, before=before: went_on(job, before), "more batches", 60)
            returns.append(time.monotonic() - back)
            job.wait(180)
        wrong = job.verdict(600)
        assert not wrong, (number, victim.name, wrong)
        worst = max([worst] + [rank.longest_s for rank in job.ranks])
        progress = poll(lambda: progress_of(nodes, iteration), "the progress", 60)
        assert (progress["completed"], progress["inprogress"]) == (600, []), (number, progress)
        members.wait_whole(names[0], len(names))
        print(f"round {number}: {victim.name}, {[len(rank.batches) for rank in job.ranks]} batches, {job.looks} looks, "
              f"longest wait {max(rank.longest_s for rank in job.ranks):.2f} s")
    print(f"longest wait of all rounds {worst:.2f} s")
    if returns:
        print(f"longest wait after a return {max(returns):.2f} s")
        assert max(returns) < RETURN_S, returns


def went_on(job, before: int) -> bool:
    over = not any(rank.is_alive() for rank in job.ranks)
    return over or sum(len(rank.batches) for rank in job.ranks) > before


def progress_of(nodes, iteration):
    for node in nodes:
        try:
            reply = api(node).get(f"/iterations/{iteration}/progress")
        except OSError:
            continue
        if reply.status == 200:
            return reply.json
    return None


def test_epochs_end_whole_whatever_node_dies(members):
    members.start(2)
    kill_during_epochs(members, ["worker1", "head", "worker2"], int(os.environ.get("LAVANDIN_FEED_ROUNDS", "3")))


def test_with_one_worker_an_epoch_waits_for_the_node_that_is_away(members):
    members.start(1)
    kill_during_epochs(members, ["worker1", "head"], int(os.environ.get("LAVANDIN_FEED_ROUNDS", "2")))


def test_a_sync_ends_although_the_node_that_runs_it_dies(members):
    nodes = members.start(2)
    for node in nodes:
        write_shards(node.folder / "shardset", 600, 20, "csv")
    (head,) = [node for node in nodes if {one["node_url"]: one["is_head"] for one in ok(api(nodes[1]).get("/cluster/nodes"))}[node.url]]
    others = [node for node in nodes if node is not head]
    one, two = api(others[0]), api(others[1])
    dataset = one.create_dataset(unique("moved"))["id"]
    # Another node runs the sync than the one that is asked; the third one is asked how far it is.
    shardset = ok(one.post(f"/datasets/{dataset}/shardsets", {"location": LOCATION, "columns": []}))["id"]
    status = ok(two.get(f"/datasets/{dataset}/shardsets/{shardset}/sync"))
    assert status["status"] not in ("completed", "failed"), "the files are so few that the sync is over"
    head.kill()
    for asked in (one, two):
        assert asked.wait_synced(dataset, shardset, 600)["total_samples"] == 12_000
    iteration = two.iterate(dataset, batch_size=3_000)
    assert len(values(two.drain(iteration))) == 12_000


def test_each_node_reads_its_own_files_for_a_sync(members):
    nodes = members.start(2)
    folder = members.folder / "all"
    write_shards(folder, 90, 200)
    for number, path in enumerate(sorted(folder.iterdir())):
        target = nodes[number % 3].folder / "shardset"
        target.mkdir(exist_ok=True)
        shutil.copyfile(path, target / path.name)
    one = api(nodes[0])
    dataset, shardset = one.dataset_of("read", LOCATION, shards=90)
    # Where one node read them all, it copied 60 of them.
    copies = [path for node in nodes for path in (node.data_dir / "file-cache").rglob("*") if path.is_file()]
    assert len(copies) < 30, f"{len(copies)} of 90 files were copied"
    found = ok(one.get(f"/datasets/{dataset}/statistics"))["statistics"]["id"]
    assert (found["min"], found["max"]) == (0, 90 * 200 - 1), found
    # What they found is as good as if one had: samples are read, and joined by their ids.
    iteration = api(nodes[1]).iterate(dataset, batch_size=1_000)
    assert sorted(values(api(nodes[1]).drain(iteration), "id")) == list(range(90 * 200))


def client_command(node, *arguments) -> str:
    command = [binary(), "client", "--api-url", node.url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_syncs_through_either_node_by_the_command_line(members):
    head, worker = nodes = members.start(1)
    copied_shards(nodes)
    dataset, shardset = api(head).dataset_of("command", LOCATION, shards=SHARDS)
    for number, node in enumerate(nodes):
        write_shards(node.folder / "more", 1, 5, make=lambda row_number: {**row(row_number), "id": TOTAL + row_number})
        (node.folder / "more" / "shard.00000.parquet").rename(node.folder / "shardset" / f"shard.1000{number}.parquet")
        said = client_command(node, "shardsets", "sync", "--dataset-id", dataset, "--shardset-id", shardset)
        assert json.loads(said)["id"] == shardset
        api(node).wait_synced(dataset, shardset, SHARDS + number + 1)
    assert api(head).progress(api(worker).iterate(dataset, batch_size=9))["total"] == TOTAL + 10


def test_the_published_client_with_keys_through_head_and_worker(members):
    head, worker = nodes = members.start(1)
    copied_shards(nodes)
    key = ok(api(worker).post("/keys", {"note": "for clients"}))["key"]
    # A key counts everywhere as soon as it is made.
    assert api(head).get("/datasets/").status == 401
    keyed = [FeedApi(node.port, key) for node in nodes]
    dataset, _ = keyed[0].dataset_of("published", LOCATION, shards=SHARDS)
    name = ok(keyed[1].get(f"/datasets/{dataset}"))["name"]

    for node in nodes:
        loader = LavenderDataLoader(dataset_name=name, batch_size=7, api_url=node.url, api_key=key)
        assert values(list(loader)) == list(range(TOTAL)), "and the end is the end"

    shuffled = {"shuffle": True, "shuffle_seed": 1, "shuffle_block_size": 1}
    two = {"dataset_name": name, "batch_size": 4, "world_size": 2, "api_key": key, **shuffled}
    found = at_once(lambda rank: LavenderDataLoader(rank=rank, api_url=nodes[rank].url, **two), 2)
    assert sorted(found[0] + found[1]) == list(range(TOTAL))

    # What ends a key ends it everywhere.
    ok(keyed[1].delete(f"/keys/{key.split(':')[0]}"))
    assert [FeedApi(node.port, key).get("/datasets/").status for node in nodes] == [200, 200], "nobody needs a key any more"


def with_workers(members, workers: int, *arguments):
    """A head and so many workers whose user code runs in one process each."""
    modules = Path(__file__).parent.parent / "lavender" / "modules"
    arguments = ("--modules-dir", modules, "--python", sys.executable, "--python-workers", 1, *arguments)
    return members.start(workers, *arguments)


def feeding(node) -> dict:
    return {told["uri"]: told for told in ok(api(node).get("/cluster/feeding"))}


SLOW = [{"name": "slow", "params": {"seconds": 0.03}}]


def samples(batches: list) -> list:
    return [index for batch in batches for index in indices(batch)]


def test_nodes_put_batches_through_user_code_for_each_other(members):
    head, worker = nodes = with_workers(members, 1)
    copied_shards(nodes)
    one = api(worker)
    dataset, _ = one.dataset_of("helped", LOCATION, shards=SHARDS)
    poll(lambda: one.function(SLOW[0]["name"], "preprocessors"), "the modules of the tests")
    shuffled = {"shuffle": True, "shuffle_seed": 4, "shuffle_block_size": 3}
    iteration = one.iterate(dataset, batch_size=1, preprocessors=SLOW, **shuffled)
    assert samples(one.drain(iteration)) == order([ROWS] * SHARDS, 4, 3)
    told = feeding(head)
    assert told[worker.url]["made_by_others"] == told[head.url]["made_for_others"] >= TOTAL // 4
    rank = told[worker.url]["ranks"][0]
    assert (rank["iteration"], rank["rank"], rank["why_waiting"]) == (iteration, 0, "the rank has everything")
    assert rank["batches_per_second"] > 0
    shown = subprocess.run([binary(), "cluster", "status", "--api-url", head.url], capture_output=True, text=True, timeout=30)
    assert iteration in shown.stdout and "the rank has everything" in shown.stdout, shown

    # A helper that dies costs nothing but its help, and one that is away is told as such.
    again = one.iterate(dataset, batch_size=1, preprocessors=SLOW, shuffle=True, shuffle_seed=5, shuffle_block_size=2)
    found = samples([one.next_batch(again) for _ in range(10)])
    head.kill()
    told = {node["uri"]: node for node in ok(one.get("/cluster/feeding"))}
    assert told[head.url]["error"] and told[head.url]["ranks"] == []
    head.start()
    members.wait_whole("worker1", 2)
    found += samples(one.drain(again))
    assert found == order([ROWS] * SHARDS, 5, 2)

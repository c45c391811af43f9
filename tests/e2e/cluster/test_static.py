"""Static mode on a cluster: what each rank gets, and in which order, is fixed, whatever nodes die and however many there are."""

import os
import sys
from pathlib import Path

import pytest
from node import poll
from trainer import Job, at_once

sys.path.insert(0, str(Path(__file__).parent.parent / "lavender"))

from data import order, write_shards  # noqa: E402
from feed_api import FeedApi, detail, indices, ok  # noqa: E402
from lavender_data.client import LavenderDataLoader  # noqa: E402
from samples import decode  # noqa: E402

SHARDS, ROWS = 25, 20
TOTAL = SHARDS * ROWS
# Of all ranks together, so that the order over all ranks is the same for all numbers of them.
GLOBAL_BATCH = 12
RANKS = (1, 2, 4)
NAMES = ["head", "worker1", "worker2"]


@pytest.fixture
def cluster(members):
    """Three nodes and a dataset whose files all of them have."""
    for node in members.start(2):
        write_shards(node.folder / "shardset", SHARDS, ROWS)
    members.dataset, _ = api(members["worker1"]).dataset_of("fixed", "file://shardset", shards=SHARDS)
    return members


def api(member) -> FeedApi:
    return FeedApi(member.port)


def begin(one: FeedApi, dataset: str, ranks: int, **options) -> str:
    """An iteration that nobody else has begun."""
    shuffled = {"shuffle": True, "shuffle_seed": 7, "shuffle_block_size": 3}
    fixed = {"mode": "static", "world_size": ranks, "batch_size": GLOBAL_BATCH // ranks, "wait_participant_threshold": 0}
    return one.iterate(dataset, **{**shuffled, **fixed, **options})


def sequences(one: FeedApi, iteration: str, ranks: int) -> list[list[list[int]]]:
    """What each rank gets where nothing goes wrong."""
    return [[indices(batch) for batch in one.drain(iteration, rank)] for rank in range(ranks)]


def over_all_ranks(of_ranks: list) -> list[int]:
    steps = zip(*of_ranks, strict=True)
    return [index for step in steps for batch in step for index in batch]


def test_no_death_changes_what_a_rank_gets(cluster):
    """Each round a node dies in the middle of an epoch; clients go on through others, with and without naming their step."""
    nodes = [cluster[name] for name in NAMES]
    rounds = int(os.environ.get("LAVANDIN_FEED_ROUNDS", "4"))
    planned, longest = {}, 0.0
    for number in range(rounds):
        ranks, victim, by_step = RANKS[number % 3], nodes[number // 2 % 3], number % 2 == 0
        begun_at = api(nodes[number % 3])
        if ranks not in planned:
            planned[ranks] = sequences(begun_at, begin(begun_at, cluster.dataset, ranks), ranks)
            assert over_all_ranks(planned[ranks]) == order([ROWS] * SHARDS, 7, 3)
        iteration = begin(begun_at, cluster.dataset, ranks)
        # Of the ranks one is at the victim.
        places = sorted([(node.port, None) for node in nodes], key=lambda place, port=victim.port: place[0] != port)
        job = Job(iteration, places, ranks, by_step=by_step).start()
        middle = len(planned[ranks][0]) * (1 + number % 3) // 4
        poll(lambda job=job, middle=middle: len(job.ranks[0].batches) >= middle, "an epoch under way", 60)
        victim.kill()
        job.wait(180)
        victim.start()
        assert not job.verdict(TOTAL), (number, victim.name, job.verdict(TOTAL))
        found = [rank.batches for rank in job.ranks]
        assert found == planned[ranks], (number, victim.name, by_step)
        longest = max([longest] + [rank.longest_s for rank in job.ranks])
        moves = sum(rank.moves for rank in job.ranks)
        print(f"round {number}: {victim.name}, {ranks} ranks, by_step {by_step}, {moves} moves, {job.looks} looks")
        cluster.wait_whole("head", len(NAMES))
    print(f"{rounds} rounds, the same sequences, longest wait {longest:.2f} s")


def test_an_epoch_goes_on_at_a_cursor_with_other_nodes_and_ranks(cluster):
    head = api(cluster["head"])
    whole = sequences(head, begin(head, cluster.dataset, 2), 2)
    found, cursor = [], None
    # So many steps by so many ranks, and what happens to a node then.
    for ranks, steps, change in [(2, 9, "kill"), (4, 20, "start"), (1, None, None)]:
        more = {} if cursor is None else {"cursor": cursor}
        iteration = begin(head, cluster.dataset, ranks, **more)
        told = ok(head.get(f"/iterations/{iteration}/cursor?steps={steps or 0}"))
        for step in range(told["steps"] if steps is None else steps):
            for rank in range(ranks):
                reply = head.next(iteration, rank)
                assert reply.headers["x-lavandin-step"] == str(step)
                found += indices(decode(reply.body))
        if steps is None:
            assert ok(head.get(f"/iterations/{iteration}"))["cursor"] == cursor
            break
        cursor = reply.headers["x-lavandin-cursor"]
        assert (told["cursor"], told["place"]) == (cursor, len(found))
        getattr(cluster["worker2"], change)()
    assert found == over_all_ranks(whole)


def test_the_published_client_reads_its_share_from_two_nodes(cluster):
    nodes = [cluster["head"], cluster["worker2"]]
    one = api(nodes[0])
    planned = [[index for batch in rank for index in batch] for rank in sequences(one, begin(one, cluster.dataset, 2), 2)]
    iteration = begin(one, cluster.dataset, 2)
    found = at_once(lambda rank: LavenderDataLoader(iteration_id=iteration, rank=rank, api_url=nodes[rank].url), 2)
    assert found == planned


def test_what_is_wrong_is_said(cluster):
    one = api(cluster["worker1"])
    refused = one.create_iteration(cluster.dataset, mode="static", batch_size=4)
    assert (refused.status, "needs world_size" in detail(refused)) == (400, True)
    refused = one.create_iteration(cluster.dataset, batch_size=4, cursor="lvc1-00")
    assert (refused.status, "mode" in detail(refused)) == (400, True)
    refused = one.create_iteration(cluster.dataset, mode="static", world_size=1, batch_size=4, cursor="lvc1-00")
    assert (refused.status, "damaged" in detail(refused)) == (400, True)
    iteration = begin(one, cluster.dataset, 2, ending="pad")
    shown = ok(one.get(f"/iterations/{iteration}"))
    assert (shown["mode"], shown["ending"]) == ("static", "pad")
    refused = one.next(iteration, 2)
    assert (refused.status, "rank 2" in detail(refused)) == (400, True)
    refused = one.next(iteration, 0, step=-1)
    assert refused.status in (400, 422), refused.text
    refused = one.get(f"/iterations/{iteration}/cursor?steps=999")
    assert (refused.status, "more than" in detail(refused)) == (400, True)

"""One test for each defect of the published server that a server can cause, numbered as in the study of that server.

19 (a main module that may be imported again) and 20 (`__del__` after an error) lie in the client alone; of 5 and 18 the
client's part does: completions that it never sends, and its reading of half-written shared memory. 14 concerns a cluster; here
is its half that one node can show. 18 is in test_client.py, where the client fetches ahead.
"""

import datetime
import itertools
import os
import threading
import time
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import pytest
from data import location, order, row, tag, write_parquet, write_shards
from feed_api import detail, in_progress, indices, is_end, ok, unique, values
from feeder import published, still_running, wait_ended
from node import poll
from samples import CURRENT, INDICES, decode

SOON_S = 10.0


def named(name: str, **params) -> list[dict]:
    return [{"name": name, "params": params}]


@pytest.mark.published(fails="defect 1")
@pytest.mark.parametrize("shuffle", [{}, {"shuffle": True, "shuffle_seed": 1, "shuffle_block_size": 2}])
def test_defect_01_a_second_epoch_is_not_empty(api, dataset, shuffle):
    made = []
    for _ in range(3):
        iteration = api.iterate(dataset[0], batch_size=10, **shuffle)
        assert values(api.drain(iteration)) == order([10] * 10, shuffle.get("shuffle_seed"), 2 if shuffle else 1)
        made.append(iteration)
    assert len(set(made)) == 3


@pytest.mark.published(fails="defect 1")
def test_defect_01_a_second_epoch_of_two_ranks_is_not_empty(api, dataset):
    for _ in range(2):
        (iteration,) = {api.iterate(dataset[0], batch_size=10, rank=rank, world_size=2) for rank in (0, 1)}
        taken = [[], []]
        for _, rank in itertools.product(range(5), (0, 1)):
            taken[rank] += api.next_batch(iteration, rank)["id"]
        assert sorted(taken[0] + taken[1]) == list(range(100))
        assert is_end(api.next(iteration, 0)) and is_end(api.next(iteration, 1))


@pytest.mark.published(fails="defect 2")
def test_defect_02_a_join_does_not_stay_in_memory(api, dataset, tmp_path):
    features = write_shards(tmp_path / "features", make=tag, keep=lambda number: number % 2 == 0)
    feature = api.create_shardset(dataset[0], features, shards=10)["id"]
    ok(api.put(f"/datasets/{dataset[0]}/shardsets/{dataset[1]}", {"is_main": True}))
    joined = api.iterate(dataset[0], shardsets=[dataset[1], feature], batch_size=5)
    assert len(values(api.drain(joined), "tag")) == 50
    for _ in range(2):
        alone = api.iterate(dataset[0], shardsets=[dataset[1]], batch_size=7)
        batches = api.drain(alone)
        assert values(batches) == list(range(100))
        assert all(list(batch) == [*row(0), INDICES, CURRENT] for batch in batches)
        ok(api.delete(f"/datasets/{dataset[0]}/shardsets/{feature}"))
        feature = api.create_shardset(dataset[0], features, shards=10)["id"]


@pytest.mark.published(fails="defect 3")
@pytest.mark.parametrize("batch_size", [7, 99, 101])
def test_defect_03_the_last_short_batch_is_delivered(api, dataset, batch_size):
    iteration = api.iterate(dataset[0], batch_size=batch_size)
    batches = api.drain(iteration)
    assert [len(batch["id"]) for batch in batches[:-1]] == [batch_size] * (100 // batch_size)
    assert values(batches) == list(range(100))


@pytest.mark.published(skip="it has no such option")
def test_defect_03_unless_it_is_to_be_dropped(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=7, drop_last=True)
    batches = api.drain(iteration)
    assert [len(batch["id"]) for batch in batches] == [7] * 14
    for batch in batches:
        api.complete_all(iteration, batch)
    progress = api.progress(iteration)
    assert progress["inprogress"] == [] and progress["completed"] == 98


@pytest.mark.published(fails="defect 4")
@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_defect_04_a_categorizer_loses_nothing(api, dataset, batch_size):
    iteration = api.iterate(dataset[0], batch_size=batch_size, categorizer={"name": "remainder", "params": {"of": 3}})
    batches = api.drain(iteration)
    assert sorted(values(batches)) == list(range(100))
    for batch in batches:
        api.complete_all(iteration, batch)
    assert api.progress(iteration)["completed"] == 100


@pytest.mark.published(fails="defect 4")
def test_defect_04_not_after_a_pushback_either(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=8, categorizer={"name": "parity", "params": {}})
    done = []
    for _ in range(3):
        batch = api.next_batch(iteration)
        api.complete_all(iteration, batch)
        done += batch["id"]
    api.next_batch(iteration)
    api.pushback(iteration)
    batches = api.drain(iteration)
    assert all(len({number % 2 for number in batch["id"]}) == 1 for batch in batches)
    assert sorted(done + values(batches)) == list(range(100))


@pytest.mark.published(fails="defects 3 and 9")
def test_defect_05_all_completions_that_are_sent_count_at_the_end(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=7, filters=named("uid_mod", mod=2))
    batches = api.drain(iteration)
    assert len(api.progress(iteration)["inprogress"]) == 50
    for batch in batches:
        api.complete_all(iteration, batch)
    progress = api.progress(iteration)
    found = {name: progress[name] for name in ("total", "current", "completed", "filtered", "failed", "inprogress")}
    assert found == {"total": 100, "current": 100, "completed": 50, "filtered": 50, "failed": 0, "inprogress": []}
    for batch in batches[:2]:
        api.complete_all(iteration, batch)
    assert api.progress(iteration) == progress, "a completion that is sent again changes nothing"
    api.pushback(iteration)
    assert is_end(api.next(iteration)), "what is done is not given again"


@pytest.mark.published(fails="defect 6")
def test_defect_06_arrays_of_any_memory_order_arrive_whole(api, dataset):
    table = numpy.arange(12, dtype=numpy.int64).reshape(3, 4)
    batch = api.next_batch(api.iterate(dataset[0], batch_size=2, preprocessors=named("transposed")))
    assert (batch["turned"] == table.T).all() and batch["turned"].shape == (4, 3)
    assert (batch["striped"] == table[:, ::2]).all()
    assert (batch["backwards"] == table[::-1]).all()


@pytest.mark.published(fails="defect 6")
def test_defect_06_numpy_scalars_and_times_can_be_sent(api, dataset):
    batch = api.next_batch(api.iterate(dataset[0], batch_size=2, preprocessors=named("scalars")))
    assert (batch["count"], batch["share"], batch["yes"]) == (3, 0.5, True)
    assert batch["means"] == [1.5, 2.5]
    assert "2026-01-02" in str(batch["when"]) and "03:04:05" in str(batch["when"])


@pytest.mark.published(fails="defect 6")
def test_defect_06_timestamp_columns_can_be_sent(api, tmp_path):
    moments = [datetime.datetime(2026, 1, 1, 12, 0, second, tzinfo=datetime.timezone.utc) for second in range(4)]
    table = pyarrow.table({"id": pyarrow.array(range(4)), "at": pyarrow.array(moments, pyarrow.timestamp("us", tz="UTC"))})
    pyarrow.parquet.write_table(table, tmp_path / "0.parquet")
    dataset, _ = api.dataset_of("times", location(tmp_path))
    batch = api.next_batch(api.iterate(dataset, batch_size=4))
    assert ["2026-01-01" in str(one) and f"12:00:0{second}" in str(one) for second, one in enumerate(batch["at"])] == [True] * 4


@pytest.mark.published(skip="its order is the only one that it has")
@pytest.mark.parametrize("kind", ["global", "windowed"])
def test_defect_07_there_are_orders_whose_blocks_are_permuted_each_for_itself(api, dataset, kind):
    options = {"shuffle": True, "shuffle_seed": 1, "shuffle_block_size": 2, "batch_size": 20, "order": kind}
    found = values(api.drain(api.iterate(dataset[0], **options)))
    assert sorted(found) == list(range(100))
    assert found != order([10] * 10, 1, 2)
    blocks = [found[start : start + 20] for start in range(0, 100, 20)]
    shards = [{number // 10 for number in block} for block in blocks]
    if kind == "global":
        assert max(len(one) for one in shards) > 4, "a global shuffle mixes all shards"
        return
    assert [len(one) for one in shards] == [2] * 5, "a window holds its own shards"
    patterns = set()
    for block, names in zip(blocks, shards):
        places = {name: at for at, name in enumerate(sorted(names))}
        patterns.add(tuple(places[number // 10] * 10 + number % 10 for number in block))
    assert len(patterns) == 5, "each window has a permutation of its own"


@pytest.mark.published(fails="defect 8")
def test_defect_08_pushback_keeps_the_order(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=4)
    api.complete_all(iteration, api.next_batch(iteration))
    for _ in range(3):
        api.next_batch(iteration)
    ok(api.complete(iteration, 9))
    api.pushback(iteration)
    assert values(api.drain(iteration)) == [number for number in range(4, 100) if number != 9]


@pytest.mark.published(fails="defect 8")
def test_defect_08_pushback_keeps_the_order_of_a_shuffle(api, dataset):
    shuffle = {"shuffle": True, "shuffle_seed": 5, "shuffle_block_size": 3}
    iteration = api.iterate(dataset[0], batch_size=10, **shuffle)
    expected = order([10] * 10, 5, 3)
    for _ in range(4):
        assert len(api.next_batch(iteration)["id"]) == 10
    api.pushback(iteration)
    assert values(api.drain(iteration)) == expected


def test_defect_08_only_what_a_client_got_is_in_progress(api, dataset):
    """Batches that are made ahead are the server's business."""
    iteration = api.iterate(dataset[0], batch_size=4, preprocessors=named("noop"))
    got = api.next_batch(iteration)
    for _ in range(20):
        progress = api.progress(iteration)
        assert in_progress(progress) == indices(got) and progress["current"] == 4


@pytest.mark.published(fails="defect 9")
def test_defect_09_a_dataset_name_that_is_taken_is_a_conflict(api):
    name = unique("twice")
    api.create_dataset(name)
    refused = api.post("/datasets/", {"name": name, "uid_column_name": "id", "shardset_location": None})
    assert (refused.status, detail(refused)) == (409, "Dataset name must be unique")


@pytest.mark.published(fails="defect 9")
def test_defect_09_a_location_that_is_taken_is_a_conflict(api, dataset, hundred):
    refused = api.post(f"/datasets/{dataset[0]}/shardsets", {"location": hundred, "columns": []})
    assert refused.status == 409 and "unique constraint failed" in detail(refused)


@pytest.mark.published(fails="defect 9")
def test_defect_09_completing_when_nothing_is_in_progress_is_allowed(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=4)
    for index in (0, 5, 99999):
        assert ok(api.complete(iteration, index)) is None
    assert api.progress(iteration)["completed"] == 0
    assert api.next_batch(iteration)["id"] == [0, 1, 2, 3]


VERSIONED = """
from lavender_data.server import Preprocessor

class Versioned(Preprocessor):
    name = "versioned"

    def process(self, batch: dict) -> dict:
        return {"version": VERSION}
"""


@pytest.mark.published(fails="defect 10")
def test_defect_10_changed_code_is_not_hidden_by_a_cache(make_feeder, hundred):
    feeder = make_feeder()
    module = feeder.modules_dir / "versioned.py"
    module.write_text(VERSIONED.replace("VERSION}", "1}"))
    api = feeder.start().api
    dataset, _ = api.dataset_of("code", hundred, shards=10)
    options = {"batch_size": 10, "preprocessors": named("versioned")}
    assert api.next_batch(api.iterate(dataset, **options))["version"] == 1
    before = api.function("versioned", "preprocessors")
    module.write_text(VERSIONED.replace("VERSION}", "2}"))
    poll(lambda: api.function("versioned", "preprocessors")["md5"] != before["md5"], "the changed module", SOON_S)
    poll(lambda: api.next_batch(api.iterate(dataset, **options))["version"] == 2, "the changed result", SOON_S)


@pytest.mark.published(fails="defect 10, for five minutes and by chance", strict=False)
def test_defect_10_changed_data_is_not_hidden_by_a_cache(api, tmp_path):
    def changed(number: int) -> dict:
        return {**row(number), "caption": "changed"}

    place = write_shards(tmp_path / "data", 2, 10)
    dataset, shardset = api.dataset_of("data", place, shards=2)
    options = {"batch_size": 10, "preprocessors": named("noop")}
    assert api.next_batch(api.iterate(dataset, **options))["caption"][0] == row(0)["caption"]
    write_shards(tmp_path / "data", 2, 10, make=changed)
    ok(api.sync(dataset, shardset, overwrite=True))
    api.wait_synced(dataset, shardset, 2)
    assert api.next_batch(api.iterate(dataset, **options))["caption"] == ["changed"] * 10


@pytest.mark.published(fails="defect 10")
def test_defect_10_a_failure_is_not_remembered(api, dataset, tmp_path):
    iteration = api.iterate(dataset[0], batch_size=30, preprocessors=named("raise_once", marks=str(tmp_path)))
    assert api.next(iteration).status == 500
    api.pushback(iteration)
    reply = api.next(iteration)
    assert reply.status == 200 and decode(reply.body)[INDICES][0] == 0


@pytest.mark.published(fails="defect 11", strict=False)
def test_defect_11_connections_that_ask_at_once_share_without_loss(feeder, api, tmp_path):
    dataset, _ = api.dataset_of("many", write_shards(tmp_path / "many", 20, 50), shards=20)
    iteration = api.iterate(dataset, batch_size=2, shuffle=True, shuffle_seed=9, shuffle_block_size=3)
    got, failures = [], []

    def work():
        own = feeder.connect_api()
        try:
            got.extend(own.drain(iteration))
        except Exception as error:
            failures.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failures, failures[0]
    in_order = sorted(got, key=lambda batch: batch[CURRENT])
    assert [batch[CURRENT] for batch in in_order] == list(range(500))
    assert values(in_order) == order([50] * 20, 9, 3)


@pytest.mark.parametrize(
    "name",
    ["orphan", pytest.param("unserialisable", marks=pytest.mark.published(fails="a 500 that does not say what it is"))],
)
def test_defect_12_a_preprocessor_that_cannot_work_is_an_error_and_no_hang(feeder, dataset, name):
    api = feeder.connect_api(timeout_s=SOON_S)
    reply = api.create_iteration(dataset[0], batch_size=10, preprocessors=named(name))
    if name == "unserialisable" or published():
        reply = api.next(ok(reply)["id"])
        assert reply.status == 500 and reply.headers["x-lavender-data-error"] == "SAMPLE_PROCESSING_ERROR"
        assert reply.headers["x-lavender-data-sample-current"] == "0"
    assert reply.status in (400, 500) and ("add_suffix" if name == "orphan" else "thing") in detail(reply)
    api.close()


def test_defect_12_a_collater_that_fails_is_an_error_and_no_hang(feeder, dataset):
    api = feeder.connect_api(timeout_s=SOON_S)
    iteration = api.iterate(dataset[0], batch_size=10, collater={"name": "bad_collater", "params": {}})
    reply = api.next(iteration)
    assert reply.status == 500 and "no_such_column" in detail(reply)
    api.close()


@pytest.mark.published(skip="defect 12: it never answers")
def test_defect_12_preprocessors_that_wait_for_each_other_are_an_error_and_no_hang(feeder, dataset):
    api = feeder.connect_api(timeout_s=SOON_S)
    both = named("round_trip") + named("round_trip_back")
    reply = api.create_iteration(dataset[0], batch_size=10, preprocessors=both)
    if reply.status == 200:
        reply = api.next(reply.json["id"])
    assert reply.status in (400, 500) and "round_trip" in detail(reply)
    api.close()


def test_defect_12_a_file_that_is_gone_is_an_error_and_no_hang(feeder, tmp_path):
    api = feeder.connect_api(timeout_s=SOON_S)
    dataset, _ = api.dataset_of("gone", write_shards(tmp_path / "gone", 3, 10), shards=3)
    iteration = api.iterate(dataset, batch_size=10)
    assert api.next_batch(iteration)["id"] == list(range(10))
    (tmp_path / "gone" / "shard.00002.parquet").unlink()
    replies = [api.next(iteration) for _ in range(3)]
    assert all(reply.status in (200, 400, 500) for reply in replies)
    assert sum(reply.status == 200 for reply in replies) <= 2
    api.close()


def test_defect_13_an_iteration_is_resumed_by_its_id_without_a_hang(feeder, dataset):
    iteration = feeder.api.iterate(dataset[0], batch_size=10)
    feeder.api.next_batch(iteration)
    resumed = feeder.connect_api(timeout_s=SOON_S)
    assert values(resumed.drain(iteration)) == list(range(10, 100))
    resumed.close()


def test_defect_14_every_rank_sees_the_end(feeder, dataset):
    api = feeder.connect_api(timeout_s=SOON_S)
    (iteration,) = {api.iterate(dataset[0], batch_size=10, rank=rank, world_size=3) for rank in range(3)}
    api.drain(iteration, 1)
    for rank in (0, 1, 2, 7):
        assert is_end(api.next(iteration, rank))
    api.close()


@pytest.mark.published(fails="defect 11 in the shape of a 500", strict=False)
def test_defect_15_four_ranks_in_two_groups_come_to_the_end_at_once(feeder, dataset):
    options = {"batch_size": 5, "world_size": 4, "replication_pg": [[0, 1], [2, 3]]}
    (iteration,) = {feeder.api.iterate(dataset[0], rank=rank, **options) for rank in range(4)}
    taken, failures = {}, []

    def work(rank: int):
        own = feeder.connect_api(timeout_s=SOON_S)
        try:
            taken[rank] = values(own.drain(iteration, rank))
        except Exception as error:
            failures.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failures, failures[0]
    assert taken[0] == taken[1] and taken[2] == taken[3]
    assert sorted(taken[0] + taken[2]) == list(range(100))


@pytest.mark.published(fails="defect 16")
def test_defect_16_an_unknown_key_of_a_result_is_said_to_be_unknown(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=10)
    reply = api.submitted(iteration, "00" * 32)
    assert reply.status == 404 and "Cache key not found" in detail(reply)


@pytest.mark.published(fails="defect 17")
def test_defect_17_whoever_waits_for_a_result_is_not_made_to_ask_all_the_time(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=10, preprocessors=named("slow", seconds=1.0))
    key = api.submit(iteration)
    asked, began = 0, time.monotonic()
    while (reply := api.submitted(iteration, key)).status == 202:
        asked += 1
        assert time.monotonic() - began < SOON_S
    assert reply.status == 200 and decode(reply.body)["id"] == list(range(10))
    assert asked <= 10, f"{asked} answers that there is no answer yet"


@pytest.mark.published(fails="defect 21")
def test_defect_21_a_killed_server_leaves_nothing_running(make_feeder, hundred):
    shared = Path("/dev/shm")
    before = set(os.listdir(shared)) if shared.is_dir() else set()
    feeder = make_feeder().start()
    dataset, _ = feeder.api.dataset_of("orphans", hundred, shards=10)
    iteration = feeder.api.iterate(dataset, batch_size=10, preprocessors=named("talk"))
    feeder.api.next_batch(iteration)
    workers = feeder.workers()
    assert workers, "a preprocessor runs in a process of its own"
    feeder.kill()
    wait_ended(workers)
    assert not still_running(workers)
    left = (set(os.listdir(shared)) if shared.is_dir() else set()) - before
    assert not left, f"shared memory is left behind: {sorted(left)[:3]}"


def test_the_shards_of_these_tests_are_what_they_seem(tmp_path):
    """The helpers above write what they say; a test that reads nothing cannot fail."""
    write_parquet(tmp_path / "0.parquet", [row(3)])
    assert pyarrow.parquet.read_table(tmp_path / "0.parquet").to_pylist() == [row(3)]

"""Batches as Arrow IPC streams: the same samples as in the other layout, several batches to a response."""

import datetime
import decimal
import io
import random

import pyarrow
import pyarrow.parquet
import pytest
from data import order, row, tag, write_shards
from feed_api import END_OF_ITERATION, detail, is_end, ok, values

pytestmark = pytest.mark.published(skip="it knows its own layout alone")

STREAM = "application/vnd.apache.arrow.stream"
INDEX = "_lavandin_index"
NUMBER = b"lavandin.current"
SHUFFLE = {"shuffle": True, "shuffle_seed": 42, "shuffle_block_size": 3}


def ask(api, iteration: str, batches: int | None = None, rank: int = 0):
    more = "" if batches is None else f"&batches={batches}"
    return api.get(f"/iterations/{iteration}/next?rank={rank}{more}", headers={"Accept": STREAM})


def read(reply) -> tuple[list, list]:
    """The record batches of a response and their numbers."""
    assert reply.status == 200, reply.text[:500]
    assert reply.headers["content-type"] == STREAM
    reader = pyarrow.ipc.open_stream(io.BytesIO(reply.body))
    batches, numbers = [], []
    while True:
        try:
            batch, metadata = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            break
        batch.validate(full=True)
        batches.append(batch)
        numbers.append(int(metadata[NUMBER]))
    assert int(reply.headers["x-lavender-data-sample-current"]) == numbers[0]
    return batches, numbers


def drain(api, iteration: str, batches: int | None = None) -> list:
    found = []
    while not is_end(reply := ask(api, iteration, batches)):
        more, numbers = read(reply)
        assert numbers == list(range(len(found), len(found) + len(more)))
        assert len(more) <= (batches or 1)
        found += more
    return found


def test_a_response_is_one_batch(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=10)
    (batch,), numbers = read(ask(api, iteration))
    assert numbers == [0] and batch.schema.names == [*row(0), INDEX]
    assert batch.drop_columns([INDEX]).to_pylist() == [row(number) for number in range(10)]
    assert batch[INDEX].to_pylist() == list(range(10))
    assert api.next_batch(iteration)["id"] == list(range(10, 20)), "both layouts take from one iteration"


@pytest.mark.parametrize("batches", [None, 1, 3, 100])
def test_the_order_is_the_same(api, dataset, batches):
    iteration = api.iterate(dataset[0], batch_size=7, **SHUFFLE)
    found = drain(api, iteration, batches)
    assert [len(batch) for batch in found] == [7] * 14 + [2]
    numbers = [number for batch in found for number in batch["id"].to_pylist()]
    assert numbers == order([10] * 10, 42, 3)
    assert [number for batch in found for number in batch[INDEX].to_pylist()] == numbers


def test_several_batches_come_in_one_response(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=10)
    batches, numbers = read(ask(api, iteration, 4))
    assert numbers == [0, 1, 2, 3] and [len(batch) for batch in batches] == [10] * 4


def test_the_end_is_said_as_ever(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=100)
    read(ask(api, iteration))
    reply = ask(api, iteration, 8)
    assert reply.status == 400 and END_OF_ITERATION in detail(reply)


def test_completion_and_pushback_work_by_the_indices(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=10)
    batches, _ = read(ask(api, iteration, 3))
    for index in batches[0][INDEX].to_pylist():
        assert ok(api.complete(iteration, index)) is None
    progress = api.progress(iteration)
    assert (progress["completed"], len(progress["inprogress"]), progress["current"]) == (10, 20, 30)
    api.pushback(iteration)
    rest = drain_numbers(api, iteration)
    assert rest == list(range(10, 100))


def drain_numbers(api, iteration: str) -> list:
    found = []
    while not is_end(reply := ask(api, iteration, 5)):
        found += [number for batch in read(reply)[0] for number in batch["id"].to_pylist()]
    return found


def test_filters_categorizers_and_joins_apply(api, dataset, tmp_path):
    feature = api.create_shardset(dataset[0], write_shards(tmp_path / "f", make=tag), shards=10)["id"]
    iteration = api.iterate(
        dataset[0],
        shardsets=[dataset[1], feature],
        batch_size=8,
        filters=[{"name": "at_most", "params": {"limit": 59}}],
        categorizer={"name": "parity", "params": {}},
    )
    seen = []
    for batch in drain(api, iteration, 4):
        numbers = batch["id"].to_pylist()
        assert len({number % 2 for number in numbers}) == 1
        assert batch["tag"].to_pylist() == [f"t{number % 7}" for number in numbers]
        seen += numbers
    assert sorted(seen) == list(range(60))


def test_preprocessed_batches_are_streamed_or_refused_in_words(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=10, preprocessors=[{"name": "add_suffix", "params": {}}])
    reply = ask(api, iteration)
    if reply.status != 200:
        assert reply.status in (400, 406, 415, 501) and "rrow" in detail(reply)
        assert api.next_batch(iteration)["id"] == list(range(10)), "a refusal takes nothing"
        return
    (batch,), _ = read(reply)
    assert batch["marked"].to_pylist() == [f"{number}_x" for number in range(10)]


@pytest.mark.parametrize("query, word", [("batches=0", "batches"), ("batches=-1", "batches"), ("batches=1000000", "batches")])
def test_a_number_of_batches_has_bounds(api, dataset, query, word):
    iteration = api.iterate(dataset[0], batch_size=10)
    reply = api.get(f"/iterations/{iteration}/next?rank=0&{query}", headers={"Accept": STREAM})
    assert reply.status in (400, 422) and word in reply.text
    assert api.next_batch(iteration)["id"] == list(range(10)), "a refusal takes nothing"


def test_several_batches_need_the_stream(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=10)
    reply = api.get(f"/iterations/{iteration}/next?rank=0&batches=2")
    assert reply.status == 400 and STREAM in detail(reply)


def test_types_survive_the_stream(api, tmp_path):
    table = pyarrow.table(
        {
            "id": pyarrow.array([0, 1, 2]),
            "at": pyarrow.array([datetime.datetime(2026, 1, 2, 3, 4, 5, 6), None, None], pyarrow.timestamp("us")),
            "exact": pyarrow.array([decimal.Decimal("1.50"), None, None]),
            "nest": pyarrow.array([[{"a": 1}], [], None]),
            "raw": pyarrow.array([b"x" * 5000, b"", None]),
            "flag": pyarrow.array([True, None, False]),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "0.parquet")
    dataset, _ = api.dataset_of("types", f"file://{tmp_path}")
    (batch,), _ = read(ask(api, api.iterate(dataset, batch_size=3)))
    found = {name: batch[name].to_pylist() for name in table.column_names}
    assert found == table.to_pydict()


def test_batches_of_blobs_are_exact(api, tmp_path):
    at_random = random.Random(2)
    blobs = [at_random.randbytes(at_random.choice([0, 10, 4096, 100_000])) for _ in range(60)]
    folder = tmp_path / "blobs"
    folder.mkdir()
    for shard in range(3):
        numbers = range(shard * 20, shard * 20 + 20)
        table = pyarrow.table({"id": list(numbers), "data": [blobs[number] for number in numbers]})
        pyarrow.parquet.write_table(table, folder / f"{shard}.parquet", compression="none")
    dataset, _ = api.dataset_of("blobs", f"file://{folder}", shards=3)
    for batch in drain(api, api.iterate(dataset, batch_size=16, **SHUFFLE), 2):
        assert batch["data"].to_pylist() == [blobs[number] for number in batch["id"].to_pylist()]


def test_single_samples_are_batches_of_one(api, dataset):
    iteration = api.iterate(dataset[0])
    (batch,), _ = read(ask(api, iteration))
    assert len(batch) == 1 and batch["id"].to_pylist() == [0]


def test_two_ranks_of_a_group_get_the_same_streams(api, dataset):
    options = {"batch_size": 10, "world_size": 2, "replication_pg": [[0, 1]]}
    (iteration,) = {api.iterate(dataset[0], rank=rank, **options) for rank in (0, 1)}
    first, second = [read(ask(api, iteration, 5, rank))[0] for rank in (0, 1)]
    assert first == second and values([batch.to_pydict() for batch in first]) == list(range(50))

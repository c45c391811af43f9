"""What wrong input to the dataset API gets: the published status, and a sentence that says what is wrong.

Where the published server has no sentence (its own 500s, hangs and silence) the status is ours, and the sentence must name the
file, the column or the sample.
"""

import json
import socket

import lavender_data.client as lavender
import pyarrow
import pyarrow.parquet
import pytest
from data import location, row, write_parquet, write_shard, write_shards
from feed_api import basic_header, detail, indices, is_end, ok, unique, values
from node import poll
from samples import decode

NOWHERE = (
    "No shards found in location. Please either specify columns or provide a valid location with at least one shard."
)


def named(name: str, **params) -> dict:
    return {"name": name, "params": params}


# --- requests

UNKNOWN = [
    ("GET", "/datasets/ds-nope", None, 404, "Dataset not found"),
    ("DELETE", "/datasets/ds-nope", None, 404, "Dataset not found"),
    ("GET", "/datasets/ds-00000000000000000000", None, 404, "Dataset not found"),
    ("POST", "/datasets/ds-nope/shardsets", {"location": "file:///nowhere", "columns": []}, 404, "Dataset not found"),
    ("POST", "/datasets/ds-nope/preview", {"offset": 0, "limit": 1}, 404, "Dataset not found"),
    ("GET", "/datasets/{ds}/shardsets/ss-nope", None, 404, "Shardset not found"),
    ("DELETE", "/datasets/{ds}/shardsets/ss-nope", None, 404, "Shardset not found"),
    ("PUT", "/datasets/{ds}/shardsets/ss-nope", {"is_main": True}, 404, "Shardset not found"),
    ("POST", "/datasets/{ds}/shardsets/ss-nope/sync", {"overwrite": False}, 404, "Shardset not found"),
    ("GET", "/datasets/{ds}/shardsets/{ss}/shards/sd-nope/statistics", None, 404, "Shard statistics not found"),
    ("PUT", "/datasets/{ds}/columns/dc-nope", {"description": "x"}, 404, "Column not found"),
    ("GET", "/datasets/{ds}/preview/nope", None, 400, "Preview not found"),
    ("GET", "/iterations/it-nope", None, 404, "Iteration not found"),
    ("GET", "/iterations/it-nope/progress", None, 404, "Iteration not initialized"),
    ("GET", "/iterations/it-nope/next?rank=0", None, 404, "Iteration not initialized"),
    ("POST", "/iterations/it-nope/next?rank=0", None, 404, "Iteration not initialized"),
    ("POST", "/background-tasks/nope/abort", None, 404, "Task not found"),
    ("GET", "/datasets/no/such/route/at/all", None, 404, "Not Found"),
]


@pytest.mark.parametrize("method, path, body, status, text", UNKNOWN, ids=lambda value: str(value)[:40])
def test_what_is_unknown_is_said_to_be(api, dataset, method, path, body, status, text):
    path = path.replace("{ds}", dataset[0]).replace("{ss}", dataset[1])
    reply = api.call(method, path, body)
    assert (reply.status, detail(reply)) == (status, text)


@pytest.mark.published(fails="a 500 where no key is asked for")
def test_a_node_alone_says_that_there_is_no_cluster(api):
    """The published clients ask when they are made, with their key."""
    reply = api.get("/cluster/nodes", headers={"Authorization": basic_header("la-none:none")})
    assert (reply.status, detail(reply)) == (401, "Cluster not enabled")


@pytest.mark.parametrize("call", ["complete/0", "pushback"])
def test_an_unknown_iteration_cannot_be_changed(api, call):
    reply = api.post(f"/iterations/it-nope/{call}")
    assert reply.status == 404 and "not" in detail(reply)


ITERATIONS = [
    ({"dataset_id": "ds-nope"}, 404, "Dataset not found"),
    ({"shuffle": True}, 400, "shuffle_block_size is required if shuffle is true"),
    ({"shuffle": True, "shuffle_block_size": 0}, 400, "shuffle_block_size must be a positive integer"),
    ({"shuffle": True, "shuffle_block_size": -3}, 400, "shuffle_block_size must be a positive integer"),
    ({"batch_size": -1}, 400, "batch_size must be >= 0"),
    ({"filters": [named("nope")]}, 400, "filter must be one of the following: ["),
    ({"categorizer": named("nope")}, 400, "categorizer must be one of the following: ["),
    ({"collater": named("nope")}, 400, "collater must be one of the following: ["),
    ({"preprocessors": [named("nope")]}, 400, "preprocessor must be one of the following: ["),
    ({"shardsets": ["ss-nope"]}, 400, "No shardsets found for the provided shardset ids: "),
    ({"dataset_id": "ds-nope", "filters": [named("nope")]}, 400, "filter must be one of the following: ["),
    ({"filters": [named("nope")], "shuffle": True}, 400, "shuffle_block_size is required if shuffle is true"),
]


@pytest.mark.parametrize("options, status, text", ITERATIONS, ids=lambda value: str(value)[:50])
def test_an_iteration_that_cannot_be_is_refused(api, dataset, options, status, text):
    reply = api.post("/iterations/", {"dataset_id": dataset[0], **options})
    assert reply.status == status and detail(reply).startswith(text), reply.text


def test_the_names_that_there_are_stand_in_the_refusal(api, dataset):
    text = detail(api.create_iteration(dataset[0], filters=[named("nope")]))
    assert "min_max" in text and "uid_mod" in text and "at_most" in text


def test_a_dataset_without_shardsets_cannot_be_iterated(api):
    dataset = api.create_dataset(unique("bare"))["id"]
    reply = api.create_iteration(dataset)
    assert reply.status == 400
    assert detail(reply) == "No shardsets found for the dataset. Please create a shardset first."
    reply = api.post(f"/datasets/{dataset}/preview", {"offset": 0, "limit": 2})
    assert (reply.status, detail(reply)) == (400, "Dataset has no shardsets")


INVALID = [
    ("/datasets/", {"name": "x", "uid_column_name": None}, ["body", "uid_column_name"], "string_type"),
    ("/datasets/", {"uid_column_name": "id"}, ["body", "name"], "missing"),
    ("/datasets/{ds}/shardsets", {"columns": []}, ["body", "location"], "missing"),
    ("/datasets/{ds}/shardsets", {"location": "file:///x", "columns": "id"}, ["body", "columns"], "list_type"),
    ("/iterations/", {}, ["body", "dataset_id"], "missing"),
    ("/iterations/", {"dataset_id": 7}, ["body", "dataset_id"], "string_type"),
    ("/iterations/", {"dataset_id": "{ds}", "batch_size": "many"}, ["body", "batch_size"], "int_parsing"),
    ("/iterations/", {"dataset_id": "{ds}", "rank": None, "replication_pg": [["a"]]}, None, "int_parsing"),
    ("/iterations/", {"dataset_id": "{ds}", "filters": [{"name": "min_max"}]}, ["body", "filters", 0, "params"], "missing"),
]


@pytest.mark.parametrize("path, body, place, kind", INVALID, ids=lambda value: str(value)[:50])
def test_a_body_of_another_shape_is_answered_by_its_place(api, dataset, path, body, place, kind):
    def filled(value):
        return json.loads(json.dumps(value).replace("{ds}", dataset[0]))

    reply = api.post(filled(path), filled(body))
    assert reply.status == 422, reply.text
    faults = reply.json["detail"]
    assert all({"type", "loc", "msg", "input"} <= set(fault) for fault in faults)
    assert kind in [fault["type"] for fault in faults]
    assert place is None or place in [fault["loc"] for fault in faults]


def test_a_body_that_is_not_json_is_refused(api):
    reply = api.connection.request("POST", "/datasets/", b"{nope", {"Content-Type": "application/json"})
    assert reply.status in (400, 422) and reply.json["detail"]


@pytest.mark.parametrize(
    "query", ["rank=one", "rank=0&max_retry_count=x", "rank=0&no_cache=perhaps"], ids=["rank", "retries", "cache"]
)
def test_a_query_of_another_shape_is_refused(api, dataset, query):
    iteration = api.iterate(dataset[0], batch_size=1)
    reply = api.get(f"/iterations/{iteration}/next?{query}")
    assert reply.status == 422 and reply.json["detail"][0]["loc"][0] == "query"


def test_numbers_may_come_as_text(api, dataset):
    """Ranks come from the environment, as text, through the published client."""
    made = ok(api.create_iteration(dataset[0], rank="1", world_size="2", batch_size="10"))
    assert made["batch_size"] == 10


def test_a_negative_number_of_retries_is_refused(api, dataset):
    reply = api.next(api.iterate(dataset[0], batch_size=1), retries=-1)
    assert (reply.status, detail(reply)) == (400, "max_retry_count must be >= 0")


@pytest.mark.published(fails="an unknown parameter is an error of the sample, in the middle")
def test_an_unknown_parameter_of_a_filter_is_named_at_the_start(api, dataset):
    reply = api.create_iteration(dataset[0], filters=[named("uid_mod", modulus=3)])
    assert reply.status == 400 and "modulus" in detail(reply) and "uid_mod" in detail(reply)


@pytest.mark.published(fails="a 500 without a sentence")
def test_a_failing_filter_names_its_sample(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=5, filters=[named("bad_filter")])
    replies = [api.next(iteration) for _ in range(2)]
    failed = next(reply for reply in replies if reply.status != 200)
    assert failed.status in (400, 500) and "raised on purpose" in detail(failed)


def test_a_categorizer_that_gives_no_text_is_an_error(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=5, categorizer=named("not_text"))
    reply = api.next(iteration)
    assert reply.status in (400, 500) and "str" in detail(reply)


def test_a_rank_outside_the_groups_is_refused(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=5, replication_pg=[[0], [1]])
    reply = api.next(iteration, 5)
    assert reply.status == 400 and "Replication pg not found for rank 5" in detail(reply)


@pytest.mark.published(fails="its answer is a 500 or none")
def test_a_negative_rank_is_refused(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=5, replication_pg=[[0], [1]])
    assert api.next(iteration, -1).status == 400
    assert api.create_iteration(dataset[0], rank=-1).status in (400, 422)


# --- locations


@pytest.mark.parametrize("place", ["file:///nonexistent/nope_nope", "file:///dev/null"])
def test_a_location_without_shards_is_refused(api, dataset, place):
    reply = api.post(f"/datasets/{dataset[0]}/shardsets", {"location": place, "columns": []})
    assert reply.status == 400 and detail(reply).startswith(NOWHERE)


def test_an_empty_folder_is_refused_and_leaves_no_dataset(api, tmp_path):
    name = unique("empty")
    payload = {"name": name, "uid_column_name": "id", "shardset_location": location(tmp_path)}
    reply = api.post("/datasets/", payload)
    assert reply.status == 400 and detail(reply).startswith(NOWHERE)


@pytest.mark.published(fails="the dataset stays behind")
def test_a_refused_location_leaves_no_dataset_behind(api, tmp_path):
    name = unique("empty")
    payload = {"name": name, "uid_column_name": "id", "shardset_location": location(tmp_path)}
    assert api.post("/datasets/", payload).status == 400
    assert ok(api.get(f"/datasets/?name={name}")) == []


def test_a_location_that_is_empty_for_now_is_accepted_with_columns(api, tmp_path):
    dataset = api.create_dataset(unique("later"))["id"]
    place = location(tmp_path / "rows")
    shardset = api.create_shardset(dataset, place, [{"name": "id", "type": "int"}], shards=None)
    assert shardset["shard_count"] == 0 and [one["name"] for one in shardset["columns"]] == ["id"]
    write_shards(tmp_path / "rows", 2, 3, make=lambda number: {"id": number})
    ok(api.sync(dataset, shardset["id"]))
    assert api.wait_synced(dataset, shardset["id"], 2)["total_samples"] == 6


def test_column_names_must_be_unique(api, dataset, tmp_path):
    place = write_shards(tmp_path / "rows", 1, 1)
    columns = [{"name": "id", "type": "int"}, {"name": "id", "type": "text"}]
    reply = api.post(f"/datasets/{dataset[0]}/shardsets", {"location": place, "columns": columns})
    assert (reply.status, detail(reply)) == (400, "column names must be unique")


def test_a_first_file_that_cannot_be_read_is_refused(api, dataset, tmp_path):
    (tmp_path / "0.parquet").write_bytes(b"this is not parquet")
    reply = api.post(f"/datasets/{dataset[0]}/shardsets", {"location": location(tmp_path), "columns": []})
    assert reply.status == 400 and detail(reply).startswith("Failed to inspect shard")


@pytest.mark.parametrize("place", ["ftp://example.com/x", "/no/scheme", "relative"])
def test_an_unknown_kind_of_location_is_refused(api, dataset, place):
    reply = api.post(f"/datasets/{dataset[0]}/shardsets", {"location": place, "columns": []})
    assert reply.status == 400 and detail(reply)


# --- files


def sync_outcome(api, dataset: str, shardset: str) -> dict:
    """The state of a sync once it no longer runs; a failure stays until the next one."""
    running = ("list", "inspect", "reflect", "processing", "running")

    def ended():
        status = ok(api.get(f"/datasets/{dataset}/shardsets/{shardset}/sync"))
        return {"status": "gone"} if status is None else status if status["status"] not in running else None

    return poll(ended, "the end of the sync", 30)


def damaged_dataset(api, tmp_path, damage) -> tuple[str, str]:
    """Three good shards and a sync of them, then `damage(folder)` and another sync."""
    folder = tmp_path / "rows"
    dataset, shardset = api.dataset_of("damage", write_shards(folder, 3, 10), shards=3)
    damage(folder)
    return dataset, shardset


def truncate(folder):
    path = folder / "shard.00001.parquet"
    path.write_bytes(path.read_bytes()[:-200])


def remove(folder):
    (folder / "shard.00001.parquet").unlink()


def replace(folder):
    write_parquet(folder / "shard.00001.parquet", [row(number) for number in range(500, 507)])


DAMAGE = {"truncated": truncate, "missing": remove, "changed": replace}


@pytest.mark.published(fails="nothing is looked at before it is read", strict=False)
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_named_when_an_iteration_starts(api, tmp_path, kind):
    dataset, _ = damaged_dataset(api, tmp_path, DAMAGE[kind])
    reply = api.create_iteration(dataset, batch_size=10)
    assert reply.status in (400, 409, 500) and "shard.00001.parquet" in detail(reply), reply.text


@pytest.mark.published(fails="a changed file is read, or remembered, without a word", strict=False)
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_file_damaged_in_mid_iteration_is_an_error_that_names_it(api, tmp_path, kind):
    folder = tmp_path / "rows"
    dataset, _ = api.dataset_of("damage", write_shards(folder, 3, 10), shards=3)
    iteration = api.iterate(dataset, batch_size=5)
    got = values([api.next_batch(iteration)])
    DAMAGE[kind](folder)
    failures = []
    for _ in range(50):
        reply = api.next(iteration)
        if is_end(reply):
            break
        if reply.status != 200:
            failures.append(reply)
        else:
            got += indices(decode(reply.body))
    assert is_end(reply), "the iteration comes to its end all the same"
    assert set(got) >= set(range(10)) | set(range(20, 30)), "the files that are whole are all delivered"
    missing = set(range(30)) - set(got)
    assert bool(failures) == bool(missing), "a sample that is not delivered is an error, and only then"
    for failed in failures:
        assert failed.status in (400, 500) and "shard.00001.parquet" in detail(failed)
    if failures:
        assert api.progress(iteration)["failed"] == len(missing)


@pytest.mark.published(fails="an error of reading has no header to be skipped by")
def test_an_error_of_reading_is_one_that_skip_on_failure_skips(feeder, api, tmp_path):
    folder = tmp_path / "rows"
    dataset, shardset = api.dataset_of("skip", write_shards(folder, 10, 10), shards=10)
    lavender.init(api_url=feeder.url)
    loader = lavender.LavenderDataLoader(dataset_id=dataset, shardsets=[shardset], batch_size=10, skip_on_failure=True)
    got = list(next(loader)["id"])
    (folder / "shard.00007.parquet").unlink()
    for batch in loader:
        got += batch["id"]
    assert set(range(100)) - set(got) <= set(range(70, 80))
    assert len(got) == len(set(got))


@pytest.mark.published(fails="it says nothing, and the types differ from row to row", strict=False)
def test_a_shard_of_other_types_is_named_at_sync(api, tmp_path):
    folder = tmp_path / "rows"
    dataset, shardset = api.dataset_of("types", write_shards(folder, 2, 5), shards=2)
    write_shard(folder / "shard.00002.parquet", [{**row(number), "width": "wide"} for number in range(10, 15)])
    ok(api.sync(dataset, shardset))
    outcome = sync_outcome(api, dataset, shardset)
    reply = api.create_iteration(dataset, batch_size=5)
    said = json.dumps(outcome) + reply.text
    assert reply.status != 200 or outcome["status"] == "failed"
    assert "shard.00002.parquet" in said and "width" in said


def rows_with(ids: list) -> pyarrow.Table:
    return pyarrow.table({"id": pyarrow.array(ids, pyarrow.int64()), "name": [f"n{at}" for at in range(len(ids))]})


@pytest.mark.published(fails="it takes any of them, in silence")
@pytest.mark.parametrize("ids, word", [([0, 1, 1, 2], "1"), ([0, None, 2], "null")], ids=["doubled", "missing"])
def test_a_uid_that_is_doubled_or_missing_is_named(api, tmp_path, ids, word):
    """It would make a join wrong without a sign."""
    dataset = api.create_dataset(unique("uids"))["id"]
    pyarrow.parquet.write_table(rows_with(ids), tmp_path / "0.parquet")
    reply = api.post(f"/datasets/{dataset}/shardsets", {"location": location(tmp_path), "columns": []})
    said = reply.text
    if reply.status == 200:
        outcome = sync_outcome(api, dataset, reply.json["id"])
        made = api.create_iteration(dataset, batch_size=2)
        assert outcome["status"] == "failed" or made.status != 200
        said = json.dumps(outcome) + made.text
    assert "0.parquet" in said and word in said


def test_a_uid_column_that_no_file_has_is_named(api, tmp_path):
    dataset = api.create_dataset(unique("no-uid"), uid="key")["id"]
    place = write_shards(tmp_path / "rows", 1, 5)
    reply = api.post(f"/datasets/{dataset}/shardsets", {"location": place, "columns": []})
    if reply.status == 200:
        sync_outcome(api, dataset, reply.json["id"])
        reply = api.create_iteration(dataset)
    assert reply.status == 400 and "key" in detail(reply)


@pytest.mark.published(fails="a file that is not of a known kind ends the sync", strict=False)
def test_other_files_in_the_folder_are_left_alone(api, tmp_path):
    folder = tmp_path / "rows"
    place = write_shards(folder, 2, 5)
    (folder / "README.md").write_text("not a shard")
    (folder / "nested").mkdir()
    (folder / "_SUCCESS").write_bytes(b"")
    dataset, _ = api.dataset_of("other", place, shards=2)
    assert values(api.drain(api.iterate(dataset, batch_size=5))) == list(range(10))


def test_a_second_sync_while_one_runs_is_refused_or_joined(api, tmp_path):
    place = write_shards(tmp_path / "rows", 60, 20)
    dataset = api.create_dataset(unique("busy"))["id"]
    shardset = api.create_shardset(dataset, place, shards=None)["id"]
    reply = api.sync(dataset, shardset)
    if reply.status != 200:
        text = "Shardset is already being synced. Please wait for the sync to complete."
        assert (reply.status, detail(reply)) == (400, text)
    assert api.wait_synced(dataset, shardset, 60)["total_samples"] == 1200


@pytest.mark.published(fails="without overwrite it miscounts the files that are new", strict=False)
def test_new_and_removed_files_are_picked_up(api, tmp_path):
    folder = tmp_path / "rows"
    dataset, shardset = api.dataset_of("grow", write_shards(folder, 2, 10), shards=2)
    write_shards(folder, 4, 10)
    ok(api.sync(dataset, shardset))
    assert api.wait_synced(dataset, shardset, 4)["total_samples"] == 40
    assert values(api.drain(api.iterate(dataset, batch_size=10))) == list(range(40))
    (folder / "shard.00003.parquet").unlink()
    ok(api.sync(dataset, shardset, overwrite=True))
    poll(lambda: ok(api.get(f"/datasets/{dataset}/shardsets/{shardset}"))["shard_count"] == 3, "the smaller shardset")
    assert values(api.drain(api.iterate(dataset, batch_size=5))) == list(range(30))


def test_a_client_that_vanishes_costs_nobody_anything(feeder, api, dataset):
    iteration = api.iterate(dataset[0], batch_size=10)
    for text in (b"GET /iterations/", f"GET /iterations/{iteration}/next?rank=0 HTTP/1.1\r\n".encode(), b"\x00\xff" * 50):
        with socket.create_connection(("127.0.0.1", feeder.port)) as connection:
            connection.sendall(text)
    own = feeder.connect_api()
    own.connection.http.putrequest("GET", f"/iterations/{iteration}/next?rank=0")
    own.connection.http.endheaders()
    own.close()
    seen = set()

    def all_seen() -> bool:
        """The request of the one that vanished may still be under way at the first pushback."""
        api.pushback(iteration)
        seen.update(values(api.drain(iteration)))
        return seen == set(range(100))

    poll(all_seen, "all samples", 10)

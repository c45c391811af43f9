"""What runs in the background, and what is looked at: sync, previews, statistics, new shardsets, registries, listings."""

import base64
import io
import math
import re
import tarfile
import urllib.parse

import pyarrow.parquet
import pytest
from data import blob, location, row, tag, write_parquet, write_shards
from feed_api import detail, ok, unique, values
from node import poll

SOON_S = 30.0
CREATED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
IDS = {"dataset": "ds", "shardset": "ss", "shard": "sd", "column": "dc", "iteration": "it"}
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def is_id(kind: str, value: str) -> bool:
    return re.fullmatch(IDS[kind] + "-[a-z0-9]{20}", value) is not None


# --- objects


def test_the_objects_have_the_published_fields(api, dataset, hundred):
    whole = ok(api.get(f"/datasets/{dataset[0]}"))
    assert list(whole) == ["id", "name", "uid_column_name", "created_at", "columns", "shardsets"]
    (shardset,) = whole["shardsets"]
    assert list(shardset) == ["id", "dataset_id", "location", "is_main", "created_at", "shard_count", "total_samples"]
    assert (shardset["location"], shardset["shard_count"], shardset["total_samples"]) == (hundred, 10, 100)
    column = whole["columns"][0]
    assert list(column) == ["id", "dataset_id", "shardset_id", "name", "type", "description", "created_at"]
    assert {one["name"]: one["type"] for one in whole["columns"]} == {
        "id": "int64",
        "image_url": "string",
        "caption": "string",
        "width": "int64",
        "height": "int64",
        "score": "double",
    }
    listed = ok(api.get(f"/datasets/{dataset[0]}/shardsets/{dataset[1]}/shards?offset=3&limit=2"))
    assert listed["total"] == 10 and [one["index"] for one in listed["shards"]] == [3, 4]
    shard = listed["shards"][0]
    assert list(shard) == ["id", "shardset_id", "location", "filesize", "samples", "index", "format", "created_at"]
    assert (shard["location"], shard["format"], shard["samples"]) == (f"{hundred}/shard.00003.parquet", "parquet", 10)
    made = ok(api.create_iteration(dataset[0], batch_size=3))
    assert list(made) == (
        "id dataset_id total filters categorizer collater preprocessors shuffle shuffle_seed shuffle_block_size batch_size"
        " replication_pg created_at"
    ).split()
    for kind, value in {
        "dataset": whole["id"],
        "shardset": shardset["id"],
        "shard": shard["id"],
        "column": column["id"],
        "iteration": made["id"],
    }.items():
        assert is_id(kind, value), value
    for one in (whole, shardset, column, shard, made):
        assert CREATED_AT.fullmatch(one["created_at"])
    shown = ok(api.get(f"/iterations/{made['id']}"))
    assert shown["dataset"]["id"] == dataset[0]
    assert [len(one["shards"]) for one in shown["shardsets"]] == [10] and shown["shardsets"][0]["columns"]


def test_datasets_are_listed_newest_first_and_by_name(api):
    names = [unique("listed") for _ in range(3)]
    made = [api.create_dataset(name) for name in names]
    listed = [one["id"] for one in ok(api.get("/datasets/"))]
    assert {one["id"] for one in made} <= set(listed)
    assert ok(api.get(f"/datasets/?name={urllib.parse.quote(names[1])}")) == [made[1]]
    assert ok(api.get("/datasets/?name=none")) == []


@pytest.mark.published(fails="within a second by chance", strict=False)
def test_what_was_made_last_is_listed_first(api):
    made = [api.create_dataset(unique("order"))["id"] for _ in range(5)]
    listed = [one["id"] for one in ok(api.get("/datasets/")) if one["id"] in made]
    assert listed == made[::-1]


def test_an_unknown_shardset_has_no_shards(api, dataset):
    assert ok(api.get(f"/datasets/{dataset[0]}/shardsets/ss-nope/shards")) == {"shards": [], "total": 0}


def test_a_column_can_be_described(api, dataset):
    column = ok(api.get(f"/datasets/{dataset[0]}"))["columns"][1]
    changed = ok(api.put(f"/datasets/{dataset[0]}/columns/{column['id']}", {"description": "where it is"}))
    assert changed == {**column, "description": "where it is"}
    assert changed in ok(api.get(f"/datasets/{dataset[0]}"))["columns"]


def test_deleting_leaves_the_files(api, tmp_path):
    place = write_shards(tmp_path / "rows", 2, 5)
    dataset, shardset = api.dataset_of("short-lived", place, shards=2)
    iteration = api.iterate(dataset, batch_size=2)
    gone = ok(api.delete(f"/datasets/{dataset}/shardsets/{shardset}"))
    assert gone["id"] == shardset
    assert detail(api.get(f"/datasets/{dataset}/shardsets/{shardset}")) == "Shardset not found"
    assert ok(api.delete(f"/datasets/{dataset}"))["id"] == dataset
    assert detail(api.get(f"/datasets/{dataset}")) == "Dataset not found"
    assert len(list((tmp_path / "rows").iterdir())) == 2
    reply = api.next(iteration)
    assert reply.status in (200, 400, 404, 409)


def test_a_collection_without_its_slash_is_redirected(api):
    reply = api.get("/datasets")
    assert reply.status == 307 and reply.headers["location"].endswith("/datasets/")


def test_the_version_is_told(api):
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", ok(api.get("/version"))["version"])


# --- sync


def test_a_sync_tells_how_far_it_is(api, tmp_path):
    place = write_shards(tmp_path / "rows", 80, 5)
    dataset = api.create_dataset(unique("slow sync"))["id"]
    shardset = api.create_shardset(dataset, place, shards=None)
    assert (shardset["shard_count"], shardset["total_samples"]) == (0, 0) or shardset["shard_count"] <= 80
    seen = []

    def ended():
        status = ok(api.get(f"/datasets/{dataset}/shardsets/{shardset['id']}/sync"))
        seen.append(status)
        return status is None or status["status"] == "completed"

    poll(ended, "the sync", SOON_S)
    for status in seen:
        assert status is None or (set(status) == {"status", "current", "total"} and status["current"] <= status["total"])
    assert api.wait_synced(dataset, shardset["id"], 80)["total_samples"] == 400


def test_a_finished_sync_leaves_no_task(api, dataset):
    poll(lambda: ok(api.get(f"/datasets/{dataset[0]}/shardsets/{dataset[1]}/sync")) is None, "the end of the status", SOON_S)
    tasks = [one["task_id"] for one in ok(api.get("/background-tasks/"))]
    assert not any(dataset[1] in task for task in tasks)


# --- preview


def preview(api, dataset: str, offset: int, limit: int) -> dict:
    asked = ok(api.post(f"/datasets/{dataset}/preview", {"offset": offset, "limit": limit}))
    assert asked == {"preview_id": f"{dataset}:{offset}:{limit}"}

    def ready():
        reply = api.get(f"/datasets/{dataset}/preview/{asked['preview_id']}")
        if reply.status == 400:
            assert detail(reply) == "Preview not found"
            return None
        return ok(reply)

    return poll(ready, "the preview", SOON_S)


def test_a_preview_shows_rows_of_all_shardsets(api, dataset, tmp_path):
    features = write_shards(tmp_path / "features", make=tag, keep=lambda number: number != 21)
    api.create_shardset(dataset[0], features, shards=10)
    ok(api.put(f"/datasets/{dataset[0]}/shardsets/{dataset[1]}", {"is_main": True}))
    shown = preview(api, dataset[0], 20, 3)
    assert set(shown) == {"dataset", "columns", "samples", "total"}
    assert shown["dataset"]["id"] == dataset[0] and shown["total"] == 100
    assert [one["id"] for one in shown["samples"]] == [20, 21, 22]
    assert [one["caption"] for one in shown["samples"]] == [row(number)["caption"] for number in (20, 21, 22)]
    assert [one["tag"] for one in shown["samples"]] == ["t6", "", "t1"], "what a joined shardset lacks has a value of its type"
    assert {one["name"] for one in shown["columns"]} == set(row(0)) | {"tag"}


def test_a_preview_turns_bytes_into_files(feeder, api, tmp_path):
    write_parquet(tmp_path / "0.parquet", [{"id": 0, "raw": PIXEL}, {"id": 1, "raw": blob(7)}])
    dataset, _ = api.dataset_of("pictures", location(tmp_path))
    first, second = preview(api, dataset, 0, 2)["samples"]
    name = first["raw"].removeprefix("file://")
    assert re.fullmatch(r"[0-9a-f]{32}\.png", name)
    picture = api.get(f"/files/{name}")
    assert (picture.status, picture.body, picture.headers["content-type"]) == (200, PIXEL, "image/png")
    assert second["raw"] == "<bytes>"


@pytest.mark.published(fails="a 500 that the dataset has no shards")
def test_a_preview_beyond_the_end_is_empty(api, dataset):
    shown = preview(api, dataset[0], 98, 10)
    assert [one["id"] for one in shown["samples"]] == [98, 99]


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "nope.png", pytest.param("%00", marks=pytest.mark.published(fails="a 500"))],
)
def test_files_are_those_of_previews_alone(api, name):
    assert api.get(f"/files/{name}").status in (400, 404)


# --- statistics


def statistics(api, dataset: str) -> dict:
    def ready():
        reply = api.get(f"/datasets/{dataset}/statistics")
        if reply.status == 400:
            assert detail(reply) == "Dataset statistics are being computed. Please try again later."
            return None
        return ok(reply)["statistics"]

    return poll(ready, "the statistics", SOON_S)


def test_statistics_of_a_dataset(api, tmp_path):
    def wide(number: int) -> dict:
        return {"id": number, "score": float(number), "size": 10 if number % 4 else 20, "text": "x" * (1 + number % 30)}

    dataset, _ = api.dataset_of("numbers", write_shards(tmp_path / "rows", 4, 50, make=wide), shards=4)
    found = statistics(api, dataset)
    assert set(found) == {"id", "score", "size", "text"}
    score = found["score"]
    assert set(score) == {"type", "histogram", "nan_count", "max", "min", "mean", "median", "std"}
    assert (score["type"], score["min"], score["max"], score["nan_count"]) == ("numeric", 0, 199, 0)
    assert score["mean"] == pytest.approx(99.5) and score["std"] == pytest.approx(math.sqrt((200**2 - 1) / 12), rel=0.01)
    assert sum(score["histogram"]["hist"]) == pytest.approx(200)
    assert len(score["histogram"]["bin_edges"]) == len(score["histogram"]["hist"]) + 1 <= 11
    size = found["size"]
    assert size["type"] == "categorical" and size["frequencies"] == {"10": 150, "20": 50}
    assert (size["n_unique"], size["nan_count"]) == (2, 0)
    text = found["text"]
    assert (text["type"], text["min"], text["max"]) == ("numeric", 1, 30), "long texts count by their length"


def test_statistics_of_a_shard(api, dataset):
    base = f"/datasets/{dataset[0]}/shardsets/{dataset[1]}/shards"
    shard = ok(api.get(f"{base}?offset=2&limit=1"))["shards"][0]["id"]
    found = ok(api.get(f"{base}/{shard}/statistics"))
    assert found["shard_id"] == shard and set(found["data"]) == set(row(0))
    assert found["data"]["width"] == {
        "type": "categorical",
        "nan_count": 0,
        "n_unique": 2,
        "frequencies": {"640": 7, "1280": 3},
    }
    caption = found["data"]["caption"]
    assert (caption["type"], caption["count"], caption["min"], caption["max"], caption["sum"]) == ("numeric", 10, 26, 26, 260)


# --- registries


def test_the_registries_describe_what_there_is(api):
    for registry, name, args in [
        ("filters", "uid_mod", [["mod", "int"], ["remainder", "int"]]),
        ("filters", "at_most", [["limit", "Optional"]]),
        ("filters", "min_max", None),
        ("categorizers", "remainder", [["of", "int"]]),
        ("collaters", "lists", []),
        ("collaters", "default", None),
        ("preprocessors", "add_suffix", [["suffix", "str"]]),
        ("preprocessors", "slow", [["seconds", "float"]]),
    ]:
        found = api.function(name, registry)
        assert found, f"{name} is not among the {registry}"
        assert set(found) == {"registry", "name", "args", "md5"}
        assert found["registry"].lower() == registry[:-1] + "registry"
        assert re.fullmatch("[0-9a-f]{32}", found["md5"])
        assert args is None or found["args"] == args


# --- a new shardset from a pipeline


def preprocessing(out, **options) -> dict:
    return {
        "shardset_location": location(out),
        "preprocessors": [{"name": "add_suffix", "params": {"suffix": "_q"}}],
        "export_columns": ["marked"],
        "batch_size": 4,
        **options,
    }


def run_task(api, dataset: str, payload: dict):
    task = ok(api.post(f"/datasets/{dataset}/preprocess", payload))["task_id"]
    assert task == f"{dataset}-add_suffix-{payload['shardset_location']}"
    poll(lambda: task not in [one["task_id"] for one in ok(api.get("/background-tasks/"))], "the end of the task", SOON_S)


def exported(out) -> list[list[dict]]:
    return [pyarrow.parquet.read_table(path).to_pylist() for path in sorted(out.iterdir())]


def test_a_pipeline_makes_a_shardset_that_joins_its_source(api, dataset, out):
    run_task(api, dataset[0], preprocessing(out, source_shardset_ids=[dataset[1]]))
    files = exported(out)
    assert [path.name for path in sorted(out.iterdir())] == [f"shard.{shard:05d}.parquet" for shard in range(10)]
    assert files[3] == [{"id": number, "marked": f"{number}_q"} for number in range(30, 40)]
    made = api.create_shardset(dataset[0], location(out), shards=10)["id"]
    ok(api.put(f"/datasets/{dataset[0]}/shardsets/{dataset[1]}", {"is_main": True}))
    batches = api.drain(api.iterate(dataset[0], shardsets=[dataset[1], made], batch_size=10))
    assert values(batches, "marked") == [f"{number}_q" for number in range(100)]


def test_existing_files_are_kept_unless_they_are_to_be_written_again(api, dataset, out):
    write_parquet(out / "shard.00000.parquet", [{"id": 0, "marked": "mine"}])
    run_task(api, dataset[0], preprocessing(out))
    assert exported(out)[0] == [{"id": 0, "marked": "mine"}] and len(exported(out)) == 10
    run_task(api, dataset[0], preprocessing(out, overwrite=True))
    assert len(exported(out)[0]) == 10


def test_a_short_last_batch_of_a_shard_may_be_dropped(api, dataset, out):
    run_task(api, dataset[0], preprocessing(out, drop_last=True))
    assert [len(one) for one in exported(out)] == [8] * 10


@pytest.mark.parametrize(
    "change, status, text",
    [
        ({"batch_size": 0}, 400, "Batch size must be greater than 0"),
        ({"batch_size": -2}, 400, "Batch size must be greater than 0"),
    ],
)
def test_a_pipeline_that_cannot_be_is_refused(api, dataset, tmp_path, change, status, text):
    reply = api.post(f"/datasets/{dataset[0]}/preprocess", preprocessing(tmp_path, **change))
    assert (reply.status, detail(reply)) == (status, text)


def test_a_task_can_be_aborted(api, tmp_path, out):
    place = write_shards(tmp_path / "rows", 10, 10)
    dataset, _ = api.dataset_of("abort", place, shards=10)
    slow = [{"name": "slow", "params": {"seconds": 1.0}}]
    payload = preprocessing(out, preprocessors=slow, export_columns=["slow"], batch_size=1)
    task = ok(api.post(f"/datasets/{dataset}/preprocess", payload))["task_id"]
    shown = [one for one in ok(api.get("/background-tasks/")) if one["task_id"] == task]
    assert shown and set(shown[0]) == {"task_id", "status", "current", "total"}
    reply = api.post(f"/background-tasks/{urllib.parse.quote(task, safe='')}/abort")
    if reply.status == 404:  # the published router sees the slashes of the name as parts of the path
        return
    assert ok(reply) is None

    def over() -> bool:
        of_task = [one for one in ok(api.get("/background-tasks/")) if one["task_id"] == task]
        return not of_task or of_task[0]["status"] in ("aborted", "failed")

    poll(over, "the end of the aborted task", SOON_S)
    assert len(list(out.iterdir())) < 10
    assert api.wait_synced(dataset, ok(api.get(f"/datasets/{dataset}"))["shardsets"][0]["id"], 10)


# --- the client's converters


@pytest.mark.published(fails="no sync ever ends as the converter expects", strict=False)
def test_tar_files_can_be_served_without_a_converter(api, tmp_path):
    """What `Converter.get("webdataset")` is for: a folder of tar files becomes a dataset."""
    folder = tmp_path / "tars"
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as archive:
        for key in ("a", "b"):
            member = tarfile.TarInfo(f"{key}.txt")
            member.size = 1
            archive.addfile(member, io.BytesIO(key.encode()))
    dataset, _ = api.dataset_of("tars", location(folder), uid="__key__")
    assert values(api.drain(api.iterate(dataset, batch_size=2)), "__key__") == ["a", "b"]

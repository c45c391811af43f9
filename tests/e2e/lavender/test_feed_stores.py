"""Shardsets that lie elsewhere: on an S3-compatible server, a web site, a fake of the Hugging Face hub, and their failures."""

import time

import pytest
from data import location, order, row, tag, write_parquet, write_shards
from feed_api import detail, is_end, ok, unique, values
from feeder import copied_modules, new_feeder
from node import poll
from s3_server import S3Server
from samples import decode
from web_server import HubServer, WebServer

SHUFFLE = {"shuffle": True, "shuffle_seed": 42, "shuffle_block_size": 3, "batch_size": 10}
SOON_S = 30.0


@pytest.fixture(scope="module")
def s3():
    with S3Server() as server:
        yield server


@pytest.fixture(scope="module")
def hub():
    with HubServer(token="hf_test") as server:
        yield server


@pytest.fixture(scope="module")
def remote(tmp_path_factory, s3, hub):
    """A server that knows the stores of these tests, and a small cache."""
    folder = tmp_path_factory.mktemp("remote")
    environment = {**s3.environment(), **hub.environment(), "LAVENDER_DATA_READER_DISK_CACHE_SIZE": str(1 << 20)}
    feeder = new_feeder(data_dir=folder / "data", modules_dir=copied_modules(folder), environment=environment).start()
    yield feeder
    feeder.stop()
    print(f"--- log\n{feeder.log()[-6000:]}")


@pytest.fixture
def web(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    with WebServer(folder) as server:
        yield server


def check_epoch(api, dataset: str):
    batches = api.drain(api.iterate(dataset, **SHUFFLE))
    assert values(batches) == order([10] * 10, 42, 3)
    assert values(batches, "caption") == [row(number)["caption"] for number in values(batches)]


def test_s3_from_the_listing_to_the_last_sample(remote, s3, tmp_path):
    write_shards(tmp_path / "rows")
    place = s3.put_folder(tmp_path / "rows", unique("rows"))
    dataset, shardset = remote.api.dataset_of("s3", place, shards=10)
    check_epoch(remote.api, dataset)
    shards = ok(remote.api.get(f"/datasets/{dataset}/shardsets/{shardset}/shards?offset=0&limit=1"))["shards"]
    assert shards[0]["location"] == f"{place}/shard.00000.parquet"


def test_s3_with_more_files_than_one_page_and_in_order(remote, s3, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(30):
        write_parquet(folder / f"{number:04d}.parquet", [row(number)])
    place = s3.put_folder(folder, unique("many"))
    dataset, _ = remote.api.dataset_of("s3 many", place, shards=30)
    assert values(remote.api.drain(remote.api.iterate(dataset, batch_size=10))) == list(range(30))


def test_s3_and_a_disk_join(remote, s3, tmp_path):
    write_shards(tmp_path / "features", make=tag)
    dataset, main = remote.api.dataset_of("s3 join", write_shards(tmp_path / "main"), shards=10)
    place = s3.put_folder(tmp_path / "features", unique("features"))
    feature = remote.api.create_shardset(dataset, place, shards=10)["id"]
    ok(remote.api.put(f"/datasets/{dataset}/shardsets/{main}", {"is_main": True}))
    batches = remote.api.drain(remote.api.iterate(dataset, shardsets=[main, feature], batch_size=10))
    assert values(batches, "tag") == [f"t{number % 7}" for number in range(100)]


def test_s3_receives_what_a_pipeline_makes(remote, s3, tmp_path):
    prefix = unique("made")
    dataset, shardset = remote.api.dataset_of("s3 out", write_shards(tmp_path / "rows", 3, 10), shards=3)
    payload = {
        "shardset_location": s3.location(prefix),
        "source_shardset_ids": [shardset],
        "preprocessors": [{"name": "add_suffix", "params": {}}],
        "export_columns": ["marked"],
        "batch_size": 5,
    }
    ok(remote.api.post(f"/datasets/{dataset}/preprocess", payload))
    poll(lambda: len(s3.keys(f"{prefix}/")) == 3, "the files of the new shardset", SOON_S)
    made = remote.api.create_shardset(dataset, s3.location(prefix), shards=3)["id"]
    ok(remote.api.put(f"/datasets/{dataset}/shardsets/{shardset}", {"is_main": True}))
    batches = remote.api.drain(remote.api.iterate(dataset, shardsets=[shardset, made], batch_size=10))
    assert values(batches, "marked") == [f"{number}_x" for number in range(30)]


@pytest.mark.parametrize("place", ["s3://bucket/none-here", "s3://no-such-bucket/x"])
def test_s3_without_files_is_refused(remote, place):
    dataset = remote.api.create_dataset(unique("s3 empty"))["id"]
    reply = remote.api.post(f"/datasets/{dataset}/shardsets", {"location": place, "columns": []})
    assert reply.status == 400 and detail(reply).startswith("No shards found in location"), reply.text


@pytest.mark.published(fails="its http:// lacks a method, only https:// works")
def test_a_web_site_from_the_listing_to_the_last_sample(remote, web, tmp_path):
    write_shards(tmp_path / "site" / "rows")
    dataset, _ = remote.api.dataset_of("web", web.location("rows"), shards=10)
    check_epoch(remote.api, dataset)


@pytest.mark.published(fails="its http:// lacks a method, only https:// works")
def test_a_web_site_of_csv_files_as_in_the_quick_start(remote, web, tmp_path):
    write_shards(tmp_path / "site" / "images", kind="csv")
    dataset = remote.api.create_dataset(unique("my_dataset"), location=web.location("images") + "/")["id"]
    shardset = ok(remote.api.get(f"/datasets/{dataset}"))["shardsets"][0]["id"]
    remote.api.wait_synced(dataset, shardset, 10)
    found = values(remote.api.drain(remote.api.iterate(dataset, batch_size=10)))
    assert found == [str(number) for number in range(100)]


@pytest.mark.published(skip="it needs a package of the hub's own")
def test_a_repository_of_the_hub(remote, hub, tmp_path):
    write_shards(tmp_path / "rows", 10, 10)
    place = hub.put_folder(tmp_path / "rows", "org/repo", "data")
    dataset, _ = remote.api.dataset_of("hub", place, shards=10)
    check_epoch(remote.api, dataset)
    assert any(path.startswith("/blob/") for _, path in hub.requests), "large files come from where they are redirected to"


# --- failures on the way


@pytest.mark.published(fails="it retries, but not broken bodies", strict=False)
def test_a_server_that_fails_now_and_then_is_asked_again(remote, web, tmp_path):
    write_shards(tmp_path / "site" / "rows", 3, 10)
    for shard in range(3):
        web.fail(f"/rows/shard.{shard:05d}.parquet", 503, times=1)
        web.cut(f"/rows/shard.{shard:05d}.parquet", 100, times=1)
    dataset, _ = remote.api.dataset_of("web", web.location("rows"), shards=3)
    assert values(remote.api.drain(remote.api.iterate(dataset, batch_size=10))) == list(range(30))


@pytest.mark.published(skip="it keeps what it has read in memory for ever")
def test_a_file_that_changes_on_the_server_is_not_mixed_with_its_old_self(make_feeder, web, tmp_path):
    """The cache is empty after a restart of the machine; here it is simply too small for the file."""
    write_shards(tmp_path / "site" / "rows", 3, 10)
    feeder = make_feeder(environment={"LAVANDIN_SHARD_CACHE_BYTES": "4096"}).start()
    dataset, _ = feeder.api.dataset_of("web", web.location("rows"), shards=3)
    iteration = feeder.api.iterate(dataset, batch_size=5)
    got = [feeder.api.next_batch(iteration)]
    write_parquet(tmp_path / "site" / "rows" / "shard.00002.parquet", [row(number + 500) for number in range(20, 30)])
    failures = []
    for _ in range(20):
        reply = feeder.api.next(iteration)
        if is_end(reply):
            break
        if reply.status == 200:
            got.append(decode(reply.body))
        else:
            failures.append(detail(reply))
    assert all(number < 500 for number in values(got)), "rows of the changed file are not passed off as those of the old"
    assert set(values(got)) >= set(range(20))
    missing = set(range(30)) - set(values(got))
    assert bool(failures) == bool(missing) and all("shard.00002.parquet" in text for text in failures)


@pytest.mark.published(skip="it fails otherwise")
def test_a_file_that_is_gone_from_the_server_is_named(make_feeder, web, tmp_path):
    write_shards(tmp_path / "site" / "rows", 3, 10)
    feeder = make_feeder(environment={"LAVANDIN_SHARD_CACHE_BYTES": "4096"}).start()
    dataset, shardset = feeder.api.dataset_of("web", web.location("rows"), shards=3)
    (tmp_path / "site" / "rows" / "shard.00001.parquet").unlink()
    said = feeder.api.create_iteration(dataset, batch_size=10)
    if said.status == 200:
        replies = [feeder.api.next(said.json["id"]) for _ in range(3)]
        said = next(reply for reply in replies if reply.status != 200)
    assert said.status in (400, 409, 500) and "shard.00001.parquet" in detail(said)


@pytest.mark.published(skip="it has no such limit for what it keeps in memory")
def test_the_cache_stays_under_its_cap(make_feeder, web, tmp_path):
    write_shards(tmp_path / "site" / "rows", 40, 50)
    size = sum(path.stat().st_size for path in (tmp_path / "site" / "rows").iterdir())
    cap = size // 4
    feeder = make_feeder(environment={"LAVENDER_DATA_READER_DISK_CACHE_SIZE": str(cap)}).start()
    dataset, _ = feeder.api.dataset_of("web", web.location("rows"), shards=40)
    for epoch in range(2):
        options = {"shuffle": True, "shuffle_seed": epoch, "shuffle_block_size": 4, "batch_size": 50}
        assert sorted(values(feeder.api.drain(feeder.api.iterate(dataset, **options)))) == list(range(2000))
        kept = sum(path.stat().st_size for path in feeder.data_dir.rglob("*") if path.is_file() and "cache" in str(path.relative_to(feeder.data_dir)))
        assert kept <= cap + size // 40 + 65536


def test_an_unreachable_server_is_refused_in_time(remote):
    dataset = remote.api.create_dataset(unique("unreachable"))["id"]
    began = time.monotonic()
    reply = remote.api.post(f"/datasets/{dataset}/shardsets", {"location": "http://127.0.0.1:9/rows", "columns": []})
    assert reply.status == 400 and detail(reply)
    assert time.monotonic() - began < 60


@pytest.mark.published(skip="it has no such option")
def test_files_outside_the_roots_are_refused(make_feeder, tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    place, other = write_shards(inside / "rows", 2, 5), write_shards(outside / "rows", 2, 5)
    feeder = make_feeder(arguments=("--file-roots", inside)).start()
    dataset, _ = feeder.api.dataset_of("roots", place, shards=2)
    (inside / "escape").symlink_to(outside / "rows")
    for refused in (other, f"file://{inside}/../outside/rows", location(inside / "escape")):
        reply = feeder.api.post(f"/datasets/{dataset}/shardsets", {"location": refused, "columns": []})
        assert reply.status in (400, 403), refused
    payload = {
        "shardset_location": location(outside / "made"),
        "preprocessors": [{"name": "add_suffix", "params": {}}],
        "export_columns": ["marked"],
        "batch_size": 5,
    }
    assert feeder.api.post(f"/datasets/{dataset}/preprocess", payload).status in (400, 403)
    assert not (outside / "made").exists()

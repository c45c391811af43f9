"""API keys on the dataset API: who is let in where, with which words the others are refused, and what is kept of a secret."""

import base64
import os
import re
import subprocess
import time

import lavender_data.client as lavender
import pytest
from data import write_shards
from feed_api import FeedApi, basic_header, detail, ok, values
from feeder import Feeder, copied_modules, new_feeder, published
from lavender_data.client.api import LavenderDataApiError
from node import binary, clean_environment, poll

OPEN = ["/version"]
OURS_OPEN = ["/", "/healthz", "/readyz"]
GUARDED = [
    ("GET", "/datasets/"),
    ("POST", "/datasets/"),
    ("GET", "/datasets/ds-nope"),
    ("GET", "/datasets/ds-nope/statistics"),
    ("POST", "/datasets/ds-nope/preprocess"),
    ("GET", "/datasets/ds-nope/shardsets/ss-nope"),
    ("POST", "/datasets/ds-nope/shardsets/ss-nope/sync"),
    ("GET", "/iterations/"),
    ("POST", "/iterations/"),
    ("GET", "/iterations/it-nope/progress"),
    ("GET", "/iterations/it-nope/next?rank=0"),
    ("POST", "/iterations/it-nope/complete/0"),
]
ONCE_OPEN = [
    ("GET", "/registries/filters"),
    ("GET", "/registries/preprocessors"),
    ("GET", "/background-tasks/"),
    ("POST", "/background-tasks/nope/abort"),
    ("GET", "/files/nope"),
    ("GET", "/openapi.json"),
]
SOON_S = 20.0


def keys_command(data_dir, *arguments) -> str:
    command = [binary(), "keys", *arguments, "--data-dir", str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_keyed(folder, **options) -> tuple[Feeder, str]:
    """A server that asks for keys, and one that fits: `id:secret`."""
    if published():
        feeder = new_feeder(data_dir=folder / "data", basic="soon known", **options).start()
        found = poll(lambda: re.search(r"(la-[a-z0-9]{20}:\S+)", feeder.log()), "the key in the log", SOON_S)
        feeder.basic = found.group(1)
        return feeder, feeder.basic
    pair = keys_command(folder / "data", "create", "--note", "for tests").strip().splitlines()[-1]
    return new_feeder(data_dir=folder / "data", basic=pair, **options).start(), pair


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keyed")
    feeder, _ = make_keyed(folder, modules_dir=copied_modules(folder))
    yield feeder
    feeder.stop()
    print(f"--- log\n{feeder.log()[-4000:]}")


def ask(feeder, method: str, path: str, header: str | None = None):
    api = FeedApi(feeder.port)
    try:
        return api.call(method, path, headers={} if header is None else {"Authorization": header})
    finally:
        api.close()


def test_a_key_is_an_id_and_a_secret(keyed):
    assert re.fullmatch(r"la-[a-z0-9]{20}:[A-Za-z0-9_-]{20,}", keyed.basic)


@pytest.mark.parametrize("path", OPEN)
def test_the_version_is_open(keyed, path):
    for header in (None, "Basic !!!", basic_header("la-none:none")):
        assert ask(keyed, "GET", path, header).status == 200


@pytest.mark.published(skip="it has none of them")
@pytest.mark.parametrize("path", OURS_OPEN)
def test_life_signs_are_open(keyed, path):
    assert ask(keyed, "GET", path).status == 200


def refusals(keyed) -> list:
    key_id, secret = keyed.basic.split(":", 1)
    return [
        (None, "Not authenticated"),
        ("Digest abc", "Not authenticated"),
        ("Basic !!!", "Invalid authentication credentials"),
        ("Basic " + base64.b64encode(b"no colon").decode(), "Invalid authentication credentials"),
        (basic_header("la-none:none"), "Invalid API key"),
        (basic_header(f"{key_id}:wrong"), "Invalid API key"),
        (basic_header(f"{key_id}:"), "Invalid API key"),
        (basic_header(f"{key_id}:{secret}x"), "Invalid API key"),
        (basic_header(f"{key_id}:{secret[:-1]}"), "Invalid API key"),
        (basic_header(f":{secret}"), "Invalid API key"),
    ]


@pytest.mark.parametrize("method, path", GUARDED)
def test_datasets_and_iterations_want_a_key(keyed, method, path):
    for header, text in refusals(keyed):
        reply = ask(keyed, method, path, header)
        assert (reply.status, detail(reply)) == (401, text), header
        if header is None:
            assert reply.headers["www-authenticate"].startswith("Basic")
    assert ask(keyed, method, path, basic_header(keyed.basic)).status != 401


@pytest.mark.published(fails="everybody may call them")
@pytest.mark.parametrize("method, path", ONCE_OPEN)
def test_nothing_else_is_open(keyed, method, path):
    for header, _ in refusals(keyed):
        assert ask(keyed, method, path, header).status == 401
    assert ask(keyed, method, path, basic_header(keyed.basic)).status != 401


@pytest.mark.published(skip="it knows Basic alone")
def test_bearer_carries_the_same_keys(keyed):
    assert ask(keyed, "GET", "/datasets/", f"Bearer {keyed.basic}").status == 200
    assert ask(keyed, "GET", "/datasets/", f"Bearer {keyed.basic}x").status == 401
    assert ask(keyed, "POST", "/list_databases", f"Bearer {keyed.basic}").status != 401


def test_the_client_works_with_its_key_and_not_without(keyed, hundred):
    dataset, shardset = keyed.api.dataset_of("keyed", hundred, shards=10)
    lavender.init(api_url=keyed.url, api_key=keyed.basic)
    loader = lavender.LavenderDataLoader(dataset_id=dataset, shardsets=[shardset], batch_size=20)
    assert [number for batch in loader for number in batch["id"]] == list(range(100))
    with pytest.raises(LavenderDataApiError, match="Invalid API key"):
        lavender.LavenderDataClient(api_url=keyed.url, api_key="la-none:none").get_datasets()
    with pytest.raises(LavenderDataApiError, match="Not authenticated"):
        lavender.LavenderDataClient(api_url=keyed.url).get_datasets()


@pytest.mark.published(skip="it knows no plain key")
def test_a_plain_key_of_the_command_line(make_feeder):
    feeder = make_feeder(key="plain key").start()
    for header, status in [
        (None, 401),
        ("Bearer plain key", 200),
        (basic_header("anyone:plain key"), 200),
        (basic_header("anyone:another"), 401),
        ("Bearer another", 401),
    ]:
        assert ask(feeder, "GET", "/datasets/", header).status == status, header


@pytest.mark.published(skip="its switch is the other way round")
@pytest.mark.parametrize("name", ["LAVENDER_DATA_DISABLE_AUTH", "LAVANDIN_DISABLE_AUTH"])
def test_authentication_can_be_switched_off(tmp_path, name):
    keys_command(tmp_path / "data", "create")
    feeder = new_feeder(data_dir=tmp_path / "data", environment={name: "true"}).start()
    try:
        assert ask(feeder, "GET", "/datasets/").status == 200
        assert ask(feeder, "GET", "/datasets/", "Basic !!!").status == 200
    finally:
        feeder.stop()


@pytest.mark.published(skip="keys of its own kind")
def test_keys_are_made_locked_and_ended_while_the_node_runs(make_feeder):
    feeder = make_feeder().start()
    api = feeder.api
    assert ok(api.get("/datasets/")) == []
    first = ok(api.post("/keys", {"note": "first"}))["key"]
    assert ask(feeder, "GET", "/datasets/").status == 401, "keys are on as soon as one exists"
    held = basic_header(first)
    owner = feeder.connect_api(basic=first)
    ended = ok(owner.post("/keys", {"expires_at_s": int(time.time()) - 5}))["key"]
    reply = ask(feeder, "GET", "/datasets/", basic_header(ended))
    assert (reply.status, detail(reply)) == (401, "API key expired")
    locked = ok(owner.post("/keys", {}))
    ok(owner.put(f"/keys/{locked['id']}", {"locked": True}))
    reply = ask(feeder, "GET", "/datasets/", basic_header(locked["key"]))
    assert (reply.status, detail(reply)) == (401, "API key is locked")
    ok(owner.put(f"/keys/{locked['id']}", {"locked": False}))
    assert ask(feeder, "GET", "/datasets/", basic_header(locked["key"])).status == 200
    ok(owner.delete(f"/keys/{locked['id']}"))
    assert ask(feeder, "GET", "/datasets/", basic_header(locked["key"])).status == 401
    owner.close()
    feeder.kill()
    feeder.start()
    assert ask(feeder, "GET", "/datasets/", held).status == 200, "a key survives a crash"
    assert ask(feeder, "GET", "/datasets/").status == 401


@pytest.mark.published(skip="it keeps secrets as they are")
def test_a_secret_is_nowhere_on_the_disk(tmp_path):
    feeder, pair = make_keyed(tmp_path)
    secret = pair.split(":", 1)[1].encode()
    try:
        assert ok(feeder.api.get("/datasets/")) == []
        feeder.terminate()
        files = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
        assert len(files) > 2
        for path in files:
            with open(path, "rb") as file:
                assert secret not in file.read(), path
    finally:
        feeder.stop()


@pytest.mark.published(skip="a node of ours")
def test_a_node_is_set_up_by_the_environment_of_the_published_server(tmp_path):
    """LAVENDER_DATA_* are read where neither a flag nor LAVANDIN_* says otherwise."""
    modules = copied_modules(tmp_path)
    environment = {"LAVENDER_DATA_MODULES_DIR": str(modules), "LAVENDER_DATA_NUM_WORKERS": "1"}
    feeder = new_feeder(data_dir=tmp_path / "data", environment=environment).start()
    try:
        names = [one["name"] for one in ok(feeder.api.get("/registries/filters"))]
        assert "uid_mod" in names and "min_max" in names
        place = write_shards(tmp_path / "rows", 1, 5)
        dataset, _ = feeder.api.dataset_of("environment", place)
        filters = [{"name": "uid_mod", "params": {}}]
        assert values(feeder.api.drain(feeder.api.iterate(dataset, filters=filters))) == [0, 2, 4]
    finally:
        feeder.stop()

"""User code: what a module may do wrong, and that it costs a clear error for its batch and never the server.

Also: modules that change, appear and go while the server runs, and that no Python runs without user code.
"""

import os
import signal
import time

import pytest
from data import order, write_shards
from feed_api import detail, ok, values
from feeder import copied_modules, new_feeder, wait_ended
from node import poll
from samples import CURRENT, decode

SOON_S = 15.0
OURS = pytest.mark.published(skip="user code runs in the server itself")
TIME_LIMIT_S = 2
MEMORY_LIMIT_MB = 512


def named(name: str, **params) -> list[dict]:
    return [{"name": name, "params": params}]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server with a short time limit, a small memory limit and one Python process."""
    folder = tmp_path_factory.mktemp("guarded")
    arguments = ("--python-workers", 1, "--python-time-limit-secs", TIME_LIMIT_S)
    arguments += ("--python-memory-limit-mb", MEMORY_LIMIT_MB)
    feeder = new_feeder(data_dir=folder / "data", modules_dir=copied_modules(folder), arguments=arguments).start()
    yield feeder
    feeder.stop()
    print(f"--- log\n{feeder.log()[-6000:]}")


def dataset_on(feeder, hundred) -> str:
    return feeder.api.dataset_of("guarded", hundred, shards=10)[0]


# --- what it may give


def test_everything_that_the_layout_knows_arrives(api, dataset):
    batch = api.next_batch(api.iterate(dataset[0], batch_size=2, preprocessors=named("everything")))
    assert batch["matrix"].tolist() == [[0, 1, 2], [3, 4, 5]] and batch["matrix"].dtype == "int32"
    assert batch["halves"].tolist() == [0, 0.25, 0.5, 0.75, 1] and batch["halves"].dtype == "float16"
    assert batch["words"].tolist() == ["ab", "ç"]
    assert batch["empty"].shape == (0, 4)
    assert batch["raw"] == b"\x00\x01\xff" and batch["pair"] == [1, 2] and batch["nothing"] is None
    assert batch["nest"] == {"a": [1, {"b": 2.5}], "bytes": b"z"}
    assert batch["flags"] == [True, False] and batch["text"] == 'quote " slash / ünï \n'
    assert batch["not_a_number"] != batch["not_a_number"]


def test_what_is_not_touched_stays_as_it_was(api, dataset):
    plain = api.next_batch(api.iterate(dataset[0], batch_size=10))
    passed = api.next_batch(api.iterate(dataset[0], batch_size=10, preprocessors=named("noop")))
    assert passed == plain and list(passed) == list(plain)


def test_a_module_may_write_to_where_it_likes(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=50, preprocessors=named("talk"))
    assert values(api.drain(iteration)) == list(range(100))


def test_two_connections_run_two_batches_at_once_and_in_order(feeder, api, dataset):
    """Four slow batches of two ranks take less than four times one batch."""
    options = {"batch_size": 10, "world_size": 2, "preprocessors": named("slow", seconds=0.3)}
    (iteration,) = {api.iterate(dataset[0], rank=rank, **options) for rank in (0, 1)}
    assert [api.next_batch(iteration)["id"][0] for _ in range(3)] == [0, 10, 20]


def first_stamp(api, iteration: str, rank: int, **options) -> str:
    return api.next_batch(iteration, rank, **options)["stamp"][0]


@OURS
def test_ranks_of_a_group_share_what_was_made_of_a_batch(api, tmp_path):
    dataset = api.dataset_of("shared", write_shards(tmp_path / "rows", 2, 10), shards=2)
    options = {"batch_size": 5, "replication_pg": [[0, 1]], "preprocessors": named("stamp")}
    iteration, again = (api.iterate(dataset[0], **options) for _ in range(2))
    stamps = [[first_stamp(api, iteration, rank) for _ in range(4)] for rank in (0, 1)]
    assert stamps[0] == stamps[1] and len(set(stamps[0])) == 4
    assert [first_stamp(api, again, 0) for _ in range(2)] == stamps[0][:2], "another epoch in the same order"
    assert first_stamp(api, again, 1, no_cache=True) not in stamps[0]
    others = api.iterate(dataset[0], **{**options, "batch_size": 4})
    assert first_stamp(api, others, 0) not in stamps[0], "other samples make another batch"


# --- how it may fail


def test_an_exception_is_an_error_of_its_batch_alone(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=5, preprocessors=named("raise_on", every=20, at=5))
    statuses, got = [], []
    for number in range(20):
        reply = api.next(iteration)
        statuses.append(reply.status)
        if reply.status == 200:
            got += decode(reply.body)["id"]
        else:
            text = detail(reply)
            assert "RuntimeError" in text and "raised on purpose" in text and "trouble.py" in text
            assert reply.headers["x-lavender-data-error"] == "SAMPLE_PROCESSING_ERROR"
            assert reply.headers["x-lavender-data-sample-current"] == str(number)
    assert statuses == [500 if number % 4 == 1 else 200 for number in range(20)]
    assert got == [number for number in range(100) if number // 5 % 4 != 1]


@pytest.mark.published(fails="failed samples stay in progress for ever")
def test_samples_that_failed_are_counted(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=50, preprocessors=named("raise_on", every=50, at=0))
    assert [api.next(iteration).status for _ in range(3)] == [500, 500, 400]
    progress = api.progress(iteration)
    assert (progress["failed"], progress["inprogress"], progress["current"]) == (100, [], 100)


def test_a_retry_runs_the_code_again(api, dataset, tmp_path):
    iteration = api.iterate(dataset[0], batch_size=25, preprocessors=named("raise_once", marks=str(tmp_path)))
    reply = api.next(iteration, retries=1)
    assert reply.status == 200 and decode(reply.body)["tries"] == 2


def test_too_few_retries_fail(api, dataset):
    iteration = api.iterate(dataset[0], batch_size=20, preprocessors=named("raise_on", every=20, at=0))
    assert api.next(iteration, retries=2).status == 500


@OURS
@pytest.mark.parametrize("name", ["hang", "exit"])
def test_a_process_that_hangs_or_ends_costs_its_batch_alone(guarded, hundred, name):
    dataset = dataset_on(guarded, hundred)
    api = guarded.connect_api(timeout_s=30)
    iteration = api.iterate(dataset, batch_size=1, preprocessors=named(name, at=3))
    got = [api.next_batch(iteration)["id"][0] for _ in range(3)]
    began = time.monotonic()
    reply = api.next(iteration)
    assert time.monotonic() - began < TIME_LIMIT_S + SOON_S
    assert reply.status == 500 and reply.headers["x-lavender-data-error"] == "SAMPLE_PROCESSING_ERROR"
    word = {"hang": "time", "exit": "exit"}[name]
    assert word in detail(reply).lower() and "[3]" in detail(reply) or "3" in detail(reply)
    got += [api.next_batch(iteration)["id"][0] for _ in range(3)]
    assert got == [0, 1, 2, 4, 5, 6]
    assert api.progress(iteration)["failed"] == 1
    api.close()


@OURS
def test_a_process_that_leaks_is_replaced(guarded, hundred):
    dataset = dataset_on(guarded, hundred)
    api = guarded.connect_api(timeout_s=60)
    iteration = api.iterate(dataset, batch_size=5, preprocessors=named("leak", megabytes=150))
    replies = [api.next(iteration, retries=1) for _ in range(20)]
    assert {reply.status for reply in replies} <= {200, 500}
    assert sum(reply.status == 200 for reply in replies) >= 10
    for reply in replies:
        assert reply.status == 200 or "memory" in detail(reply).lower()
    resident = {pid: resident_mb(pid) for pid in guarded.workers()}
    assert all(size < MEMORY_LIMIT_MB + 300 for size in resident.values()), resident
    plain = api.iterate(dataset, batch_size=50, preprocessors=named("noop"))
    assert values(api.drain(plain)) == list(range(100))
    api.close()


def resident_mb(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/status") as file:
            lines = [line for line in file if line.startswith("VmRSS")]
    except OSError:
        return 0.0
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


@OURS
def test_a_hanging_batch_does_not_keep_others_waiting_for_ever(guarded, hundred):
    dataset = dataset_on(guarded, hundred)
    hanging = guarded.api.iterate(dataset, batch_size=1, preprocessors=named("hang", at=0))
    key = guarded.api.submit(hanging)
    other = guarded.connect_api(timeout_s=SOON_S)
    plain = other.iterate(dataset, batch_size=100, preprocessors=named("noop"))
    assert values(other.drain(plain)) == list(range(100))
    reply = guarded.api.wait_submitted(hanging, key)
    assert reply.status == 500
    other.close()


@OURS
def test_the_node_itself_never_noticed(guarded):
    """After all of the above the same process serves."""
    assert guarded.process.poll() is None
    assert guarded.get("/readyz").status == 200


# --- modules that come, change and go

MODULE = """
from lavender_data.server import Filter

class Coming(Filter):
    name = "coming"

    def filter(self, sample: dict, *, limit: int = LIMIT) -> bool:
        return int(sample["id"]) < limit
"""


def passing(api, dataset: str) -> int:
    return len(values(api.drain(api.iterate(dataset, batch_size=1, filters=named("coming")))))


@pytest.mark.published(fails="the registry shows a change long before it is used", strict=False)
def test_a_module_that_appears_or_changes_is_used_without_a_restart(make_feeder, hundred):
    feeder = make_feeder().start()
    dataset = dataset_on(feeder, hundred)
    assert feeder.api.create_iteration(dataset, filters=named("coming")).status == 400
    module = feeder.modules_dir / "coming.py"
    module.write_text(MODULE.replace("LIMIT", "5"))
    first = poll(lambda: feeder.api.function("coming", "filters"), "the new module", SOON_S)
    assert first["registry"] == "FilterRegistry" and first["args"] == [["limit", "int"]]
    poll(lambda: passing(feeder.api, dataset) == 5, "what the new module filters", SOON_S)
    module.write_text(MODULE.replace("LIMIT", "9"))
    poll(lambda: feeder.api.function("coming", "filters")["md5"] != first["md5"], "the changed module", SOON_S)
    poll(lambda: passing(feeder.api, dataset) == 9, "what the changed module filters", SOON_S)


@pytest.mark.published(fails="nothing is ever unregistered")
def test_a_module_that_goes_is_unloaded(make_feeder, hundred):
    feeder = make_feeder().start()
    dataset = dataset_on(feeder, hundred)
    assert feeder.api.function("uid_mod", "filters")
    (feeder.modules_dir / "pipeline.py").unlink()
    poll(lambda: feeder.api.function("uid_mod", "filters") is None, "the end of the module", SOON_S)
    reply = feeder.api.create_iteration(dataset, filters=named("uid_mod"))
    assert reply.status == 400 and "uid_mod" not in detail(reply) and "min_max" in detail(reply)


def test_a_broken_module_is_said_and_leaves_the_others(make_feeder, hundred):
    feeder = make_feeder()
    (feeder.modules_dir / "broken.py").write_text("this is not python")
    (feeder.modules_dir / "missing.py").write_text("import no_such_package_at_all")
    feeder.start()
    dataset = dataset_on(feeder, hundred)
    assert feeder.api.function("uid_mod", "filters")
    iteration = feeder.api.iterate(dataset, batch_size=10, filters=named("uid_mod", mod=10))
    assert values(feeder.api.drain(iteration)) == list(range(0, 100, 10))
    assert "broken" in feeder.log() and "no_such_package_at_all" in feeder.log()


@pytest.mark.published(fails="it looks at a file every second round", strict=False)
def test_a_module_broken_by_a_change_keeps_its_last_good_version_or_goes(make_feeder, hundred):
    feeder = make_feeder()
    module = feeder.modules_dir / "coming.py"
    module.write_text(MODULE.replace("LIMIT", "5"))
    feeder.start()
    dataset = dataset_on(feeder, hundred)
    assert passing(feeder.api, dataset) == 5
    module.write_text("def broken(:")
    poll(lambda: "coming" in feeder.log() and "SyntaxError" in feeder.log() or None, "a word about the module", SOON_S)
    reply = feeder.api.create_iteration(dataset, filters=named("coming"))
    assert reply.status in (200, 400)
    assert feeder.api.function("uid_mod", "filters"), "the other modules are still there"


# --- processes


@OURS
def test_without_user_code_no_python_runs(make_feeder, hundred):
    feeder = make_feeder(modules=False).start()
    dataset = dataset_on(feeder, hundred)
    built_in = named("min_max", column="id", min_value=9)
    options = {"shuffle": True, "shuffle_seed": 1, "shuffle_block_size": 2}
    iteration = feeder.api.iterate(dataset, batch_size=10, filters=built_in, **options)
    found = values(feeder.api.drain(iteration))
    assert found == [number for number in order([10] * 10, 1, 2) if number > 9]
    assert ok(feeder.api.get("/registries/preprocessors")) == []
    assert feeder.workers() == {}


@OURS
def test_a_stopped_server_takes_its_processes_along(make_feeder, hundred):
    feeder = make_feeder().start()
    dataset = dataset_on(feeder, hundred)
    feeder.api.next_batch(feeder.api.iterate(dataset, batch_size=10, preprocessors=named("noop")))
    workers = feeder.workers()
    assert workers
    assert feeder.terminate() == 0
    wait_ended(workers)


@OURS
def test_a_worker_that_is_killed_is_replaced(make_feeder, hundred):
    feeder = make_feeder().start()
    dataset = dataset_on(feeder, hundred)
    iteration = feeder.api.iterate(dataset, batch_size=10, preprocessors=named("noop"))
    got = [feeder.api.next_batch(iteration)]
    for pid in feeder.workers():
        os.kill(pid, signal.SIGKILL)
    got += feeder.api.drain(iteration, retries=2)
    assert values(got) == list(range(100))
    assert [batch[CURRENT] for batch in got] == list(range(10))


@OURS
def test_an_interpreter_that_cannot_be_started_is_a_clear_error(make_feeder, hundred):
    feeder = make_feeder()
    feeder.interpreter = "/nonexistent/python"
    feeder.spawn()
    poll(lambda: feeder.process.poll() is not None or ready(feeder), "the server", SOON_S)
    if feeder.process.poll() is not None:
        assert "/nonexistent/python" in feeder.log()
        return
    dataset = dataset_on(feeder, hundred)
    reply = feeder.api.create_iteration(dataset, preprocessors=named("noop"))
    if reply.status == 200:
        reply = feeder.api.next(reply.json["id"])
    assert reply.status in (400, 500, 503)
    assert "/nonexistent/python" in detail(reply) + feeder.log()


def ready(feeder) -> bool:
    try:
        return feeder.get("/readyz").status == 200
    except OSError:
        return False

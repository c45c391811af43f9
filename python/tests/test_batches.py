"""Collaters and preprocessors."""

import numpy as np
import pyarrow as pa
from conftest import Ref

SOURCE = """
import threading

import numpy as np
from lavender_data.server import Collater, Preprocessor

class Rows(Collater, name="rows"):
    def collate(self, samples):
        assert all(type(sample) is dict for sample in samples)
        return {key: [sample[key] for sample in samples] for key in samples[0]}

class Few(Collater, name="few"):
    def collate(self, samples, *, keep: str = "id"):
        return {keep: np.array([sample[keep] for sample in samples])}

class Wrong(Collater, name="wrong"):
    def collate(self, samples):
        return [1]

class Add(Preprocessor, name="add"):
    def process(self, batch, *, suffix: str = "!"):
        return {"new": [f"{one}{suffix}" for one in batch["id"]]}

class Then(Preprocessor, name="then", depends_on=["add"]):
    def process(self, batch):
        return {"after": [one + "?" for one in batch["new"]]}

class InPlace(Preprocessor, name="in_place"):
    def process(self, batch):
        batch["id"][0] = 77
        batch["same"] = batch["text"]
        del batch["text"]

class Deep(Preprocessor, name="deep"):
    def process(self, batch):
        batch["tags"][0].append("z")
        return {}

class Meet(Preprocessor, name="meet"):
    barrier = threading.Barrier(2, timeout=20)
    def process(self, batch):
        self.barrier.wait()
        return {"who": "meet", "seen": "who" in batch}

class Greet(Preprocessor, name="greet"):
    def process(self, batch):
        Meet.barrier.wait()
        return {"who": "greet"}

class Boom(Preprocessor, name="boom"):
    def process(self, batch):
        return {"x": 1 // 0}

class Exits(Preprocessor, name="exits"):
    def process(self, batch):
        raise SystemExit(4)

class Ping(Preprocessor, name="ping", depends_on=["pong"]):
    def process(self, batch):
        return {}

class Pong(Preprocessor, name="pong", depends_on=["ping"]):
    def process(self, batch):
        return {}

class Texts(Preprocessor, name="texts"):
    def process(self, batch):
        return "texts"

class Returns(Preprocessor, name="returns"):
    def process(self, batch, *, what: str):
        n = len(batch["id"])
        return {"x": eval(what, {"np": np, "n": n, "batch": batch})}

class Unkeyed(Preprocessor, name="unkeyed"):
    def process(self, batch):
        return {5: 1}

class Big(Preprocessor, name="big"):
    def process(self, batch):
        return {"x": bytes(1 << 19), "y": bytes(1 << 19), "z": b""}
"""

SAMPLES = {"id": [1, 2, 3], "text": ["a", "b", "c"]}
ALL = {"id": Ref("id"), "text": Ref("text")}


def message(reply):
    return reply["error"]["message"]


def start(worker, modules):
    loaded = worker.load(modules(all=SOURCE))
    assert loaded["errors"] == []


def test_columns_that_nobody_changed_are_named(worker, modules):
    start(worker, modules)
    assert worker.batch(SAMPLES, [("add", {"suffix": "_p"})]) == {**ALL, "new": ["1_p", "2_p", "3_p"]}
    assert worker.batch(SAMPLES, [], collater="rows") == ALL
    assert worker.batch(SAMPLES, [("returns", {"what": "batch['text']"})]) == {**ALL, "x": Ref("text")}
    tags = {"id": [1], "tags": [["a"]]}
    assert worker.batch(tags, ["add"]) == {"id": Ref("id"), "tags": Ref("tags"), "new": ["1!"]}


def test_columns_changed_in_place_are_sent(worker, modules):
    start(worker, modules)
    assert worker.batch(SAMPLES, ["in_place"]) == {"id": [77, 2, 3], "same": Ref("text")}
    assert worker.batch({"tags": [["a"], []]}, ["deep"]) == {"tags": [["a", "z"], []]}


def test_a_collater_gets_its_parameters_if_it_takes_them(worker, modules):
    start(worker, modules)
    np.testing.assert_array_equal(worker.batch(SAMPLES, collater=("few", {"keep": "text"}))["text"], ["a", "b", "c"])
    assert worker.batch(SAMPLES, collater=("rows", {"no": 1})) == ALL
    assert message(worker.batch(SAMPLES, collater="wrong")) == (
        "the collater 'wrong' returned list, and a batch must be a dict"
    )


def test_dependencies_order_the_preprocessors(worker, modules):
    start(worker, modules)
    assert worker.batch({"id": [1]}, ["then", "add"]) == {"id": Ref("id"), "new": ["1!"], "after": ["1!?"]}
    assert message(worker.batch(SAMPLES, ["then"])) == (
        "preprocessor 'then' depends on 'add', which is not among the iteration's preprocessors [then]"
    )
    reply = worker.batch(SAMPLES, ["ping", "add", "pong"])
    assert reply["error"]["kind"] == "pipeline"
    assert message(reply) == "preprocessors wait for each other in a circle: ping after pong, pong after ping"


def test_those_of_one_round_run_at_the_same_time_and_merge_in_order(worker, modules):
    start(worker, modules)
    assert worker.batch({"id": [1]}, ["meet", "greet"]) == {"id": Ref("id"), "who": "greet", "seen": False}
    assert worker.batch({"id": [1]}, ["greet", "meet"])["who"] == "meet"


def test_errors_name_function_and_line(worker, modules):
    start(worker, modules)
    error = worker.batch(SAMPLES, ["boom"])["error"]
    assert error["kind"] == "raised" and error["function"] == ["preprocessor", "boom"]
    assert "all.py" in error["traceback"] and "1 // 0" in error["traceback"]
    assert message(worker.batch(SAMPLES, ["exits"])) == "SystemExit: the code called exit(4)"
    assert message(worker.batch(SAMPLES, ["add", "boom"])).startswith("ZeroDivisionError")
    assert message(worker.batch(SAMPLES, ["texts"])).startswith("the preprocessor 'texts' returned str")
    assert message(worker.batch(SAMPLES, ["unkeyed"])).startswith("the batch has the key 5 (int)")
    reply = worker.batch(SAMPLES, [("returns", {"what": "{1}"})])
    assert reply["error"]["kind"] == "result" and "key 'x' cannot be sent: a set" in message(reply)
    # The worker goes on after all of them.
    assert worker.batch(SAMPLES, ["add"])["new"] == ["1!", "2!", "3!"]


def test_a_reply_over_the_limit_is_an_error(worker, modules):
    start(worker, modules)
    assert "larger than 1048576 bytes" in message(worker.batch(SAMPLES, ["big"]))
    assert "larger than 1048576 bytes" in message(
        worker.batch(SAMPLES, [("returns", {"what": "[bytes(1 << 20)] * 3"})], arrow=True)
    )
    assert len(worker.batch(SAMPLES, ["big", ("returns", {"what": "b'12'"})])["y"]) == 1 << 19


def test_one_sample_is_taken_apart(worker, modules):
    start(worker, modules)
    one = {"id": [5], "tags": [["a"]]}
    assert worker.batch(one, ["add"], single=True) == {"id": Ref("id"), "tags": Ref("tags"), "new": "5!"}
    assert worker.batch(one, ["deep"], single=True)["tags"] == ["a", "z"]


def test_reserved_keys_stay_the_servers(worker, modules):
    start(worker, modules)
    assert worker.batch(SAMPLES, collater=("few", {"keep": "_lavender_data_current"}))["error"]
    assert worker.batch({"_lavender_data_current": [1]}, collater="rows") == {}


def test_unknown_functions_are_an_error(worker, modules):
    start(worker, modules)
    assert message(worker.batch(SAMPLES, ["nobody"])) == "there is no preprocessor 'nobody' in this worker"


def column(worker, what):
    entries, arrays = worker.batch(SAMPLES, [("returns", {"what": what})], arrow=True)
    assert entries == {**ALL, "x": None}
    return arrays.schema.field("x"), arrays.column("x")


def test_arrow_columns(worker, modules):
    start(worker, modules)
    _, array = column(worker, "np.arange(n * 2, dtype=np.float32).reshape(n, 2)")
    assert array.type == pa.list_(pa.float32(), 2) and array.to_pylist() == [[0, 1], [2, 3], [4, 5]]
    _, array = column(worker, "np.arange(n * 4, dtype=np.int16).reshape(n, 2, 2)[::-1]")
    assert array.type.shape == [2, 2]
    assert array.to_numpy_ndarray().tolist() == np.arange(12).reshape(3, 2, 2)[::-1].tolist()
    _, array = column(worker, "[np.zeros((2, 3)) for _ in range(n)]")
    assert array.type.shape == [2, 3]
    _, array = column(worker, "[np.arange(i) for i in range(n)]")
    assert array.to_pylist() == [[], [0], [0, 1]]
    _, array = column(worker, "[{'a': i} for i in range(n)]")
    assert array.to_pylist() == [{"a": 0}, {"a": 1}, {"a": 2}]
    _, array = column(worker, "np.array(['a', 'b', 'c'])")
    assert array.to_pylist() == ["a", "b", "c"]
    _, array = column(worker, "tuple(b'x' for _ in range(n))")
    assert array.to_pylist() == [b"x"] * 3
    _, array = column(worker, "np.arange(n, dtype='>i4')")
    assert array.to_pylist() == [0, 1, 2]
    assert worker.batch(SAMPLES, ["add"], collater="rows", arrow=True)[0] == {**ALL, "new": None}
    assert worker.batch(SAMPLES, [], collater="rows", arrow=True) == (ALL, None)


def test_what_is_no_column_is_named(worker, modules):
    start(worker, modules)

    def told(what):
        return message(worker.batch(SAMPLES, [("returns", {"what": what})], arrow=True))

    assert told("5").startswith("key 'x' cannot be a column: it is of type int")
    assert told("np.array(5)").startswith("key 'x' cannot be a column")
    assert told("[1]") == "key 'x' cannot be a column: it has 1 elements for 3 samples"
    assert told("[1, 'a', 2]").startswith("key 'x' cannot be a column: ")
    assert told("[object()] * 3").startswith("key 'x' cannot be a column: ")

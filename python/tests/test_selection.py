"""Filters and categorizers."""

SOURCE = """
from lavender_data.server import Categorizer, Filter

class Mod(Filter, name="mod"):
    def filter(self, sample, *, mod: int = 2):
        return sample["id"] % mod == 0

class Picky(Filter, name="picky"):
    def filter(self, sample):
        if sample["id"] == 3:
            raise ValueError(f"not {sample['id']}")
        if sample["id"] == 4:
            exit(1)
        return 1

class Size(Categorizer, name="size"):
    def categorize(self, sample):
        return "small" if sample["id"] < 4 else "large"

class Number(Categorizer, name="number"):
    def categorize(self, sample):
        return sample["id"]

class Needy(Filter, name="needy"):
    def __init__(self):
        raise OSError("the model is not there")
    def filter(self, sample):
        return True
"""


def test_all_filters_must_pass_and_the_rest_is_categorized(worker, modules):
    worker.load(modules(all=SOURCE))
    samples = {"id": list(range(13))}
    outcomes, header = worker.select(samples, ["mod", ("mod", {"mod": 3})], "size")
    assert outcomes == ["small"] + [None] * 5 + ["large"] + [None] * 5 + ["large"]
    assert header["categories"] == ["small", "large"]
    assert worker.select(samples, [], "size")[0] == ["small"] * 4 + ["large"] * 9
    assert worker.select({"id": []}, ["mod"], "size")[0] == []


def test_a_sample_fails_alone(worker, modules):
    worker.load(modules(all=SOURCE))
    outcomes, header = worker.select({"id": [1, 2, 3, 4, 3, 6]}, ["picky"])
    assert outcomes == ["", "", 0, 1, 0, ""]
    first, second = header["errors"]
    assert first["message"] == "ValueError: not 3" and first["function"] == ["filter", "picky"]
    assert first["traceback"].startswith("Traceback") and "worker" not in first["traceback"]
    assert second["message"] == "SystemExit: the code called exit(1)"


def test_a_category_must_be_a_text(worker, modules):
    worker.load(modules(all=SOURCE))
    outcomes, header = worker.select({"id": [7]}, [], "number")
    assert outcomes == [0]
    assert header["errors"][0]["message"] == (
        "the categorizer 'number' returned 7 (int), and a category must be a str"
    )


def test_a_class_that_cannot_be_made_fails_the_request(worker, modules):
    worker.load(modules(all=SOURCE))
    header, _ = worker.request("prepare", functions=[["filter", "mod"], ["filter", "needy"]])
    assert header["error"]["message"] == "OSError: the model is not there"
    assert header["error"]["function"] == ["filter", "needy"]
    header, _ = worker.request("prepare", functions=[["filter", "nobody"]])
    assert header["error"]["kind"] == "pipeline"

"""The pipeline classes by whose names the recorded exchanges call, and no others: refusals list the names that there are."""

import numpy

from lavender_data.server import Categorizer, Collater, Filter, Preprocessor


class UidMod(Filter, name="uid_mod"):
    def filter(self, sample: dict, *, mod: int = 2) -> bool:
        return int(sample["id"]) % mod == 0


class EvenOdd(Categorizer, name="even_odd"):
    def categorize(self, sample: dict) -> str:
        return "odd" if int(sample["id"]) % 2 else "even"


class PyList(Collater, name="pylist"):
    def collate(self, samples: list) -> dict:
        return {key: [sample[key] for sample in samples] for key in samples[0]}


class AddColumn(Preprocessor, name="add_col"):
    def process(self, batch: dict, *, suffix: str = "_p") -> dict:
        return {"new_column": [f"{number}{suffix}" for number in batch["id"]]}


class AfterAdd(Preprocessor, name="after_add", depends_on=["add_col"]):
    def process(self, batch: dict) -> dict:
        return {"after": [text + "!" for text in batch["new_column"]]}


class Arrays(Preprocessor, name="nparr"):
    def process(self, batch: dict) -> dict:
        return {
            "arr": numpy.arange(6, dtype=numpy.int32).reshape(2, 3),
            "raw": b"\x00\x01",
            "t": (1, 2),
            "none": None,
            "nest": {"a": [1, {"b": 2.5}]},
        }


class Boom(Preprocessor, name="boom"):
    def process(self, batch: dict, *, every: int = 10) -> dict:
        if int(batch["id"][0]) % every == 3:
            raise RuntimeError("boom on purpose")
        return {}

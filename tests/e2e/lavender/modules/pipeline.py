"""Well-behaved pipeline classes of the tests, written for `lavender_data.server`."""

import datetime
import time
import uuid
from typing import Optional

import numpy

from lavender_data.server import Categorizer, Collater, Filter, Preprocessor


class UidMod(Filter):
    name = "uid_mod"

    def filter(self, sample: dict, *, mod: int = 2, remainder: int = 0) -> bool:
        return int(sample["id"]) % mod == remainder


class AtMost(Filter, name="at_most"):
    """Named by a class keyword; a parameter may be left out."""

    def filter(self, sample: dict, *, limit: Optional[int] = None) -> bool:
        return limit is None or int(sample["id"]) <= limit


class Parity(Categorizer):
    name = "parity"

    def categorize(self, sample: dict) -> str:
        return "odd" if int(sample["id"]) % 2 else "even"


class Remainder(Categorizer):
    name = "remainder"

    def categorize(self, sample: dict, *, of: int = 7) -> str:
        return str(int(sample["id"]) % of)


class Lists(Collater):
    name = "lists"

    def collate(self, samples: list) -> dict:
        return {"id": [one["id"] for one in samples], "caption": [one["caption"] for one in samples]}


class AddSuffix(Preprocessor):
    name = "add_suffix"

    def process(self, batch: dict, *, suffix: str = "_x") -> dict:
        return {"marked": [f"{one}{suffix}" for one in batch["id"]]}


class AfterSuffix(Preprocessor):
    name = "after_suffix"
    depends_on = ["add_suffix"]

    def process(self, batch: dict) -> dict:
        return {"after": [one + "!" for one in batch["marked"]]}


class InPlace(Preprocessor):
    """Changes the batch that it is given as well as answering."""

    name = "in_place"

    def process(self, batch: dict) -> dict:
        batch["width"] = [int(one) * 2 for one in batch["width"]]
        batch["doubled"] = [int(one) * 2 for one in batch["id"]]
        return batch


class Everything(Preprocessor):
    """One value of each kind that the layout knows."""

    name = "everything"

    def process(self, batch: dict) -> dict:
        return {
            "matrix": numpy.arange(6, dtype=numpy.int32).reshape(2, 3),
            "halves": numpy.linspace(0, 1, 5, dtype=numpy.float16),
            "words": numpy.array(["ab", "ç"]),
            "empty": numpy.zeros((0, 4), dtype=numpy.float32),
            "raw": b"\x00\x01\xff",
            "pair": (1, 2),
            "nothing": None,
            "nest": {"a": [1, {"b": 2.5}], "bytes": b"z"},
            "flags": [True, False],
            "text": 'quote " slash / ünï \n',
            "not_a_number": float("nan"),
        }


class Transposed(Preprocessor):
    """Arrays whose memory is not in the order of their rows."""

    name = "transposed"

    def process(self, batch: dict) -> dict:
        table = numpy.arange(12, dtype=numpy.int64).reshape(3, 4)
        return {"turned": table.T, "striped": table[:, ::2], "backwards": table[::-1]}


class Scalars(Preprocessor):
    """What pipelines compute without a thought for encodings."""

    name = "scalars"

    def process(self, batch: dict) -> dict:
        return {
            "count": numpy.int64(3),
            "share": numpy.float32(0.5),
            "yes": numpy.bool_(True),
            "when": datetime.datetime(2026, 1, 2, 3, 4, 5),
            "means": [numpy.float64(one) for one in (1.5, 2.5)],
        }


class Noop(Preprocessor):
    name = "noop"

    def process(self, batch: dict) -> dict:
        return {}


class Stamp(Preprocessor):
    """Each run of it is told from every other one."""

    name = "stamp"

    def process(self, batch: dict) -> dict:
        return {"stamp": [uuid.uuid4().hex] * len(batch["id"])}


class SlowSuffix(Preprocessor):
    name = "slow_suffix"

    def process(self, batch: dict, *, seconds: float = 0.5, suffix: str = "_s") -> dict:
        time.sleep(seconds)
        return {"marked": [f"{value}{suffix}" for value in batch["id"]]}


class Slow(Preprocessor):
    name = "slow"

    def process(self, batch: dict, *, seconds: float = 0.5) -> dict:
        time.sleep(seconds)
        return {"slow": True}

"""Pipeline classes that fail in the ways in which users' code fails."""

import os
import sys
import time

from lavender_data.server import Categorizer, Collater, Filter, Preprocessor


class RaiseOn(Preprocessor):
    """Fails for every batch whose first id has a remainder, always the same ones."""

    name = "raise_on"

    def process(self, batch: dict, *, every: int = 10, at: int = 3) -> dict:
        if int(batch["id"][0]) % every == at:
            raise RuntimeError("raised on purpose")
        return {}


class RaiseOnce(Preprocessor):
    """Fails for each batch the first time that any worker sees it: the folder `marks` is their memory."""

    name = "raise_once"

    def process(self, batch: dict, *, marks: str) -> dict:
        mark = os.path.join(marks, str(int(batch["id"][0])))
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return {"tries": 2}
        raise RuntimeError("raised the first time")


class Orphan(Preprocessor):
    name = "orphan"
    depends_on = ["add_suffix"]

    def process(self, batch: dict) -> dict:
        return {"orphan": len(batch["marked"])}


class RoundTrip(Preprocessor):
    name = "round_trip"
    depends_on = ["round_trip_back"]

    def process(self, batch: dict) -> dict:
        return {}


class RoundTripBack(Preprocessor):
    name = "round_trip_back"
    depends_on = ["round_trip"]

    def process(self, batch: dict) -> dict:
        return {}


class Unserialisable(Preprocessor):
    name = "unserialisable"

    def process(self, batch: dict) -> dict:
        return {"thing": object()}


class BadCollater(Collater):
    name = "bad_collater"

    def collate(self, samples: list) -> dict:
        return {"id": samples[0]["no_such_column"]}


class BadFilter(Filter):
    name = "bad_filter"

    def filter(self, sample: dict) -> bool:
        if int(sample["id"]) == 7:
            raise ValueError("the filter raised on purpose")
        return True


class NotText(Categorizer):
    name = "not_text"

    def categorize(self, sample: dict) -> str:
        return int(sample["id"])


class Hang(Preprocessor):
    name = "hang"

    def process(self, batch: dict, *, at: int = 3) -> dict:
        if int(batch["id"][0]) == at:
            while True:
                time.sleep(1)
        return {}


class Exit(Preprocessor):
    """Ends the process, as an extension module that crashes does."""

    name = "exit"

    def process(self, batch: dict, *, at: int = 3) -> dict:
        if int(batch["id"][0]) == at:
            os._exit(3)
        return {}


class Leak(Preprocessor):
    """Keeps so many megabytes of each batch for ever."""

    name = "leak"
    kept = []

    def process(self, batch: dict, *, megabytes: int = 64) -> dict:
        self.kept.append(b"x" * (megabytes << 20))
        return {}


class Talk(Preprocessor):
    """Writes to where a worker might speak with its server."""

    name = "talk"

    def process(self, batch: dict) -> dict:
        print("printed by a module")
        print("printed to stderr by a module", file=sys.stderr)
        os.write(1, b"written to descriptor 1\n")
        return {"pid": os.getpid()}

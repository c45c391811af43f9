"""A preprocessor that takes processor time."""

import time

from lavender_data.server import Preprocessor


class Burn(Preprocessor):
    name = "burn"

    def process(self, batch: dict, *, ms: float = 20.0) -> dict:
        end = time.thread_time() + ms / 1000
        while time.thread_time() < end:
            pass
        return {"id2": batch["id"]}

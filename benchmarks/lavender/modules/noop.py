"""A preprocessor that does nothing: what it costs to run user code at all."""

from lavender_data.server import Preprocessor


class Noop(Preprocessor):
    name = "noop"

    def process(self, batch: dict) -> dict:
        return {"id2": batch["id"]}

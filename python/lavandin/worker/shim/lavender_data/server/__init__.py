"""What modules written for `lavender_data.server` import."""

from lavandin.pipelines import Categorizer, Collater, Filter, Preprocessor

__all__ = ["Categorizer", "Collater", "Filter", "Preprocessor"]


def __getattr__(name):
    if name == "app":
        raise ImportError(f"lavender_data.server.app is not there in a Lavandin worker, only {', '.join(__all__)}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

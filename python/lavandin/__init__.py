"""Python side of Lavandin: pipelines for training data, and the worker that runs them."""

from lavandin.pipelines import Categorizer, Collater, Filter, Preprocessor

__version__ = "0.1.0"

__all__ = ["Categorizer", "Collater", "Filter", "Preprocessor", "__version__"]

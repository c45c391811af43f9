"""Another place from which modules import the base classes."""

from lavandin.pipelines import Categorizer, Collater, Filter, Preprocessor

__all__ = ["Categorizer", "Collater", "Filter", "Preprocessor"]

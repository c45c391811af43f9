"""The package `lavender_data` as user code finds it in a worker: `server` is answered here, everything else comes
from an installed package of that name, if there is one. Its own start-up code is not run."""

import importlib
import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)


def __getattr__(name):
    if name in ("client", "shard", "serialize", "server", "storage"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

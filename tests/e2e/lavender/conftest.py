"""Fixtures of the dataset tests: servers with a modules directory, and shard files.

The marker `published(fails=…)` says why the server of the published wheel cannot pass a test, `published(skip=…)` why it
makes no sense there. They count only under LAVANDIN_TEST_PUBLISHED=1 (see feeder.py), where a test that is marked to fail
and passes is a failure: it would not see the defect.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if sys.version_info >= (3, 14):
    collect_ignore_glob = ["test_*.py"]  # the published client cannot be installed there
else:
    from data import write_shards
    from feeder import Feeder, copied_modules, new_feeder, published


def pytest_configure(config):
    config.addinivalue_line("markers", "published(fails, skip, strict): what the published server makes of a test")
    for name in [name for name in os.environ if name.startswith("LAVENDER_DATA_")]:
        del os.environ[name]  # the client reads them, and a developer's own server is not under test


def pytest_collection_modifyitems(items):
    if sys.version_info >= (3, 14) or not published():
        return
    for item in items:
        for mark in item.iter_markers("published"):
            if "skip" in mark.kwargs:
                item.add_marker(pytest.mark.skip(reason=mark.kwargs["skip"]))
            elif "fails" in mark.kwargs:
                strict = mark.kwargs.get("strict", True)
                item.add_marker(pytest.mark.xfail(reason=mark.kwargs["fails"], strict=strict))


@pytest.fixture(scope="session", autouse=True)
def program(request):
    """The published server needs no program of ours."""
    if not published():
        request.getfixturevalue("_own_program")


@pytest.fixture(scope="session")
def _own_program():
    from node import binary

    if not os.access(binary(), os.X_OK):
        pytest.exit(f"{binary()} is not a program; build it (cargo build --release) or set LAVANDIN_BIN", returncode=2)


@pytest.fixture
def make_feeder(tmp_path):
    """Makes servers that are stopped when the test ends; a failed test shows their logs."""
    feeders = []

    def make(name: str = "feeder", modules: bool = True, **options) -> "Feeder":
        folder = tmp_path / name
        folder.mkdir()
        if modules:
            options.setdefault("modules_dir", copied_modules(folder))
        feeder = new_feeder(data_dir=folder / "data", **options)
        feeders.append(feeder)
        return feeder

    yield make
    for feeder in feeders:
        feeder.stop()
        print(f"--- log of {feeder.data_dir.parent.name}\n{feeder.log()[-6000:]}")


@pytest.fixture(scope="session")
def session_feeder(tmp_path_factory):
    """One server for all tests that leave each other's datasets alone."""
    folder = tmp_path_factory.mktemp("feeder")
    feeder = new_feeder(data_dir=folder / "data", modules_dir=copied_modules(folder)).start()
    yield feeder
    feeder.stop()


@pytest.fixture
def feeder(session_feeder):
    """The shared server; a failed test shows what the server said meanwhile."""
    said = len(session_feeder.log())
    if session_feeder.process.poll() is not None:
        session_feeder.start()
    yield session_feeder
    session_feeder.drop_api()
    print(f"--- log of the shared server\n{session_feeder.log()[said:][-6000:]}")


@pytest.fixture(scope="session")
def hundred(tmp_path_factory) -> str:
    """The location of 100 rows in 10 parquet shards, which no test changes."""
    return write_shards(tmp_path_factory.mktemp("hundred"))


@pytest.fixture
def out(feeder, tmp_path) -> Path:
    """An empty folder that the server may write to: one in its data directory."""
    folder = feeder.data_dir / "exports" / tmp_path.name
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def api(feeder):
    return feeder.api


@pytest.fixture
def dataset(api, hundred) -> tuple[str, str]:
    """A dataset of the 100 rows and its shardset."""
    return api.dataset_of("hundred", hundred, shards=10)

"""Fixtures of the cluster tests: one cluster for all tests that leave it as they found it, and clusters for one test each.

`slow` marks what runs under LAVANDIN_SLOW_TESTS=1 only. A test that fails shows the logs of its cluster.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cluster import Cluster, Layout  # noqa: E402
from heads import Members  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: runs with LAVANDIN_SLOW_TESTS=1")


def pytest_collection_modifyitems(items):
    if os.environ.get("LAVANDIN_SLOW_TESTS") == "1":
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="LAVANDIN_SLOW_TESTS=1 runs it"))


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory):
    """The layout of the document's quick start, with default settings. Tests make databases of their own."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    with cluster.running():
        yield cluster


@pytest.fixture
def show_logs(shared_cluster):
    """For tests of the shared cluster: its logs, which show where the test fails."""
    yield shared_cluster
    print(shared_cluster.logs())


@pytest.fixture
def members(tmp_path):
    """Heads and workers to be added, each with a folder of its own as if it ran on a machine of its own."""
    made = Members(tmp_path, apart=True)
    yield made
    made.stop()
    print(made.logs())


@pytest.fixture
def make_cluster(tmp_path):
    """Makes clusters that are stopped when the test ends; they are not started yet."""
    clusters = []

    def make(layout: Layout = Layout()) -> Cluster:
        folder = tmp_path / f"cluster{len(clusters)}"
        folder.mkdir()
        clusters.append(Cluster(folder, layout))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.stop()
        print(cluster.logs())

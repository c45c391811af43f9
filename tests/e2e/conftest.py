"""Fixtures: nodes on temporary directories, and the records that several tests use."""

import os

import pytest
from node import Node, binary


@pytest.fixture(scope="session", autouse=True)
def program():
    """Fails once, with a sentence, where there is nothing to test."""
    path = binary()
    if not os.access(path, os.X_OK):
        pytest.exit(f"{path} is not a program; build it (cargo build --release) or set LAVANDIN_BIN", returncode=2)
    return path


@pytest.fixture
def make_node(tmp_path):
    """Makes nodes that are stopped when the test ends; a failed test shows their logs."""
    nodes = []

    def make(name: str = "node", **options) -> Node:
        node = Node(data_dir=tmp_path / name, **options)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.stop()
        print(f"--- log of {node.data_dir.name}\n{node.log()[-6000:]}")


@pytest.fixture
def node(make_node) -> Node:
    return make_node().start()


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory) -> Node:
    """One node for all tests of a module that leave each other's databases alone."""
    node = Node(data_dir=tmp_path_factory.mktemp("shared") / "node").start()
    yield node
    node.stop()


def pytest_report_header(config):
    return f"program under test: {binary()}"

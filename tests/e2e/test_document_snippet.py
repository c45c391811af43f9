"""The Python snippet of LynseDB's cluster documentation, unchanged but for the port, against one node."""

import subprocess
import sys
from pathlib import Path

from node import clean_environment

SNIPPET = Path(__file__).parent / "fixtures" / "lynsedb_cluster_snippet.py.txt"


def run_snippet(node) -> str:
    text = SNIPPET.read_text()
    assert text.count("http://127.0.0.1:7637") == 1
    text = text.replace("http://127.0.0.1:7637", node.url)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_snippet_finds_both_documents_in_order(node):
    printed = run_snippet(node)
    first, second = printed.find("doc-1"), printed.find("doc-2")
    assert 0 <= first < second, printed
    found = node.post(
        "/search",
        {"database_name": "demo", "collection_name": "docs", "vector": [0.1, 0.2, 0.3, 0.4], "k": 2, "return_fields": True},
    ).params["items"]
    assert found["ids"] == ["doc-1", "doc-2"]
    assert found["fields"] == [{"title": "first"}, {"title": "second"}]


def test_a_second_run_replaces_the_database(node):
    assert run_snippet(node) == run_snippet(node)
    shape = node.post("/collection_shape", {"database_name": "demo", "collection_name": "docs"}).params["shape"]
    assert shape == [2, 4]

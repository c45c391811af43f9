"""The documents say what is true: README's examples run, and docs/operations.md lists every flag, variable and metric
that the program has, and none that it has not.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from node import Connection, binary, clean_environment

TOP = Path(__file__).resolve().parents[2]
README_URL = "http://127.0.0.1:7637"


def block(language: str, containing: str) -> str:
    """The fenced block of README.md in that language which contains that text."""
    text = (TOP / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if containing in block)


def section(title: str) -> str:
    text = (TOP / "docs" / "operations.md").read_text(encoding="utf-8")
    level = title.split(" ", 1)[0]
    return re.split(rf"^#{{1,{len(level)}}} ", text.split(f"\n{title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def run(command: list, folder=None) -> str:
    environment = clean_environment()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_readme_python(node):
    source = block("python", "VectorDBClient")
    assert README_URL in source
    shown = run([sys.executable, "-c", source.replace(README_URL, node.url)])
    assert "'a'" in shown, shown
    assert "'b'" not in shown, shown


def test_readme_batches(node, tmp_path):
    pytest.importorskip("lavender_data")
    source = block("python", "LavenderDataLoader")
    assert README_URL in source
    shown = run([sys.executable, "-c", source.replace(README_URL, node.url)], tmp_path).splitlines()
    batches = [ast.literal_eval(line.replace("] [", "], [")) for line in shown]
    assert [len(ids) for ids, _ in batches] == [4, 4]
    found = sorted(pair for ids, widths in batches for pair in zip(ids, widths))
    assert found == [(str(shard * 5 + row), str(row * 10)) for shard in range(2) for row in range(1, 5)]


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="needs bash and curl")
def test_readme_curl(node):
    source = block("sh", "call()")
    assert README_URL in source
    replies = run(["bash", "-euc", source.replace(README_URL, node.url)]).splitlines()
    assert [reply for reply in replies if '"status":"success"' not in reply.replace(" ", "")] == []
    assert len(replies) == 4
    assert '"ids":["a"]' in replies[3].replace(" ", ""), replies[3]


def test_every_setting_is_in_operations():
    settings = section("## Settings")
    help_text = run([binary(), "serve", "--help"])
    flags = set(re.findall(r"--[a-z][a-z-]+", help_text)) - {"--help", "--version"}
    assert flags - set(re.findall(r"--[a-z][a-z-]+", settings)) == set()
    in_table = {
        flag
        for row in settings.splitlines()
        if row.startswith("| `--")
        for flag in re.findall(r"^\| `(--[a-z-]+)`", row)
    }
    assert in_table - flags == set()
    name = r"\b(?:LAVANDIN|LYNSE|LAVENDER_DATA)_[A-Z_]+"
    variables = set(re.findall(name, help_text)) | {"LAVENDER_DATA_CLUSTER_ENABLED"}  # a warning, no setting
    documented = set(re.findall(name, settings))
    assert (variables - documented, documented - variables) == (set(), set())


def test_every_metric_is_in_operations(node):
    connection = Connection(node.port)
    # Those of the cluster are there once there is one.
    assert connection.post("/create_database", {"database_name": "metrics"}).status == 200
    text = connection.get("/metrics").text
    connection.close()
    served = set(re.findall(r"^# TYPE lavandin_(\w+) ", text, re.MULTILINE))
    rows = [row.split("|")[1] for row in section("### Metrics").splitlines() if row.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)[{`]", row)}
    assert (served - documented, documented - served) == (set(), set())

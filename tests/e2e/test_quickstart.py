"""`lavandin quickstart`: a first start loads the sample, shows searches and an epoch of batches; a second finds it and
starts at once. Without a Python that can run the preprocessor, or with one that fails, the epoch goes without."""

import re
import subprocess
import sys
import textwrap
import time
import venv

import pytest
from node import STOP_DEADLINE_S, Connection, binary, clean_environment, free_port, poll


def tour(data_dir, *more, python=None) -> tuple[str, float]:
    environment = clean_environment({"LAVANDIN_PYTHON": str(python)} if python else None)
    command = [binary(), "quickstart", "--data-dir", str(data_dir), "--port", str(free_port()), "--exit", *more]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr, time.monotonic() - started


def test_the_tour_shows_texts_and_a_second_start_finds_the_data(tmp_path):
    data = tmp_path / "quick"
    first, first_s = tour(data)
    assert str(data) in first, "it names its directory"
    loaded = [int(number.replace(",", "").replace("_", "")) for number in re.findall(r"\d[\d,_]{3,}", first)]
    assert any(2000 <= number < 100000 for number in loaded), f"it says how many records it loaded: {first}"
    words = re.findall(r"[a-z]{3,}", first.lower())
    assert len(words) > 150, "results are texts, not only ids"
    assert re.search(r"where|filter", first.lower()), "a filtered search is shown"
    assert "curl" in first and "VectorDBClient" in first, "what to try next"
    assert "Princeton" in first or "WordNet" in first, "the sample's source is named"
    second, second_s = tour(data)
    assert re.search(r"found|already|existing", second.lower()), second
    assert second_s < max(5.0, first_s), (first_s, second_s)


def epoch_of(shown: str) -> tuple[str, dict]:
    """What the tour says of its epoch, and its progress by name."""
    text = shown[shown.index("\nEpoch ") :]
    text = text[: text.index("\nTry next")]
    progress = re.search(r"Progress: (.*)\.", text).group(1)
    return text, {name: int(count) for name, count in (part.split(" ") for part in progress.split(", "))}


def check_epoch(text: str, progress: dict, is_preprocessed: bool):
    batches, samples = map(int, re.search(r"One epoch: (\d+) batches with (\d+) samples", text).groups())
    assert progress["total"] > 2000 and progress["failed"] == 0
    assert progress["completed"] == samples and progress["filtered"] == progress["total"] - samples > 0
    assert batches == -(-samples // 8)
    assert len(re.findall(r"^  \S.* \(.+\): \S", text, re.MULTILINE)) == 16, "two batches of eight are shown"
    assert bool(re.search(r"\(\S+, \d+ words\): ", text)) == is_preprocessed


def test_the_tour_iterates_with_a_preprocessor(tmp_path):
    shown, _ = tour(tmp_path / "quick", python=sys.executable)
    text, progress = epoch_of(shown)
    assert "Epoch 0" in text and "Preprocessor count_words in Python" in text
    check_epoch(text, progress, is_preprocessed=True)
    assert len(list((tmp_path / "quick" / "shards").glob("*.parquet"))) == 8
    again, _ = epoch_of(tour(tmp_path / "quick", python=sys.executable)[0])
    assert "Epoch 1" in again
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    assert lines != [line for line in again.splitlines() if line.startswith("  ")], "another epoch has another order"


def test_without_a_fitting_python_the_epoch_goes_without_the_preprocessor(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    bare = tmp_path / "bare" / "bin" / "python"
    for python, why in [
        (bare, f"{bare} lacks numpy and pyarrow (-m pip install numpy pyarrow)"),
        (tmp_path / "none", f"{tmp_path / 'none'} cannot be started"),
        ("false", "false is no Python that runs"),
    ]:
        text, progress = epoch_of(tour(tmp_path / "quick", python=python)[0])
        assert f"Without the Python preprocessor: {why}" in text
        assert "LAVANDIN_PYTHON" in text
        check_epoch(text, progress, is_preprocessed=False)


def test_a_preprocessor_that_fails_is_told_and_left_out(tmp_path):
    tour(tmp_path / "quick", python=sys.executable)
    module = tmp_path / "quick" / "modules" / "count_words.py"
    module.write_text(module.read_text().replace("        texts =", "        raise ValueError('out of luck')\n        texts ="))
    shown, _ = tour(tmp_path / "quick", python=sys.executable)
    text, progress = epoch_of(shown)
    assert re.search(r"Without the Python preprocessor: .*out of luck", text)
    check_epoch(text, progress, is_preprocessed=False)


def test_it_goes_on_serving(tmp_path):
    port = free_port()
    log = open(tmp_path / "log", "wb")
    command = [binary(), "quickstart", "--data-dir", str(tmp_path / "quick"), "--port", str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log, env=clean_environment())
    try:
        def finished_tour():
            assert process.poll() is None, (tmp_path / "log").read_text()
            return "curl" in (tmp_path / "log").read_text()

        poll(finished_tour, "the end of the tour", 120)
        connection = Connection(port)
        databases = connection.get("/list_databases").params["databases"]
        assert len(databases) == 1
        names = connection.post("/show_collections", {"database_name": databases[0]}).params["collections"]
        named = {"database_name": databases[0], "collection_name": names[0]}
        rows, dim = connection.post("/collection_shape", named).params["shape"]
        assert rows >= 2000 and dim == 384
        vectors, ids, fields = connection.post("/head", {**named, "n": 1}).params["head"]
        found = connection.post("/search", {**named, "vector": vectors[0], "k": 1, "return_fields": True}).params["items"]
        assert found["ids"] == ids and found["fields"][0] == fields[0] and fields[0]["text"]
        process.terminate()
        assert process.wait(STOP_DEADLINE_S) == 0
        shown = (tmp_path / "log").read_text()
        line = next(line.strip() for line in shown.splitlines() if line.strip().startswith("curl"))
        assert f":{port}" in line
    finally:
        process.kill()
        process.wait(STOP_DEADLINE_S)
        log.close()


def test_what_it_says_to_try_next_works(tmp_path):
    pytest.importorskip("lavender_data")
    data = tmp_path / "quick"
    tour(data)
    port = free_port()
    with open(tmp_path / "log", "wb") as log:
        command = [binary(), "quickstart", "--data-dir", str(data), "--port", str(port)]
        environment = clean_environment({"LAVANDIN_PYTHON": sys.executable})
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        poll(lambda: "Serving on" in (tmp_path / "log").read_text(), "the end of the tour", 120)
        scripts = re.findall(r"<<'EOF'\n(.*?)\n  EOF", (tmp_path / "log").read_text(), re.DOTALL)
        assert ["lynse" in script for script in scripts] == [True, False]
        for script in scripts:
            script = [sys.executable, "-c", textwrap.dedent(script)]
            done = subprocess.run(script, capture_output=True, text=True, timeout=60, env=clean_environment())
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.splitlines()) >= 6
    finally:
        process.kill()
        process.wait(STOP_DEADLINE_S)

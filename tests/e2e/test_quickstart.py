"""`lavandin quickstart`: a first start loads the sample and shows searches; a second finds it and starts at once."""

import re
import subprocess
import time

from node import STOP_DEADLINE_S, Connection, binary, clean_environment, free_port, poll


def tour(data_dir, *more) -> tuple[str, float]:
    command = [binary(), "quickstart", "--data-dir", str(data_dir), "--port", str(free_port()), "--exit", *more]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=clean_environment())
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

"""Keys, the operator's endpoints, flags and their fall-backs, configuration files, logs, and a graceful end."""

import base64
import json
import re
import subprocess
import threading

import pytest
from lynse import VectorDBClient
from node import Connection, Node, binary, clean_environment, free_port, poll

KEY = "correct horse: battery"
OPEN = ["/", "/version", "/healthz", "/readyz"]
GUARDED = ["/list_databases", "/metrics", "/openapi.json", "/cluster_info"]
NAMED = {"database_name": "d", "collection_name": "c"}
METRICS = """
up server_start_time_seconds databases_total collections_total open_databases_total open_collections_total storage_disk_bytes
storage_wal_bytes storage_index_bytes process_resident_memory_bytes index_builds_total index_builds_in_progress
index_build_current_vectors index_build_last_vectors index_build_progress_ratio index_build_duration_seconds_sum
index_build_duration_seconds_count index_build_last_duration_seconds http_requests_total http_requests_by_status_total
http_request_errors_total http_request_errors_by_kind_total http_request_duration_seconds_bucket http_request_duration_seconds_sum
http_request_duration_seconds_count http_request_duration_seconds_quantile
""".split()
PATHS = """
/ /healthz /readyz /metrics /list_databases /create_database /drop_database /delete_database /database_exists /show_collections
/show_collections_details /required_collection /is_collection_exists /get_collection_config /drop_collection /update_collection_description
/update_description /collection_shape /stats /max_id /index_mode /list_fields /get_collection_path /add /upsert /delete /restore
/list_deleted_ids /compact /commit /flush /checkpoint /close_collection /build_index /remove_index /search /batch_search /search_profile
/search_range /query /query_vectors /head /tail /read_by_only_id /is_id_exists /bulk_add_binary /add_records_binary /upsert_records_binary
/add_binary_ids /upsert_binary /search_binary /batch_search_binary /head_binary /tail_binary
""".split()


def basic(user: str, password: str) -> dict:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(key: str) -> dict:
    return {"Authorization": f"Bearer {key}"}


def ask(node: Node, path: str, headers=None):
    connection = Connection(node.port)
    try:
        return connection.request("GET", path, headers=headers)
    finally:
        connection.close()


def fill(node: Node, rows: int = 3):
    node.post("/create_database", {"database_name": "d"}).params
    node.post("/required_collection", {**NAMED, "dim": 2}).params
    node.post("/add", {**NAMED, "ids": list(range(rows)), "vectors": [[1.0, float(i)] for i in range(rows)]}).params


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    node = Node(data_dir=tmp_path_factory.mktemp("guarded") / "node", key=KEY).start()
    yield node
    node.stop()


class TestKeys:
    @pytest.mark.parametrize("path", OPEN)
    def test_open_endpoints(self, guarded, path):
        assert ask(guarded, path).status == 200
        assert ask(guarded, path, bearer("wrong")).status == 200

    @pytest.mark.parametrize("path", [*GUARDED, "/no-such-route"])
    @pytest.mark.parametrize(
        "headers",
        [None, bearer("wrong"), bearer(""), bearer(KEY + " "), bearer(KEY[:-1]), bearer(KEY.upper()), basic("any", "wrong"), basic(KEY, ""),
         {"Authorization": KEY}, {"Authorization": "Basic !!!"}, {"Authorization": "Bearer"}, {"Authorization": f"Token {KEY}"}],
    )
    def test_guarded_endpoints(self, guarded, path, headers):
        reply = ask(guarded, path, headers)
        if headers == bearer(KEY + " ") and reply.status != 401:
            return  # blanks at the end of a header's value are no part of it
        assert reply.status == 401, reply.text
        assert reply.json["code"] == "unauthorized" and reply.json["error"] and KEY not in reply.text
        assert "Basic realm=" in reply.headers["www-authenticate"]

    @pytest.mark.parametrize("headers", [bearer(KEY), {"Authorization": f"bearer {KEY}"}, basic("any", KEY), basic("", KEY)])
    def test_the_right_key(self, guarded, headers):
        for path in GUARDED:
            assert ask(guarded, path, headers).status == 200, path

    def test_a_write_without_a_key_changes_nothing(self, guarded):
        connection = Connection(guarded.port)
        assert connection.post("/create_database", {"database_name": "stolen"}).status == 401
        assert connection.post_bytes("/bulk_add_binary?database_name=d&collection_name=c&dim=2&n_vectors=1", bytes(8)).status == 401
        assert guarded.get("/list_databases").params["databases"] == []

    def test_the_client(self, guarded):
        assert VectorDBClient(guarded.url, api_key=KEY).list_databases() == []
        for wrong in (None, "wrong"):
            with pytest.raises(ConnectionError, match="Authentication failed"):
                VectorDBClient(guarded.url, api_key=wrong)

    def test_the_key_is_not_in_the_log(self, guarded):
        assert KEY not in guarded.log()


def test_public_words(node):
    assert node.get("/").json["status"] == "success"
    assert node.get("/healthz").json["status"] == "ok"
    assert node.get("/readyz").json["status"] == "ready"
    version = node.get("/version").json
    assert re.search(r"\d+\.\d+\.\d+", json.dumps(version)), version


def test_metrics(node):
    fill(node)
    node.post("/build_index", {**NAMED, "index_mode": "HNSW-L2"}).params
    for _ in range(5):
        node.post("/search", {**NAMED, "vector": [1.0, 1.0], "k": 1}).params
    assert node.post("/search", {**NAMED, "collection_name": "ghost", "vector": [1.0, 1.0]}).status == 404
    reply = node.get("/metrics")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain")
    names = {line.split(" ")[0].split("{")[0] for line in reply.text.splitlines() if line and not line.startswith("#")}
    missing = [name for name in METRICS if f"lavandin_{name}" not in names]
    assert not missing, missing
    assert all(name.startswith("lavandin_") for name in names), names
    typed = set(re.findall(r"^# TYPE (\S+)", reply.text, re.MULTILINE))
    assert all(any(name == base or name.startswith(base + "_") for base in typed) for name in names), "every metric has a type"
    assert node.metric("lavandin_up") == 1
    assert (node.metric("lavandin_databases_total"), node.metric("lavandin_collections_total")) == (1, 1)
    assert node.metric("lavandin_http_requests_total") >= 9 and node.metric("lavandin_http_request_errors_total") == 1
    assert 10e6 < node.metric("lavandin_process_resident_memory_bytes") < 1e9
    text = node.get("/metrics").text
    for label in ('status_class="2xx"', 'status_class="4xx"', 'kind="client_4xx"', 'le="0.005"', 'le="+Inf"', 'quantile="0.99"', 'status="completed"'):
        assert label in text, label


def test_openapi(node):
    document = node.get("/openapi.json").json
    assert document["openapi"].startswith("3.") and document["info"]["version"]
    missing = [path for path in PATHS if path not in document["paths"]]
    assert not missing, missing


def test_every_reply_has_a_request_id(node):
    fill(node)
    replies = [node.get("/"), node.get("/nosuch"), node.post("/stats", NAMED), node.post("/stats", {**NAMED, "collection_name": "ghost"})]
    connection = node.connect()
    replies.append(connection.request("POST", "/add", b"{", {"Content-Type": "application/json"}))
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len(set(ids)) == len(ids) and all(ids)


def records(node: Node) -> list[dict]:
    """The structured log: one JSON object a line."""
    found = []
    for line in node.log().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return [record for record in found if isinstance(record, dict)]


def test_logs(make_node):
    node = make_node(arguments=("--slow-query-warn-ms", "1", "--audit-log", "--log-level", "debug")).start()
    fill(node, rows=2000)
    reply = node.post("/search", {**NAMED, "vector": [1.0, 1.0], "k": 1})
    node.post("/batch_search", {**NAMED, "vectors": [[1.0, 1.0]] * 2000, "k": 500}).params
    poll(lambda: any(record.get("event") == "slow_query" for record in records(node)), "the slow query in the log", 10)
    audited = [record for record in records(node) if record.get("event") == "audit"]
    assert [record for record in audited if record["action"] == "add" and record["collection"] == "c"], audited
    assert not [record for record in audited if "search" in record["action"]], "reads are not audited"
    requests = [record for record in records(node) if record.get("event") == "http_request"]
    wanted = reply.headers["x-request-id"]
    assert any(str(record["request_id"]) == wanted and record["path"] == "/search" for record in requests), requests[-5:]


def test_the_audit_log_can_be_off(make_node):
    node = make_node(arguments=("--no-audit-log",)).start()
    fill(node)
    assert not any(record.get("event") == "audit" for record in records(node))


def test_sigterm_ends_with_zero_and_lets_requests_finish(make_node):
    """Requests under way get their answers, later ones a closed connection; nothing acknowledged is lost."""
    node = make_node(arguments=("--max-top-k", "0")).start()
    fill(node, rows=1)
    acknowledged, wrong = [], []
    started = threading.Semaphore(0)

    def writer(number):
        connection = node.connect()
        at = 0
        try:
            while True:
                at += 1
                reply = connection.post("/add", {**NAMED, "ids": [f"{number}-{at}"], "vectors": [[1.0, 2.0]]})
                if reply.status == 200:
                    acknowledged.append(f"{number}-{at}")
                elif reply.status != 503:
                    wrong.append(reply.text)
                started.release()
        except Exception:
            return

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        assert started.acquire(timeout=30)
    assert node.terminate() == 0
    for thread in threads:
        thread.join(30)
    assert not wrong and len(acknowledged) >= 50
    assert "panicked" not in node.log()
    node.start()
    stored = node.post("/head", {**NAMED, "n": 100000}).params["head"][1]
    assert set(acknowledged) <= set(stored)


def test_sigterm_with_idle_connections_ends_soon(make_node):
    node = make_node().start()
    idle = [node.connect() for _ in range(5)]
    for connection in idle:
        connection.get("/healthz")
    assert node.terminate() == 0


def run(arguments: list, environment=None, timeout=30):
    done = subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=clean_environment(environment))
    return done.returncode, done.stdout + done.stderr


class TestConfiguration:
    @pytest.fixture
    def served(self, tmp_path):
        """Starts `lavandin serve` with nothing but the given arguments and variables, and waits for the port."""
        running = []

        def serve(port, arguments=(), environment=None, key=None):
            node = Node(data_dir=tmp_path / "unused", port=port, environment=environment or {}, key=None)
            node.command = lambda: [binary(), "serve", *map(str, arguments)]
            running.append(node)
            node.start()
            node.key = key
            return node

        yield serve
        for node in running:
            node.stop()

    @pytest.mark.parametrize("prefix", ["LAVANDIN_", "LYNSE_"])
    def test_variables(self, served, tmp_path, prefix):
        port = free_port()
        variables = {f"{prefix}HOST": "127.0.0.1", f"{prefix}PORT": str(port), f"{prefix}DATA_DIR": str(tmp_path / "data"), f"{prefix}API_KEY": KEY, f"{prefix}MAX_TOP_K": "7"}
        node = served(port, environment=variables, key=KEY)
        assert ask(node, "/list_databases").status == 401
        fill(node)
        assert node.post("/search", {**NAMED, "vector": [1.0, 1.0], "k": 8}).status == 400
        assert node.post("/search", {**NAMED, "vector": [1.0, 1.0], "k": 7}).status == 200
        assert (tmp_path / "data").is_dir()

    def test_old_names_of_variables(self, served, tmp_path):
        port = free_port()
        served(port, environment={"PORT": str(port), "LYNSE_ROOT": str(tmp_path / "root")})
        assert (tmp_path / "root").is_dir()

    def test_precedence(self, served, tmp_path):
        """Command line, then LAVANDIN_*, then LYNSE_*, then the file, then the default."""
        port = free_port()
        file = tmp_path / "c.toml"
        file.write_text(f'host = "127.0.0.1"\nport = {free_port()}\ndata_dir = "{tmp_path}/file"\nmax_top_k = 3\nmax_batch_vectors = 2\njson_limit_mb = 1\n')
        variables = {"LAVANDIN_PORT": str(free_port()), "LAVANDIN_MAX_TOP_K": "5", "LYNSE_MAX_TOP_K": "4", "LYNSE_DATA_DIR": str(tmp_path / "lynse")}
        node = served(port, ["--config", file, "--port", port], variables)
        fill(node, rows=2)
        assert (tmp_path / "lynse").is_dir() and not (tmp_path / "file").exists()
        search = {**NAMED, "vector": [1.0, 1.0]}
        assert node.post("/search", {**search, "k": 5}).status == 200
        assert node.post("/search", {**search, "k": 6}).status == 400
        assert node.post("/batch_search", {**NAMED, "vectors": [[1.0, 1.0]] * 3, "k": 1}).status == 400

    @pytest.mark.parametrize("form", ["toml", "toml-table", "json", "json-table", "ini", "conf"])
    def test_files(self, served, tmp_path, form):
        port = free_port()
        values = {"host": "127.0.0.1", "port": port, "data_dir": str(tmp_path / "data"), "max_top_k": 4, "audit_log": False}
        kind = form.split("-")[0]
        file = tmp_path / f"settings.{kind}"
        if kind == "json":
            file.write_text(json.dumps({"server": values} if "table" in form else values))
        elif kind == "toml":
            lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
            file.write_text("\n".join((["[server]"] if "table" in form else []) + lines))
        else:
            file.write_text("[server]\n" + "\n".join(f"{name} = {value}" for name, value in values.items()))
        node = served(port, ["--config", file])
        fill(node)
        assert node.post("/search", {**NAMED, "vector": [1.0, 1.0], "k": 5}).status == 400
        assert (tmp_path / "data").is_dir()

    def test_check_config(self, tmp_path):
        good = tmp_path / "good.toml"
        good.write_text(f'port = 7000\ndata_dir = "{tmp_path}/data"\n')
        status, said = run(["serve", "--config", good, "--check-config"])
        assert status == 0 and "7000" in said, said
        assert not (tmp_path / "data").exists(), "checking starts nothing"

    @pytest.mark.parametrize(
        "text, word",
        [("port = 'many'", "port"), ("port = 70000", "port"), ("prot = 7000", "prot"), ("port = ", "line"), ("max_top_k = -1", "max_top_k"), ('durability = "maybe"', "durability")],
    )
    def test_wrong_files(self, tmp_path, text, word):
        file = tmp_path / "bad.toml"
        file.write_text(text)
        status, said = run(["serve", "--config", file, "--check-config"])
        assert status != 0 and word in said.lower() and "bad.toml" in said and "panicked" not in said, said

    def test_wrong_flags_and_variables(self, tmp_path):
        for arguments, environment, word in (
            (["serve", "--port", "x"], {}, "port"),
            (["serve", "--nosuch"], {}, "nosuch"),
            (["serve", "--durability", "maybe"], {}, "durability"),
            (["serve", "--config", tmp_path / "absent.toml"], {}, "absent.toml"),
            (["serve", "--check-config"], {"LAVANDIN_PORT": "x"}, "LAVANDIN_PORT"),
            (["serve", "--check-config"], {"LYNSE_PORT": "x"}, "LYNSE_PORT"),
        ):
            status, said = run(arguments, environment)
            assert status != 0 and word.lower() in said.lower() and "panicked" not in said, (arguments, said)

    def test_the_key_is_not_shown(self):
        status, said = run(["serve", "--api-key", KEY, "--check-config"])
        assert status == 0 and KEY not in said

    @pytest.mark.parametrize("arguments", [["--cluster-config", "not-there.json"], []])
    def test_a_coordinator_without_its_cluster_does_not_start(self, tmp_path, arguments):
        coordinator = ["--role", "coordinator", "--data-dir", tmp_path / "data"]
        status, said = run(["serve", "--port", free_port(), *coordinator, *arguments])
        assert status != 0 and re.search("cluster.config", said) and "panicked" not in said

    def test_known_flags_pass_the_check(self):
        known = ["--request-timeout-secs", "300", "--workers", "2", "--keep-alive-secs", "75", "--slow-query-warn-ms", "1000",
                 "--json-limit-mb", "256", "--payload-limit-mb", "512"]
        status, said = run(["serve", *known, "--check-config"])
        assert status == 0, said

    @pytest.mark.parametrize("flag", [["--coordinator-lease-secs", "5"], ["--health-interval-secs", "1"], ["--health-failures", "3"]])
    def test_coordinator_flags_are_answered_by_name(self, flag):
        status, said = run(["serve", *flag, "--check-config"])
        assert status != 0 and flag[0] in said and "coordinator" in said and "panicked" not in said

    @pytest.mark.parametrize("word", ["run", "serve"])
    def test_both_words_start_it(self, served, tmp_path, word):
        port = free_port()
        node = served(port, ["--host", "127.0.0.1", "--port", port, "--root", tmp_path / "data"])
        node.stop()
        node.command = lambda: [binary(), word, "--host", "127.0.0.1", "--port", str(port), "--root", str(tmp_path / "data")]
        node.start()

    def test_help_and_version(self):
        status, said = run(["--version"])
        assert status == 0 and re.search(r"\d+\.\d+\.\d+", said)
        status, said = run(["serve", "--help"])
        assert status == 0 and all(flag in said for flag in ("--data-dir", "--durability", "--api-key", "--config", "--max-top-k"))

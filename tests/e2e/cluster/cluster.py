"""A cluster of real processes: data nodes and coordinators on free ports, with or without a faulty network between them.

A node's URI in cluster.json is its port, or that of its front in `network.py`; clients always use the real port, so a node
that its peers cannot reach still answers them. Invariants: every wait has a deadline and says what it waited for; a process
never outlives `stop()`, suspended ones included; each process has a log of its own, in order of its starts. Deliberately
absent: what is written and read (see load.py), and any knowledge of who leads what beyond /cluster_info.
"""

import http.client
import json
import random
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from network import Network
from node import Connection, Node, Reply, poll

SETTLE_DEADLINE_S = 60.0
SETTLE_POLL_S = 0.1
ASK_TIMEOUT_S = 5.0
DEFAULT_HEALTH = (1.0, 3)
# Short, so that tests of failover do not wait for the default.
QUICK_HEALTH = (0.5, 2)
# Below the ports that the kernel hands out to outgoing connections: a node that restarts finds its port free.
PORTS = range(20_000, 32_000)
BUCKETS = 4096


@dataclass(frozen=True)
class Layout:
    """What the cluster is made of. `health` is (interval in seconds, failures); None leaves the defaults. One group of one copy
    without a coordinator is a node alone. With a `head` there are as many nodes as groups, the first of which is it; the
    cluster places the copies."""

    groups: int = 2
    copies: int = 2
    coordinators: int = 1
    head: bool = False
    health: tuple | None = None
    faulty_network: bool = False
    settings: dict = field(default_factory=dict)
    node_key: str | None = None
    node_arguments: tuple = ()
    coordinator_arguments: tuple = ()


@dataclass
class DataNode(Node):
    name: str = ""
    uri: str = ""
    group: str = ""


@dataclass
class Coordinator(Node):
    name: str = ""
    uri: str = ""
    config: Path = Path()

    @property
    def state_path(self) -> Path:
        return self.data_dir / "cluster_state.cache.json"

    def command(self) -> list[str]:
        command = [self.program, "serve", "--role", "coordinator", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--cluster-config", str(self.config), "--cluster-state", str(self.state_path), "--coordinator-uri", self.uri]
        return command + [str(argument) for argument in self.arguments]


class Cluster:
    def __init__(self, folder: Path, layout: Layout = Layout()):
        self.folder, self.layout = Path(folder), layout
        self.network = Network(self._processes) if layout.faulty_network else None
        self.head_uri = None
        self.nodes = {name: self._data_node(group, name) for group, name in _seats(layout)}
        if not layout.head:
            self.config = self.folder / "cluster.json"
            self.config.write_text(json.dumps(self.document(), indent=2))
        # What each member was registered as when all was well, and what those started since then were.
        self.registered, self.superseded = {}, {}
        self.settled_not_before_s = 0.0
        self.coordinators = {}
        for at in range(layout.coordinators):
            self.add_coordinator(f"c{at}")

    def document(self) -> dict:
        """cluster.json, with the keys of the documented example."""
        groups = []
        for number in range(self.layout.groups):
            uris = [node.uri for node in self.nodes.values() if node.group == f"sg{number}"]
            groups.append({"name": f"sg{number}", "primary": uris[0], "replicas": uris[1:]})
        return {"bucket_count": BUCKETS, "write_mirror_replicas": True, "shard_groups": groups, **self.layout.settings}

    def _data_node(self, group: str, name: str) -> DataNode:
        port = free_port()
        uri = self._uri(name, port)
        arguments = self.layout.node_arguments
        if self.layout.head:
            self.head_uri = self.head_uri or uri
            arguments += ("--head-url", self.head_uri, "--advertise", uri, "--join-wait", "forever")
            arguments += ("--replication-factor", str(self.layout.copies), *self._health())
        options = {"key": self.layout.node_key, "arguments": arguments}
        return DataNode(data_dir=self.folder / name, port=port, name=name, uri=uri, group=group, **options)

    def add_coordinator(self, name: str, arguments: tuple = ()) -> Coordinator:
        """One more coordinator with the same cluster.json; it is not started."""
        folder = self.folder / name
        folder.mkdir()
        port = free_port()
        added = Coordinator(data_dir=folder, port=port, name=name, uri=self._uri(name, port), config=self.config)
        added.arguments += (*self._health(), *self.layout.coordinator_arguments, *arguments)
        self.coordinators[name] = added
        return added

    def _health(self) -> tuple:
        if self.layout.health is None:
            return ()
        interval_s, failures = self.layout.health
        return ("--health-interval-secs", str(interval_s), "--health-failures", str(failures))

    def _uri(self, name: str, port: int) -> str:
        front = port if self.network is None else self.network.front(name, port)
        return f"http://127.0.0.1:{front}"

    def _processes(self) -> dict:
        return {member.process.pid: name for name, member in self.members.items() if is_running(member)}

    @property
    def members(self) -> dict:
        return {**self.nodes, **self.coordinators}

    def __getitem__(self, name: str) -> Node:
        return self.members[name]

    @property
    def url(self) -> str:
        """That of the first coordinator, if there is one."""
        return next(iter([*self.coordinators.values(), *self.nodes.values()])).url

    # Processes

    def start(self) -> "Cluster":
        for member in self.members.values():
            member.spawn()
        self.wait_settled()
        self._wait_for_voters()
        return self

    def _wait_for_voters(self):
        """A cluster begins with one voter, and makes others members of the metadata one after the other: who kills that one a second
        after the start has no cluster."""
        if len(self.members) < 3 or any("--metadata-owners" in member.arguments for member in self.members.values()):
            return
        poll(lambda: self._metadata().get("owner_count", 0) >= 3, "three voters", SETTLE_DEADLINE_S)

    def _metadata(self) -> dict:
        for member in self._asked(None):
            reply = ask(member, "/coordinator_status")
            if reply is not None and reply.status == 200:
                return reply.params["metadata"]
        return {}

    def kill(self, name: str):
        self[name].kill()

    def suspend(self, name: str):
        self[name].process.send_signal(signal.SIGSTOP)

    def resume(self, name: str):
        self[name].process.send_signal(signal.SIGCONT)

    def terminate(self, name: str) -> int:
        return self[name].terminate()

    def spawn(self, name: str):
        self.superseded[name] = self.registered.get(name)
        self[name].spawn()

    def wipe(self, name: str):
        """Kills the process and takes its disk away."""
        member = self[name]
        # The metadata counts the lost disk as a voter that lives until it has been silent for the detection time.
        interval_s, failures = self.layout.health or DEFAULT_HEALTH
        self.settled_not_before_s = time.monotonic() + 2 * interval_s * failures
        member.stop()
        shutil.rmtree(member.data_dir, ignore_errors=True)
        if name in self.coordinators:
            member.data_dir.mkdir()

    def stop(self):
        for member in self.members.values():
            member.stop()
        if self.network is not None:
            self.network.close()

    def logs(self, characters_max: int = 4000) -> str:
        return "\n".join(f"--- log of {name}\n{member.log()[-characters_max:]}" for name, member in self.members.items())

    @contextmanager
    def running(self):
        """Started and settled within; whatever fails within is shown with the logs, and nothing is left running."""
        try:
            yield self.start()
        except BaseException:
            print(self.logs())
            raise
        finally:
            self.stop()

    # What the cluster says of itself

    def info(self, name: str | None = None) -> dict:
        """/cluster_info of that member, or of the first that answers."""
        for member in self._asked(name):
            reply = ask(member, "/cluster_info")
            if reply is not None and reply.status == 200:
                return reply.params
        raise Unreachable(f"nobody answered /cluster_info of {name or 'any member'}")

    def _asked(self, name: str | None) -> list:
        if name is not None:
            return [self[name]]
        return [member for member in (*self.coordinators.values(), *self.nodes.values()) if is_running(member)]

    def group(self, name: str, asked: str | None = None) -> dict:
        return next(group for group in self.info(asked)["shard_groups"] if group["name"] == name)

    def primary(self, group: str) -> DataNode:
        uri = self.group(group)["primary"]
        return next(node for node in self.nodes.values() if node.uri == uri)

    def unsettled(self, asked: str | None = None) -> list[str]:
        """One sentence for each thing that a healthy cluster of this layout has and this one has not."""
        try:
            info = self.info(asked)
        except Unreachable as error:
            return [str(error)]
        groups = {group["name"]: group for group in info["shard_groups"]}
        expected = {f"sg{number}" for number in range(self.layout.groups)}
        found = [f"group {name} is missing" for name in sorted(expected - set(groups))]
        found += [text for name in sorted(expected & set(groups)) for text in self._unsettled_group(groups[name])]
        found += [f"a node is not up: {node}" for node in info.get("nodes", []) if node["state"] not in ("up", "lost")]
        registered = self._registrations(info)
        # until a start is registered, the status is that of the process before it
        waiting = [name for name, before in self.superseded.items() if before is not None and registered.get(name) == before]
        return found + [f"{name} has not registered since its start" for name in waiting]

    def _registrations(self, info: dict) -> dict:
        names = {member.uri: name for name, member in self.members.items()}
        nodes = [node for node in info.get("nodes", []) if node["state"] != "lost"]
        return {names[node["uri"]]: (node["node"], node["incarnation"]) for node in nodes if node["uri"] in names}

    def _unsettled_group(self, group: dict) -> list[str]:
        found = []
        if len(group["replicas"]) != self.layout.copies - 1:
            found.append(f"{group['name']} has {len(group['replicas'])} replicas")
        found += [f"{group['name']}: {replica}" for replica in group["replicas"] if replica["state"] != "active"]
        if not group.get("writable", True):
            found.append(f"{group['name']} is not writable: {group['why_not']}")
        return found

    def metadata_is_whole(self) -> bool:
        if not self.coordinators and not self.layout.head:
            return True  # a node alone
        return self._metadata().get("degraded") is False

    def wait_settled(self, deadline_s: float = SETTLE_DEADLINE_S, asked: str | None = None):
        """Every replica active, every group writable, the metadata whole."""
        wanting = [""]

        def settled() -> bool:
            self._check_processes()
            wanting[:] = self.unsettled(asked) or ([] if self.metadata_is_whole() else ["the metadata is degraded"])
            if not wanting and time.monotonic() >= self.settled_not_before_s:
                return True
            time.sleep(SETTLE_POLL_S)  # each look asks the leader of the metadata, which has better things to do
            return False

        try:
            poll(settled, "a settled cluster", deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {wanting}") from None
        self.registered, self.superseded = self._registrations(self.info(asked)), {}

    def _check_processes(self):
        for name, member in self.members.items():
            code = member.process and member.process.poll()
            # a negative one is a signal: a test's own doing
            if code is not None and code >= 0:
                raise AssertionError(f"{name} ended with {code}:\n{member.log()[-4000:]}")


class Unreachable(Exception):
    """No member answered."""


def _seats(layout: Layout) -> list[tuple[str, str]]:
    if layout.head:
        return [(f"n{number}", f"n{number}") for number in range(layout.groups)]
    return [(f"sg{group}", f"sg{group}-{copy}") for group in range(layout.groups) for copy in range(layout.copies)]


def is_running(member: Node) -> bool:
    return member.process is not None and member.process.poll() is None


def ask(member: Node, path: str, timeout_s: float = ASK_TIMEOUT_S) -> Reply | None:
    """A GET that a dead, suspended or confused process does not answer."""
    connection = Connection(member.port, key=member.key, timeout_s=timeout_s)
    try:
        return connection.get(path)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


_taken_ports = set()


def free_port() -> int:
    """A port that nobody has and that this process has not given out before."""
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if port in _taken_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken_ports.add(port)
        return port
    raise AssertionError("no port is free")


def bucket(database: str, collection: str, key, integers: str = "external") -> int:
    """The documented hash. `integers` is the form in which the collection's integer ids are hashed."""
    text = f"str:{key}" if isinstance(key, str) else f"int:{key}" if integers == "external" else str(key)
    digest = blake2b(f"{database}/{collection}/{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % BUCKETS


def owner(database: str, collection: str, key, integers: str = "external", groups: int = 2) -> str:
    """The group that owns an id: buckets are dealt out in turn."""
    return f"sg{bucket(database, collection, key, integers) % groups}"


def run_to_end(command: list[str], timeout_s: float = 30.0) -> tuple[int, str]:
    """For a start that must fail: its exit code and what it said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, check=False)
    return done.returncode, done.stdout.decode(errors="replace")

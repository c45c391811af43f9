"""A cluster of a head and workers, started with env files as the document has them, in one folder.

Invariants: as in cluster.py, whose ports these are. Each member has the data directory that its env file names.
"""

import hashlib
import hmac
import json
import os
import subprocess
import time
from pathlib import Path

from cluster import ask, free_port
from node import Node, clean_environment, poll

FIXTURES = Path(__file__).parent.parent / "fixtures"
SECRET = "your_shared_secret_here"
WHOLE_DEADLINE_S = 60.0


class Member(Node):
    """A process with an env file. `head` is the head's port."""

    @staticmethod
    def make(folder: Path, name: str, head: int | None = None, arguments: tuple = ()) -> "Member":
        port = free_port()
        fixture = "head" if head is None else "worker"
        text = (FIXTURES / f"lavender_env_{fixture}.txt").read_text()
        # The document's ports and names, of which there is one of each.
        text = text.replace(":8000", f":{head or port}").replace(":8001", f":{port}").replace(f"{fixture}.", f"{name}.")
        member = Member(data_dir=folder / f"{name}.db.d", port=port, arguments=arguments)
        member.name, member.folder = name, folder
        member.env_file = folder / f".env.{name}"
        member.env_file.write_text(text)
        return member

    def be_of_cluster(self, enabled: bool):
        """Whether its next start is one of a member."""
        text = self.env_file.read_text()
        before, after = str(not enabled).lower(), str(enabled).lower()
        self.env_file.write_text(text.replace(f"CLUSTER_ENABLED={before}", f"CLUSTER_ENABLED={after}"))

    @property
    def log_path(self) -> Path:
        return self.folder / "logs" / f"{self.name}.log"

    def command(self) -> list[str]:
        command = [self.program, "serve", "--port", str(self.port), "--env-file", self.env_file.name]
        return command + [str(argument) for argument in self.arguments]

    def spawn(self) -> "Member":
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=clean_environment(), cwd=self.folder, text=True
        )
        # Read to the end only once the process has ended: what it logs fits into a pipe in none of these tests.
        os.set_blocking(self.process.stderr.fileno(), False)
        return self

    def outcome(self, deadline_s: float) -> tuple[int, str]:
        """The exit code of a process that ends by itself, and the last line that it wrote."""
        code = self.process.wait(deadline_s)
        lines = [line for line in self.process.stderr.read().splitlines() if line]
        return code, lines[-1]

    def said(self, text: str) -> bool:
        return text in self.log()


class Members:
    """A head and workers. `apart` gives each a working directory of its own, as if it ran on a machine of its own."""

    def __init__(self, folder: Path, apart: bool = False):
        self.folder, self.apart, self.all = folder, apart, {}

    def add(self, name: str, *arguments: str) -> Member:
        """One more member, the first of which is the head; it is not started."""
        head = next(iter(self.all.values())).port if self.all else None
        folder = self.folder / name if self.apart else self.folder
        folder.mkdir(exist_ok=True)
        self.all[name] = Member.make(folder, name, head, arguments)
        return self.all[name]

    def __getitem__(self, name: str) -> Member:
        return self.all[name]

    def start(self, workers: int, *arguments) -> list[Member]:
        """A head and so many workers, all of them whole."""
        names = ["head"] + [f"worker{number}" for number in range(1, workers + 1)]
        for name in names:
            self.add(name, *arguments)
        nodes = [self.all[name].spawn() for name in names]
        self.wait_whole(names[-1], len(names))
        return nodes

    def info(self, asked: str) -> dict | None:
        reply = ask(self.all[asked], "/cluster_info")
        return reply.json["params"] if reply is not None and reply.status == 200 else None

    def wait_whole(self, asked: str, nodes: int, copies: int = 2) -> dict:
        """As many groups as nodes, each with all its copies in sync; returns /cluster_info."""

        def whole():
            info = self.info(asked)
            groups = info["shard_groups"] if info else []
            is_whole = all(group["in_sync"] == copies and group["writable"] for group in groups)
            # Of two nodes one alone votes on the metadata, and the status says that this is a weakness.
            is_well = bool(info) and (nodes < 3 or not info["degraded"])
            return info if len(groups) == nodes and is_whole and is_well else None

        return poll(whole, f"a whole cluster of {nodes} nodes; now {self.info(asked)}", WHOLE_DEADLINE_S)

    def stop(self):
        for member in self.all.values():
            member.stop()

    def logs(self) -> str:
        return "".join(f"--- {name}\n{member.log()}" for name, member in self.all.items())


def signed_headers(secret: str, audience: str, path: str, body: bytes, nonce: bytes) -> dict:
    """What docs/http-api.md says of signed requests."""

    def mac(key: bytes, *parts: bytes) -> bytes:
        return hmac.new(key, b"".join(parts), hashlib.sha256).digest()

    now_s = int(time.time())
    named = b"".join(len(text).to_bytes(8, "little") + text.encode() for text in ("POST", audience, path))
    key = mac(secret.encode(), b"lavandin signed requests 1")
    tag = mac(key, named, hashlib.sha256(body).digest(), now_s.to_bytes(8, "little"), nonce)
    return {"X-Lavandin-Time": str(now_s), "X-Lavandin-Nonce": nonce.hex(), "X-Lavandin-Mac": tag.hex()}


def post_signed(member: Member, path: str, payload: dict, secret: str = SECRET, headers: dict | None = None):
    body = json.dumps(payload).encode()
    headers = headers or signed_headers(secret, member.url, path, body, os.urandom(16))
    connection = member.connect()
    try:
        return connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
    finally:
        connection.close()

"""A network that fails on request: a TCP proxy in front of every member, with rules for each ordered pair of them.

Whoever connects is recognised by the socket's owner in /proc, so a rule can say "bytes from sg0-0 to sg1-1" although all
processes share one address; where /proc is missing, connections come from UNKNOWN and only rules with EVERYONE apply.

A cut holds bytes instead of dropping them, as TCP would: they go on when it heals, unless somebody gave up before. A loss
closes the connection. A delay holds each chunk for that long, in order. Deliberately absent: duplication and reordering, which
TCP hides, and bandwidth.
"""

import os
import random
import socket
import threading
import time
from dataclasses import dataclass

EVERYONE = "*"
UNKNOWN = "?"
CHUNK_BYTES = 65_536
CONNECT_TIMEOUT_S = 5.0
BACKLOG = 128


@dataclass(frozen=True)
class Rule:
    """What happens to bytes on the way from `source` to `target`."""

    source: str
    target: str
    cut: bool = False
    delay_s: float = 0.0
    loss: float = 0.0

    def covers(self, source: str, target: str) -> bool:
        return self.source in (EVERYONE, source) and self.target in (EVERYONE, target)


class Network:
    def __init__(self, processes, seed: int = 0):
        """`processes` answers the names of the members by process id."""
        self.processes = processes
        self.random = random.Random(seed)
        self.rules: list[Rule] = []
        self.changed = threading.Condition()
        self.closed = False
        self.listeners = []
        self.connections = set()
        self.lost = 0

    def front(self, name: str, port: int) -> int:
        """A port whose connections reach `port`, under the rules for `name`."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, name, port), daemon=True).start()
        return listener.getsockname()[1]

    def set(self, *rules: Rule):
        """Replaces all rules; none heals the network."""
        with self.changed:
            self.rules = list(rules)
            self.changed.notify_all()

    def heal(self):
        self.set()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
            connections = list(self.connections)
        for connection in [*self.listeners, *connections]:
            _close(connection)

    def _accept(self, listener: socket.socket, name: str, port: int):
        while True:
            try:
                inward, _ = listener.accept()
            except OSError:
                return
            # in a thread of its own: a member that accepts nothing must not keep others waiting
            threading.Thread(target=self._connect, args=(inward, name, port), daemon=True).start()

    def _connect(self, inward: socket.socket, name: str, port: int):
        source = other_end(inward, self.processes())
        try:
            outward = socket.create_connection(("127.0.0.1", port), CONNECT_TIMEOUT_S)
        except OSError:
            _close(inward)
            return
        outward.settimeout(None)
        for end in (inward, outward):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.changed:
            if self.closed:
                _close(inward)
                _close(outward)
                return
            self.connections |= {inward, outward}
        threading.Thread(target=self._pump, args=(outward, inward, name, source), daemon=True).start()
        self._pump(inward, outward, source, name)

    def _pump(self, read: socket.socket, write: socket.socket, source: str, target: str):
        try:
            while data := read.recv(CHUNK_BYTES):
                if not self._pass(source, target):
                    break
                write.sendall(data)
        except OSError:
            pass
        # An end in one direction ends both: the peers' connections carry calls, and half of one is of no use.
        _close(read)
        _close(write)
        with self.changed:
            self.connections -= {read, write}

    def _pass(self, source: str, target: str) -> bool:
        """Waits as long as the rules say; False breaks the connection."""
        begun = time.monotonic()
        with self.changed:
            while not self.closed:
                rules = [rule for rule in self.rules if rule.covers(source, target)]
                left = begun + sum(rule.delay_s for rule in rules) - time.monotonic()
                if any(rule.cut for rule in rules):
                    self.changed.wait()
                elif left > 0:
                    self.changed.wait(left)
                elif any(rule.loss > self.random.random() for rule in rules):
                    self.lost += 1
                    return False
                else:
                    return True
        return False


def other_end(connection: socket.socket, processes: dict) -> str:
    """Which of the processes made a connection that was accepted over loopback."""
    try:
        inode = _inode_of(connection.getpeername()[1], connection.getsockname()[1])
    except OSError:
        return UNKNOWN  # it is closed already
    for pid, name in processes.items():
        if inode is not None and f"socket:[{inode}]" in _open_files(pid):
            return name
    return UNKNOWN


def _inode_of(local: int, remote: int) -> str | None:
    """Of the socket from port to port; a port alone may also be that of an old connection to somebody else."""
    ends = [f"0100007F:{local:04X}", f"0100007F:{remote:04X}"]
    try:
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table]
    except OSError:
        return None
    return next((row[9] for row in rows if row[1:3] == ends), None)


def _open_files(pid: int) -> set[str]:
    folder = f"/proc/{pid}/fd"
    found = set()
    try:
        for name in os.listdir(folder):
            try:
                found.add(os.readlink(f"{folder}/{name}"))
            except OSError:
                continue  # closed in between
    except OSError:
        pass  # the process is gone
    return found


def _close(connection: socket.socket):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()

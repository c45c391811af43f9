"""The faulty network by itself: echo servers behind fronts, one for each kind of fault."""

import os
import socket
import threading
import time

import pytest
from network import EVERYONE, UNKNOWN, Network, Rule, other_end

WAIT_S = 5.0
SHORT_S = 0.2


@pytest.fixture
def echo():
    """A server that sends back what it gets."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        try:
            while data := connection.recv(1000):
                connection.sendall(data)
        except OSError:
            pass

    def accept():
        try:
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@pytest.fixture
def network():
    made = Network(lambda: {os.getpid(): "me"}, seed=1)
    yield made
    made.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), WAIT_S)


def passes(connection: socket.socket, text: bytes, timeout_s: float = WAIT_S) -> bool:
    connection.settimeout(timeout_s)
    connection.sendall(text)
    return receives(connection, text, timeout_s)


def receives(connection: socket.socket, text: bytes, timeout_s: float = WAIT_S) -> bool:
    connection.settimeout(timeout_s)
    try:
        got = b""
        while len(got) < len(text):
            part = connection.recv(1000)
            if not part:
                return False
            got += part
        return got == text
    except TimeoutError:
        return False


def test_bytes_pass_both_ways(network, echo):
    connection = connect(network.front("other", echo))
    assert passes(connection, b"hello") and passes(connection, b"x" * 200_000)


@pytest.mark.parametrize("pair", [("me", "other"), ("other", "me"), (EVERYONE, "other"), ("me", EVERYONE)])
def test_a_cut_holds_bytes_until_it_heals(network, echo, pair):
    connection = connect(network.front("other", echo))
    assert passes(connection, b"before")
    network.set(Rule(*pair, cut=True))
    assert not passes(connection, b"held", SHORT_S)
    network.heal()
    assert receives(connection, b"held"), "the bytes were not lost"


def test_a_cut_between_others_does_not_matter(network, echo):
    connection = connect(network.front("other", echo))
    network.set(Rule("third", "other", cut=True), Rule("other", "third", cut=True))
    assert passes(connection, b"unharmed")


def test_a_delay_takes_its_time(network, echo):
    connection = connect(network.front("other", echo))
    network.set(Rule("me", "other", delay_s=0.1), Rule("other", "me", delay_s=0.05))
    begun = time.monotonic()
    assert passes(connection, b"slow")
    assert time.monotonic() - begun >= 0.15


def test_a_loss_closes_the_connection(network, echo):
    port = network.front("other", echo)
    connection = connect(port)
    network.set(Rule("me", "other", loss=1.0))
    assert not passes(connection, b"lost") and network.lost == 1
    network.heal()
    assert passes(connect(port), b"anew")


def test_a_dead_target_closes_too(network):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not receives(connect(network.front("other", port)), b"x")


def test_whose_connection_it_is():
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = connect(server.getsockname()[1])
        accepted, _ = server.accept()
        assert other_end(accepted, {os.getpid(): "me"}) == "me"
        assert other_end(accepted, {1_999_999_999: "nobody"}) == UNKNOWN
        accepted.close()
        connection.close()

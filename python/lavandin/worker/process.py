"""What makes a process a worker: its standard streams, dying with the node, being the first to go when memory is
short. Nothing here is needed for tests that run requests within their own process."""

import faulthandler
import os
import select
import signal
import socket
import sys
import threading

#: `prctl` option: the signal that the kernel sends when the thread that started this process ends.
_PR_SET_PDEATHSIG = 1
#: Where the kernel looks for whom to end when memory runs out; the node itself stays at 0.
_OOM_SCORE = "500"


def take_socket():
    """The socket to the node, which the node passed as standard input; user code finds an empty one instead."""
    descriptor = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return socket.socket(fileno=descriptor)


def die_with_node(node, connection):
    """Ends this process when the process `node` ends, whatever user code is doing then."""
    if not _ask_kernel():
        threading.Thread(target=_watch, args=(connection,), daemon=True).start()
    if os.getppid() != node:
        os._exit(1)


def prepare():
    """Settings of the process that help to tell what went wrong in it."""
    faulthandler.enable()
    if hasattr(signal, "SIGUSR1"):
        # The node sends it before it ends a worker whose time is up: where user code hangs goes to the log and into
        # the error. The handler needs no cooperation of the code that runs.
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    # Ctrl-C on the node's terminal is the node's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_SCORE)
    except OSError:
        pass  # not Linux, or not allowed: then the kernel chooses


def _ask_kernel():
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes

        return ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
    except (ImportError, OSError, AttributeError):
        return False


def _watch(connection):
    poll = select.poll()
    poll.register(connection, 0)
    poll.poll()
    # Idle, the main thread sees the end of the connection itself and leaves in order.
    threading.Event().wait(2)
    os._exit(1)

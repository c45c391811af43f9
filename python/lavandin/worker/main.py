"""The worker: answers one request after another until the node closes the connection.

Requests (see `lavandin.worker.frames` for how they travel):

- `load` {directory, files: [[name, bytes]], reply_bytes_max}, sources in the body -> {functions, errors};
- `prepare` {functions: [[kind, name]]}: makes the classes' instances -> {};
- `select` {filters, categorizer}, samples in the body -> see `lavandin.worker.selection`;
- `batch` {collater, preprocessors, arrow, single, json_lists}, samples in the body -> {entries}, see
  `lavandin.worker.batches`.

Samples are an Arrow IPC stream of one record batch; a function is {name, params}. Each may answer {error} instead.
"""

import os
import sys


def main():
    """Runs in a process that the node has started, with the package's place and the node's process id as arguments."""
    from lavandin.worker import process
    from lavandin.worker.frames import Connection

    place, node = sys.argv[1], int(sys.argv[2])
    socket = process.take_socket()
    process.die_with_node(node, socket)
    process.prepare()
    connection = Connection(socket)
    # What is installed comes before what lies about in the working directory, which `load` appends.
    sys.path[:] = [os.path.join(place, "lavandin", "worker", "shim"), place] + [
        entry for entry in sys.path if entry not in ("", place)
    ]
    sys.argv = ["lavandin-worker"]
    try:
        import numpy
        import pyarrow
    except ImportError as error:
        connection.send({"fatal": f"{error}", "python": sys.version.split()[0], "executable": sys.executable})
        return
    versions = {"python": sys.version.split()[0], "pyarrow": pyarrow.__version__, "numpy": numpy.__version__}
    connection.send({"hello": versions})

    from lavandin.worker.requests import Requests

    requests = Requests(connection)
    while True:
        frame = connection.receive()
        if frame is None:
            break
        requests.answer(*frame)

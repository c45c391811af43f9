"""Frames on the socket between node and worker.

A frame is: u32 length of the header, the header (a JSON object in UTF-8), u64 length of the body, the body. Numbers are
little-endian. The node sends requests, each with an ``id``; the worker answers each with one frame of the same ``id``,
after any number of frames that carry ``progress``. Before the first request it sends one frame of its own, ``hello`` or
``fatal``. The socket is the worker's alone: what user code prints goes elsewhere.
"""

import json
import struct

#: Smaller pieces are joined before they are sent; larger ones are sent as they are, without a copy.
_JOIN_BYTES_MAX = 64 * 1024


class Connection:
    def __init__(self, socket):
        self._socket = socket

    def receive(self):
        """The next frame as (header, body), or None when the node has closed the connection."""
        length = self._exactly(4, at_boundary=True)
        if length is None:
            return None
        header = json.loads(bytes(self._exactly(struct.unpack("<I", length)[0])))
        body = self._exactly(struct.unpack("<Q", self._exactly(8))[0])
        return header, body

    def send(self, header, parts=(), body_bytes=0):
        """Sends a frame whose body is the `parts` one after the other, `body_bytes` in all."""
        text = json.dumps(header, separators=(",", ":")).encode("utf-8", "backslashreplace")
        small = [struct.pack("<I", len(text)), text, struct.pack("<Q", body_bytes)]
        held = 0
        for part in parts:
            if len(part) >= _JOIN_BYTES_MAX or held >= _JOIN_BYTES_MAX:
                self._socket.sendall(b"".join(small))
                small, held = [], 0
            if len(part) >= _JOIN_BYTES_MAX:
                self._socket.sendall(part)
            else:
                small.append(part)
                held += len(part)
        if small:
            self._socket.sendall(b"".join(small))

    def _exactly(self, count, at_boundary=False):
        data = bytearray(count)
        view = memoryview(data)
        got = 0
        while got < count:
            read = self._socket.recv_into(view[got:])
            if read == 0:
                if at_boundary and got == 0:
                    return None
                raise EOFError("the node closed the connection within a frame")
            got += read
        return data

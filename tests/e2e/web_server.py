"""Web servers of tests, on threads of the test's process: a folder over http, and a small fake of the Hugging Face hub.

Both know ranges and ETags, remember what they were asked, and fail on demand: `fail(path, status, times)` answers that
often with the status, `cut(path, after, times)` breaks the connection off after so many bytes of the body.
"""

import hashlib
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.owner.serve(self)

    do_HEAD = do_GET

    def log_message(self, *_):
        """The owner remembers the requests."""

    def answer(self, status: int, body: bytes = b"", headers=None, cut=None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut is not None and cut < len(body):
            self.wfile.write(body[:cut])
            self.close_connection = True
            return
        self.wfile.write(body)

    def answer_file(self, content: bytes, tag: str, cut=None) -> None:
        headers = {"ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes=") or not asked.endswith("-"):
            return self.answer(200, content, headers, cut)
        start = int(asked[len("bytes=") : -1])
        if start >= len(content):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.answer(206, content[start:], headers, cut)


class _Server:
    """What both servers share. `requests` holds (method, path with query) of every request so far."""

    def __init__(self):
        self.requests = []
        self._faults = {}
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def start(self):
        self._thread.start()
        return self

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    def fail(self, path: str, status: int = 500, times: int = 1) -> None:
        self._add_fault(path, ("fail", status), times)

    def cut(self, path: str, after: int, times: int = 1) -> None:
        self._add_fault(path, ("cut", after), times)

    def count(self, method: str, path: str) -> int:
        with self._lock:
            return self.requests.count((method, path))

    def serve(self, handler: _Handler) -> None:
        path = unquote(urlsplit(handler.path).path)
        with self._lock:
            self.requests.append((handler.command, handler.path))
            faults = self._faults.get(path)
            # A HEAD has no body to break off.
            due = faults and (faults[0][0] == "fail" or handler.command == "GET")
            kind, value = faults.popleft() if due else (None, None)
        if kind == "fail":
            return handler.answer(value)
        return self.respond(handler, path, value)

    def respond(self, handler: _Handler, path: str, cut) -> None:
        raise NotImplementedError

    def _add_fault(self, path: str, fault: tuple, times: int) -> None:
        with self._lock:
            self._faults.setdefault(path, deque()).extend([fault] * times)


class WebServer(_Server):
    """Serves a folder; a sub-folder without an `index.html` of its own gets one that lists its files."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = Path(folder).resolve()

    def location(self, folder: str = "") -> str:
        return f"{self.url}/{quote(folder)}" if folder else self.url

    def respond(self, handler: _Handler, path: str, cut) -> None:
        found = (self.folder / path.lstrip("/")).resolve()
        if not found.is_relative_to(self.folder):
            return handler.answer(403)
        if found.is_file():
            content = found.read_bytes()
            return handler.answer_file(content, _tag(content), cut)
        if found.name == "index.html" and found.parent.is_dir():
            files = sorted(entry for entry in found.parent.iterdir() if entry.is_file())
            lines = [f"{entry.name} {entry.stat().st_size}\n" for entry in files]
            return handler.answer(200, "".join(lines).encode(), {"Content-Type": "text/html"}, cut)
        return handler.answer(404)


class HubServer(_Server):
    """Dataset repositories as the hub serves them: the tree by pages, small files at once, large ones by a redirect.

    `put(repository, path, content)` adds a file. With a token set, everything but the redirect's target wants it.
    """

    PAGE_ENTRIES = 3
    LARGE_BYTES = 1 << 10

    def __init__(self, token: str | None = None):
        super().__init__()
        self.token = token
        self._files = {}

    def put(self, repository: str, path: str, content: bytes) -> None:
        with self._lock:
            self._files.setdefault(repository, {})[path] = content

    def put_folder(self, folder: Path, repository: str, prefix: str) -> str:
        """Adds the files of a folder; returns their location."""
        for path in sorted(folder.iterdir()):
            self.put(repository, f"{prefix}/{path.name}", path.read_bytes())
        return f"hf://{repository}/{prefix}"

    def environment(self) -> dict:
        token = {"HF_TOKEN": self.token} if self.token else {}
        return {"HF_ENDPOINT": self.url, **token}

    def respond(self, handler: _Handler, path: str, cut) -> None:
        parts = path.strip("/").split("/")
        if parts[0] == "blob":
            content = self._blob(parts[-1])
            return handler.answer_file(content, f"blob-{parts[-1][:8]}", cut)
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            return handler.answer(401)
        if parts[:2] == ["api", "datasets"] and parts[4:6] == ["tree", "main"]:
            return self._tree(handler, "/".join(parts[2:4]), "/".join(parts[6:]))
        if parts[0] == "datasets" and parts[3:5] == ["resolve", "main"]:
            return self._resolve(handler, "/".join(parts[1:3]), "/".join(parts[5:]), cut)
        return handler.answer(404)

    def _tree(self, handler: _Handler, repository: str, folder: str) -> None:
        with self._lock:
            files = dict(self._files.get(repository, {}))
        inside = f"{folder}/" if folder else ""
        names = [path[len(inside) :] for path in sorted(files) if path.startswith(inside)]
        if not names:
            return handler.answer(404)
        items = {name.split("/")[0]: self._item(files, inside, name) for name in names}
        query = urlsplit(handler.path).query
        start = int(parse_qs(query).get("cursor", ["0"])[0])
        page = list(items.values())[start : start + self.PAGE_ENTRIES]
        headers = {"Content-Type": "application/json"}
        if start + self.PAGE_ENTRIES < len(items):
            next_page = f"{self.url}{urlsplit(handler.path).path}?cursor={start + self.PAGE_ENTRIES}"
            headers["Link"] = f'<{next_page}>; rel="next"'
        return handler.answer(200, json.dumps(page).encode(), headers)

    def _item(self, files: dict, inside: str, name: str) -> dict:
        if "/" in name:
            return {"type": "directory", "path": inside + name.split("/")[0], "size": 0, "oid": "tree"}
        content = files[inside + name]
        item = {"type": "file", "path": inside + name, "size": len(content), "oid": _tag(content)}
        if len(content) >= self.LARGE_BYTES:
            item["lfs"] = {"oid": _hash(content), "size": len(content), "pointerSize": 130}
        return item

    def _resolve(self, handler: _Handler, repository: str, path: str, cut) -> None:
        with self._lock:
            content = self._files.get(repository, {}).get(path)
        if content is None:
            return handler.answer(404)
        if len(content) < self.LARGE_BYTES:
            return handler.answer_file(content, _tag(content), cut)
        linked = {"X-Linked-ETag": f'"{_hash(content)}"', "X-Linked-Size": str(len(content))}
        return handler.answer(302, b"", {**linked, "Location": f"/blob/{_hash(content)}"})

    def _blob(self, wanted: str) -> bytes:
        with self._lock:
            contents = [content for files in self._files.values() for content in files.values()]
        return next(content for content in contents if _hash(content) == wanted)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tag(content: bytes) -> str:
    return _hash(content)[:40]

"""Two ways to one router, with one interface: the published client, and plain HTTP with idempotency keys.

Both turn what went wrong into `Failed`, which says whether the request was surely not carried out. The published client has no
time limit: it waits as long as a suspended member is suspended.
"""

import http.client
import json
import re

from history import REFUSED, UNKNOWN
from lynse import VectorDBClient
from lynse.api.http_api.client_api import ExecutionError
from node import Connection, Reply

DATABASE = "chaos"
THIN_TIMEOUT_S = 12.0
# Errors that promise that nothing was done, unless they ask for a repetition under the idempotency key.
CERTAIN = {
    "invalid_argument", "already_exists", "not_found", "unauthorized", "payload_too_large", "overloaded", "unavailable",
    "empty_database", "not_implemented",
}


class Failed(Exception):
    """A request that was not a success; `outcome` says what is known of its effect."""

    def __init__(self, outcome: str, text: str, code: str = ""):
        super().__init__(text)
        self.outcome, self.code = outcome, code


def failure(body: str) -> Failed:
    """What an error's body promises."""
    try:
        said = json.loads(body)
        code, text = said.get("code", ""), said.get("error", "")
    except (ValueError, AttributeError):
        return Failed(UNKNOWN, body)
    certain = code in CERTAIN and "idempotency" not in text
    return Failed(REFUSED if certain else UNKNOWN, text, code)


class Published:
    """The published client on one router."""

    repeats = False

    def __init__(self, name: str, url: str):
        self.name, self.url = name, url
        self.handles = {}

    def _handle(self, collection: str):
        if collection not in self.handles:
            try:
                self.handles[collection] = VectorDBClient(self.url).get_database(DATABASE).get_collection(collection)
            except Exception as error:
                raise Failed(REFUSED, f"no handle: {error}") from error
        return self.handles[collection]

    def _call(self, collection: str, work):
        handle = self._handle(collection)
        try:
            return work(handle)
        except ExecutionError as error:
            said = error.args[0]
            raise failure(said if isinstance(said, str) else json.dumps(said)) from error
        except RuntimeError as error:
            inner = re.search(r"status \d+: (.*)", str(error), re.DOTALL)
            raise failure(inner.group(1) if inner else str(error)) from error
        except OSError as error:
            raise Failed(REFUSED if "Connection refused" in str(error) else UNKNOWN, str(error)) from error

    def write(self, kind: str, collection: str, ids, vectors, key: str):
        def work(handle):
            if kind in ("delete", "restore"):
                return getattr(handle, kind)(ids)
            given = {} if ids is None else {"ids": ids}
            told = getattr(handle, kind)(vectors=vectors, **given)
            return told if isinstance(told, list) else [told]

        return self._call(collection, work)

    def read(self, collection: str, key):
        found = self._call(collection, lambda handle: handle.read_by_only_id([key]))
        return found.vectors.tolist()[0]

    def search(self, collection: str, vector):
        return self._call(collection, lambda handle: handle.search(vector, k=1)).ids.tolist()

    def close(self):
        self.handles = {}


class Thin:
    """Plain HTTP on one router, with a time limit and idempotency keys."""

    repeats = True

    def __init__(self, name: str, url: str):
        self.name = name
        self.connection = Connection(int(url.rsplit(":", 1)[1]), timeout_s=THIN_TIMEOUT_S)

    def post(self, path: str, payload: dict, key: str | None = None) -> Reply:
        headers = {"Content-Type": "application/json"} | ({} if key is None else {"idempotency-key": key})
        try:
            reply = self.connection.request("POST", path, json.dumps(payload).encode(), headers)
        except ConnectionRefusedError as error:
            raise Failed(REFUSED, str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Failed(UNKNOWN, repr(error)) from error
        if reply.status != 200:
            raise failure(reply.text)
        return reply

    def write(self, kind: str, collection: str, ids, vectors, key: str):
        body = {**named(collection), "ids": ids} | ({} if vectors is None else {"vectors": vectors})
        return self.post(f"/{kind}", body, key).params.get("ids", ids)

    def read(self, collection: str, key):
        return self.post("/read_by_only_id", {**named(collection), "id": [key]}).params["item"][0][0]

    def search(self, collection: str, vector):
        return self.post("/search", {**named(collection), "vector": vector, "k": 1}).params["items"]["ids"]

    def close(self):
        self.connection.close()


def named(collection: str) -> dict:
    return {"database_name": DATABASE, "collection_name": collection}

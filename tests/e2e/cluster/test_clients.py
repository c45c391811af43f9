"""What clients make of answers, and where ids belong."""

import json

import pytest
from clients import Failed, Published, Thin, failure
from cluster import bucket, free_port
from history import REFUSED, UNKNOWN

# As observed on LynseDB's own coordinator.
BUCKETS = [("docs", "doc-1", "external", 1922), ("docs", "doc-2", "external", 1842), ("docs", 5, "external", 3168), ("docs", 5, "internal", 3261)]


@pytest.mark.parametrize("collection, key, integers, expected", BUCKETS)
def test_buckets(collection, key, integers, expected):
    assert bucket("demo", collection, key, integers) == expected


@pytest.mark.parametrize(
    "body, outcome",
    [
        ({"error": "id already exists", "code": "invalid_argument"}, REFUSED),
        ({"error": "group sg0 has no live copy", "code": "unavailable"}, REFUSED),
        ({"error": "send it again with the same idempotency key", "code": "unavailable"}, UNKNOWN),
        ({"error": "the change is done in groups 1", "code": "partial"}, UNKNOWN),
        ({"error": "no outcome", "code": "deadline_exceeded"}, UNKNOWN),
        ({"error": "a defect", "code": "internal_error"}, UNKNOWN),
        ("half an ans", UNKNOWN),
        ([1], UNKNOWN),
    ],
)
def test_what_an_error_promises(body, outcome):
    assert failure(body if isinstance(body, str) else json.dumps(body)).outcome == outcome


@pytest.mark.parametrize("kind", [Published, Thin])
def test_nobody_listens(kind):
    """A refused connection is a request that was surely not carried out."""
    router = kind("nobody", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Failed) as caught:
        router.write("add", "c", ["x"], [[1.0]], "key")
    assert caught.value.outcome == REFUSED

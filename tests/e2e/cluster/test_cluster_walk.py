"""The walk of the published client through a node (test_client_walk.py), through a coordinator."""

import pytest
from test_client_walk import *  # noqa: F403
from test_client_walk import VECTORS


@pytest.fixture(scope="module")
def shared_node(shared_cluster):
    return shared_cluster.coordinators["c0"]


def test_the_server_allots_ids(db):
    """In the place of the walk's: over several groups ids come from leased ranges, so they are distinct and not dense."""
    collection = db.require_collection("auto")
    given = collection.add(vectors=VECTORS) + collection.add(ids=[100], vectors=[VECTORS[0]])
    given += collection.add(vectors=VECTORS[:2], wire_dtype="float16") + collection.add(vectors=VECTORS[:3], batch_size=2)
    assert len(given) == len(set(given)) == 10
    collection.build_index("FLAT-L2")
    stored = collection.head(20)
    assert stored.ids.tolist() == given and collection.max_id >= max(given)
    assert set(collection.search(VECTORS[2], k=2).ids.tolist()) == {given[2], given[9]}


def test_allotted_ids_begin_behind_the_records_that_are_there(db):
    """As on a node: not below the number of records ever inserted, whatever their ids."""
    collection = db.require_collection("auto_after_texts")
    collection.add(ids=["first", "second"], vectors=VECTORS[:2])
    assert collection.add(vectors=VECTORS[:2]) == [2, 3]
    assert collection.head(4).ids.tolist() == ["first", "second", 2, 3]

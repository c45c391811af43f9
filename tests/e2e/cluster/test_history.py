"""The checker of histories, against histories made by hand: it passes what is right and names each thing that is wrong."""

import pytest
from history import ABSENT, ACKNOWLEDGED, OTHER_ROUTERS_GRACE_S, REFUSED, UNKNOWN, History


class Made(History):
    """A history by short sentences; time is a counter."""

    def __init__(self):
        super().__init__()
        self.now_s = 0.0

    def write(self, keys, outcome=ACKNOWLEDGED, kind="upsert", router="a", groups=None):
        self.now_s += 1
        operation = self.begin(kind, self.now_s)
        after = {key: ABSENT if kind == "delete" else operation.version for key in keys}
        self.intend(operation, after, groups or {key: "sg0" for key in keys})
        self.end(operation, outcome, router, self.now_s)
        return operation.version

    def add_rows(self, rows, ids, outcome=ACKNOWLEDGED):
        operation = self.begin("allotted", self.now_s, rows)
        self.end(operation, outcome, "a", self.now_s)
        if ids:
            self.allot(operation, ids)
        return operation.version

    def wrong(self) -> dict:
        return {name: count for name, count in self.verdict.counts.items() if count}


@pytest.fixture
def history() -> Made:
    return Made()


def test_what_is_owed_is_clean(history):
    history.write(["x", "y"])
    second = history.write(["x"])
    history.write(["y"], kind="delete")
    history.write(["z"], REFUSED)
    history.check({"x": second})
    assert history.verdict.is_clean and history.acknowledged() == 3 and history.refused() == 1


@pytest.mark.parametrize("there", [True, False])
def test_an_unknown_write_may_be_there_or_not(history, there):
    first = history.write(["x"])
    second = history.write(["x"], UNKNOWN)
    history.check({"x": second if there else first})
    assert history.verdict.is_clean and history.unknown() == 1


def test_lost(history):
    first = history.write(["x", "y"])
    history.write(["x"])
    history.check({"x": first})
    assert history.wrong() == {"lost": 2}, "x has older content, y is missing"


def test_missing_after_an_unknown_write_is_lost(history):
    history.write(["x"])
    history.write(["x"], UNKNOWN)
    history.check({})
    assert history.wrong() == {"lost": 1}


def test_phantom(history):
    refused = history.write(["x"], REFUSED)
    history.check({"x": refused, "nobody's": 77})
    assert history.wrong() == {"phantom": 2}


def test_a_refused_change_that_took_effect_is_a_phantom(history):
    history.write(["x"])
    refused = history.write(["x"], REFUSED)
    history.check({"x": refused})
    assert history.wrong() == {"phantom": 1}


def test_a_refused_delete_that_took_effect_is_a_loss(history):
    history.write(["x"])
    history.write(["x"], REFUSED, kind="delete")
    history.check({})
    assert history.wrong() == {"lost": 1}


def test_resurrected(history):
    version = history.write(["x"])
    history.write(["x"], kind="delete")
    history.check({"x": version})
    assert history.wrong() == {"resurrected": 1}


def test_a_part_of_a_log_record_is_a_gap(history):
    groups = {"x": "sg0", "y": "sg0", "z": "sg1"}
    version = history.write(["x", "y", "z"], UNKNOWN, groups=groups)
    history.check({"x": version, "y": version})
    assert history.verdict.is_clean, "one group was lost in between"
    history.check({"x": version, "z": version})
    assert history.wrong() == {"gaps": 1}


def test_a_mistake_that_is_taken_counts_as_doubled(history):
    history.write(["x"])
    history.write([], ACKNOWLEDGED, kind="mistake")
    assert history.wrong() == {"doubled": 1}


def test_stale_reads(history):
    first = history.write(["x"])
    second = history.write(["x"])
    floor = history.floor("x", "a", history.now_s)
    history.observe("x", floor, second)
    assert history.verdict.is_clean
    history.observe("x", floor, first)
    history.observe("x", floor, ABSENT)
    assert history.wrong() == {"stale": 2}


def test_a_read_may_show_what_began_meanwhile(history):
    history.write(["x"])
    floor = history.floor("x", "a", history.now_s)
    later = history.write(["x"])
    history.observe("x", floor, later)
    history.write(["x"], kind="delete")
    history.observe("x", floor, ABSENT)
    history.observe("x", floor, history.write(["x"], UNKNOWN))
    assert history.verdict.is_clean


def test_a_write_through_another_router_counts_after_a_moment(history):
    first = history.write(["x"])
    history.write(["x"], router="b")
    history.observe("x", history.floor("x", "a", history.now_s + OTHER_ROUTERS_GRACE_S / 2), first)
    assert history.verdict.is_clean
    history.observe("x", history.floor("x", "a", history.now_s + 2 * OTHER_ROUTERS_GRACE_S), first)
    assert history.wrong() == {"stale": 1}


def test_a_read_of_what_was_refused_is_a_phantom(history):
    history.write(["x"])
    refused = history.write(["x"], REFUSED)
    history.observe("x", -1, refused)
    assert history.wrong() == {"phantom": 1}


def test_a_read_of_a_deleted_record_is_stale(history):
    version = history.write(["x"])
    history.write(["x"], kind="delete")
    history.observe("x", history.floor("x", "a", history.now_s), version)
    assert history.wrong() == {"stale": 1}


def test_allotted_ids(history):
    first = history.add_rows(2, [10, 11])
    unknown = history.add_rows(1, [], UNKNOWN)
    history.check_allotted([(10, first, 0), (11, first, 1), (12, unknown, 0)])
    assert history.verdict.is_clean


def test_allotted_ids_gone_wrong(history):
    first = history.add_rows(2, [10, 11])
    refused = history.add_rows(1, [], REFUSED)
    history.check_allotted([(10, first, 0), (12, first, 1), (13, refused, 0), (13, refused, 0)])
    assert history.wrong() == {"lost": 1, "doubled": 2, "phantom": 1}


def test_an_id_that_is_given_twice(history):
    history.add_rows(1, [10])
    history.add_rows(1, [10])
    assert history.wrong() == {"doubled": 1}
    history.add_rows(2, [20, 20])
    assert history.verdict.doubled == 3


def test_copies_that_differ(history):
    history.compare({"x": 1, "y": 2}, {"x": 1, "y": 2}, "the same")
    assert history.verdict.is_clean
    history.compare({"x": 1, "y": 2}, {"x": 2, "z": 3}, "not the same")
    assert history.wrong() == {"diverged": 3}

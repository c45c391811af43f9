"""The chaos driver: its schedule, its figures, short runs on a node alone, and a longer one on a cluster."""

import itertools
import json

import chaos
import pytest
from clients import Thin
from cluster import Cluster, Layout
from faults import BEYOND_KINDS, NETWORK_KINDS, WEIGHTS, Fault, rules, schedule
from load import Run, prepare
from report import Inflicted, Read, by_group, pause_after, pauses, percentile, read_pause_after

ALONE = ["--groups", "1", "--copies", "1", "--coordinators", "0", "--no-network", "--beyond", "0", "--json"]


@pytest.fixture
def unstarted(tmp_path):
    cluster = Cluster(tmp_path, Layout(coordinators=2, faulty_network=True))
    yield cluster
    cluster.stop()


def first(cluster: Cluster, seed: int, count: int = 500) -> list[Fault]:
    return list(itertools.islice(schedule(seed, cluster), count))


def test_a_seed_is_a_schedule(unstarted):
    assert first(unstarted, 7) == first(unstarted, 7) != first(unstarted, 8)


def test_the_schedule_has_every_kind_and_stays_within_the_layout(unstarted):
    faults = first(unstarted, 1, 2000)
    assert {fault.kind for fault in faults} == set(WEIGHTS) | set(BEYOND_KINDS)
    for fault in faults:
        assert fault.beyond == (fault.kind in BEYOND_KINDS)
        assert len(fault.targets) == 1 or fault.beyond or fault.kind == "cut_link"
        assert fault.kind != "wipe" or fault.targets[0] in unstarted.nodes
        assert fault.kind not in NETWORK_KINDS or rules(fault)
    assert 0 < sum(fault.beyond for fault in faults) < len(faults) * 0.06


def test_pauses():
    event = Inflicted(Fault("kill", ("a",), 2.0, 0.0), 10.0, 15.0)
    steady = [at / 10 for at in range(300)]
    stopped = [at for at in steady if not 10.2 < at < 14.0]
    groups = by_group([(at, "x") for at in steady] + [(at, "y") for at in stopped])
    assert pause_after(event, groups) == pytest.approx(3.8)
    assert pause_after(event, by_group([(9.0, "x")])) == 5.0, "nothing until it had healed"
    assert pause_after(event, by_group([(9.0, "x"), (17.0, "x")])) == 7.0
    beyond = Inflicted(Fault("kill_all", ("a",), 2.0, 0.0, beyond=True), 20.0, 25.0)
    assert pauses([event, beyond], [(at, "y") for at in stopped], []).keys() == {"kill"}
    assert [percentile([3, 1, 2], share) for share in (50, 99)] == [2, 3] and percentile([5], 99) == 5


def test_pauses_of_reads():
    event = Inflicted(Fault("kill", ("a",), 2.0, 0.0), 10.0, 15.0)

    def pause(*reads) -> float:
        return read_pause_after(event, [Read(*read) for read in reads])

    assert pause() == 0.0
    assert pause((9.0, 9.5, "x", "b", True), (14.0, 14.1, "x", "b", True)) == pytest.approx(0.1), "nobody asked"
    assert pause((11.0, 11.1, "x", "b", True), (11.2, 14.0, "x", "b", True)) == pytest.approx(2.8)
    assert pause((11.0, 14.0, "x", "b", True), (11.5, 11.6, "x", "b", True)) == pytest.approx(2.4), "another one was answered"
    assert pause((11.0, 14.0, "x", "b", True), (11.5, 11.6, "y", "b", True)) == pytest.approx(3.0), "in another group"
    assert pause((11.0, 14.0, "x", "a", True)) == 0.0, "the member that died was asked"
    assert pause((11.0, 11.2, "x", "b", False), (11.3, 12.0, "x", "b", True)) == pytest.approx(1.0), "an error is no answer"
    assert pause((12.0, 17.0, "x", "b", True)) == pytest.approx(5.0)
    assert pause((12.0, 13.0, "x", "b", False)) == pytest.approx(3.0), "never answered"


def run(capsys, *arguments: str) -> tuple[int, dict]:
    code = chaos.main([*ALONE, *arguments])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def short_patience(monkeypatch):
    monkeypatch.setattr(chaos, "REQUEST_TIMEOUT_S", 1)


def test_a_node_alone_loses_nothing(capsys, short_patience, monkeypatch):
    monkeypatch.setattr("faults.SECONDS", (0.2, 0.5))
    code, report = run(capsys, "--minutes", "0.08", "--seed", "3")
    assert code == 0, report
    assert report["faults"] >= 2 and report["acknowledged requests"] > 50 and not any(report["wrong"].values())


def test_the_driver_notices_a_lost_disk(capsys, short_patience, monkeypatch):
    """A driver that cannot fail proves nothing: the only copy is wiped behind its back."""

    def wipe_instead(cluster: Cluster, fault: Fault):
        (name,) = fault.targets
        cluster.wipe(name)
        cluster[name].start()
        prepare(Run({}, 1, 1.0), Thin(name, cluster[name].url))

    monkeypatch.setattr(chaos, "inflict", wipe_instead)
    code, report = run(capsys, "--minutes", "0.06", "--seed", "3")
    assert code == 1 and report["wrong"]["lost"] > 0, report


@pytest.mark.slow
@pytest.mark.parametrize("layout", [(), ("--head", "--groups", "3")], ids=["coordinators", "head"])
def test_two_minutes_of_faults(capsys, layout):
    code = chaos.main(["--minutes", "2", "--seed", "1", "--json", *layout])
    report = json.loads(capsys.readouterr().out)
    assert code == 0 and report["faults"] >= 5 and report["acknowledged records"] > 5000, report

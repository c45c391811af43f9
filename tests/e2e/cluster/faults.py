"""What is done to a cluster while clients use it: a schedule of faults from a seed, and their execution.

The schedule is a function of the seed and the members' names, so the same seed is the same sequence of faults. Between two of them
the cluster heals. One fault leaves every group a copy and the metadata a majority, so the layout survives it; those marked
`beyond` do not, and nothing is then claimed of availability, only of what was acknowledged.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cluster import Cluster
from network import EVERYONE, Rule

# kind: how often. A link is one direction between two members; cuts of a node are all its links in one direction.
WEIGHTS = {
    "kill": 30, "suspend": 16, "restart": 8, "wipe": 8, "delay": 6, "loss": 8, "cut_to": 6, "cut_from": 6, "isolate": 8, "cut_link": 4,
}
NETWORK_KINDS = {"delay", "loss", "cut_to", "cut_from", "isolate", "cut_link"}
BEYOND_KINDS = ("kill_all", "kill_group", "suspend_half")
BEYOND_RATE = 0.03
SECONDS = (1.0, 7.0)
PAUSE_S = (0.2, 2.0)
DELAY_S = (0.02, 0.3)
LOSS = (0.02, 0.3)


@dataclass(frozen=True)
class Fault:
    kind: str
    targets: tuple
    seconds: float
    pause_s: float
    strength: float = 0.0
    beyond: bool = False

    def __str__(self):
        mark = " (beyond what the layout survives)" if self.beyond else ""
        return f"{self.kind} {' '.join(self.targets)} for {self.seconds:.1f} s{mark}"


def schedule(seed: int, cluster: Cluster, beyond_rate: float = BEYOND_RATE) -> Iterator[Fault]:
    at_random = random.Random(seed)
    nodes, coordinators = list(cluster.nodes), list(cluster.coordinators)
    without = set() if cluster.network and len(cluster.members) > 1 else NETWORK_KINDS
    without = without | {"wipe"} if cluster.layout.copies == 1 else without
    weights = {kind: weight for kind, weight in WEIGHTS.items() if kind not in without}
    while True:
        times = (at_random.uniform(*SECONDS), at_random.uniform(*PAUSE_S))
        if at_random.random() < beyond_rate:
            kind = at_random.choice(BEYOND_KINDS)
            yield Fault(kind, _beyond_targets(kind, cluster, at_random), *times, beyond=True)
            continue
        (kind,) = at_random.choices(list(weights), weights.values())
        target = at_random.choice(nodes if kind == "wipe" else nodes + coordinators)
        targets = (target,)
        if kind == "cut_link":
            targets += (at_random.choice([name for name in nodes + coordinators if name != target]),)
        strength = at_random.uniform(*(LOSS if kind == "loss" else DELAY_S))
        yield Fault(kind, targets, *times, strength=strength)


def _beyond_targets(kind: str, cluster: Cluster, at_random: random.Random) -> tuple:
    nodes = list(cluster.nodes)
    if kind == "kill_all":
        return tuple(cluster.members)
    if kind == "kill_group":
        group = at_random.choice([node.group for node in cluster.nodes.values()])
        return tuple(name for name, node in cluster.nodes.items() if node.group == group)
    return tuple(at_random.sample(nodes, (len(nodes) + 1) // 2))


def inflict(cluster: Cluster, fault: Fault):
    """The fault from its begin to its end; the caller waits for the cluster to heal."""
    if fault.kind in NETWORK_KINDS:
        cluster.network.set(*rules(fault))
        time.sleep(fault.seconds)
        cluster.network.heal()
    elif fault.kind in ("suspend", "suspend_half"):
        for name in fault.targets:
            cluster.suspend(name)
        time.sleep(fault.seconds)
        for name in fault.targets:
            cluster.resume(name)
    else:
        end = {"restart": cluster.terminate, "wipe": cluster.wipe}.get(fault.kind, cluster.kill)
        for name in fault.targets:
            end(name)
        time.sleep(fault.seconds)
        for name in fault.targets:
            cluster.spawn(name)


def rules(fault: Fault) -> list[Rule]:
    name = fault.targets[0]
    to, of = (EVERYONE, name), (name, EVERYONE)
    match fault.kind:
        case "delay":
            return [Rule(*to, delay_s=fault.strength), Rule(*of, delay_s=fault.strength)]
        case "loss":
            return [Rule(*to, loss=fault.strength), Rule(*of, loss=fault.strength)]
        case "cut_to":
            return [Rule(*to, cut=True)]
        case "cut_from":
            return [Rule(*of, cut=True)]
        case "isolate":
            return [Rule(*to, cut=True), Rule(*of, cut=True)]
        case "cut_link":
            return [Rule(*fault.targets, cut=True)]
    raise ValueError(fault.kind)

"""The end of a run: the clients stop, everything is read back through each member, and then from each copy.

A copy shows what it holds when it leads its group, so the primaries are killed one after the other and the reading is repeated.
What is found is compared with the history and with the first reading.
"""

import time

from clients import Failed, Thin
from cluster import Cluster
from load import Run, read_everything
from node import poll

HEAL_DEADLINE_S = 120.0
JOIN_DEADLINE_S = 90.0
READ_DEADLINE_S = 60.0


def settle_clients(run: Run, threads: list):
    """Ends the clients. All members run now: one that still waits for an answer waits for a member that has forgotten it."""
    run.stop.set()
    until = time.monotonic() + JOIN_DEADLINE_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            run.defects.append(f"{type(thread).__name__}: no answer within {JOIN_DEADLINE_S:.0f} s of the last fault's end")
    # what was given up by a client may still be carried out until the request's own deadline
    time.sleep(run.request_timeout_s)


def read_back(cluster: Cluster, name: str) -> tuple[dict, list]:
    """Everything through one member, which may still be finding its way to the groups."""
    answer = []
    said = [""]

    def read() -> bool:
        router = Thin(name, cluster[name].url)
        try:
            answer[:] = read_everything(router)
            return True
        except Failed as error:
            said[0] = str(error)
            return False
        finally:
            router.close()

    try:
        poll(read, f"reading everything through {name}", READ_DEADLINE_S)
    except AssertionError as error:
        raise AssertionError(f"{error}: {said[0]}") from None
    return answer[0], answer[1]


def judge(cluster: Cluster, run: Run):
    """Reads everything through every member, then from every copy."""
    history = run.history
    first = read_back(cluster, next(iter(cluster.members)))
    history.check(first[0])
    history.check_allotted(first[1])
    whole = flat(first)
    for name in cluster.members:
        history.compare(whole, flat(read_back(cluster, name)), f"through {name}")
    for group in range(cluster.layout.groups):
        for _ in range(cluster.layout.copies - 1):
            other = depose(cluster, f"sg{group}")
            history.compare(whole, flat(read_back(cluster, other)), f"with {other} as the primary of sg{group}")
            for name, member in cluster.nodes.items():
                if member.process.poll() is not None:
                    cluster.spawn(name)
            cluster.wait_settled(HEAL_DEADLINE_S)


def flat(read: tuple[dict, list]) -> dict:
    found, allotted = read
    return found | {("allotted", key): content for key, *content in allotted}


def depose(cluster: Cluster, group: str) -> str:
    """Kills the group's primary; the name of the next."""
    before = cluster.primary(group)
    cluster.kill(before.name)
    poll(lambda: cluster.primary(group).name != before.name, f"another primary of {group}", HEAL_DEADLINE_S)
    return cluster.primary(group).name

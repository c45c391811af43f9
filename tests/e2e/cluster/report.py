"""The numbers of a run: counts, and for each kind of fault how long writes and reads paused after it.

A pause is the longest time without a success in any one group, from the fault until the cluster had healed. Of reads only those
count that were sent to other members than the fault's, and a time in which nobody waited for an answer is no pause: there are few
readers, so that now and then none asks for a group. Nothing is claimed after a fault that is beyond what the layout survives.
"""

import bisect
from dataclasses import dataclass

from faults import Fault

KILLS = {"kill", "wipe", "kill_all", "kill_group"}


@dataclass(frozen=True)
class Inflicted:
    fault: Fault
    began_s: float
    healed_s: float


@dataclass(frozen=True)
class Read:
    """One read of a record, through one member; with or without an answer."""

    began_s: float
    ended_s: float
    group: str
    router: str
    answered: bool


def by_group(successes: list) -> list[list[float]]:
    """The times of each group's successes, in order, from (time, group) in any order."""
    times = {}
    for at, group in successes:
        times.setdefault(group, []).append(at)
    return [sorted(of_group) for of_group in times.values()]


def pause_after(event: Inflicted, groups: list[list[float]]) -> float:
    """The longest pause of any group."""
    return max((_longest_gap(event, times) for times in groups), default=0.0)


def _longest_gap(event: Inflicted, times: list[float]) -> float:
    last, longest = event.began_s, 0.0
    for at in times[bisect.bisect_left(times, event.began_s) :]:
        longest, last = max(longest, at - last), at
        if at >= event.healed_s:
            return longest
    return max(longest, event.healed_s - last)


def read_pause_after(event: Inflicted, reads: list[Read]) -> float:
    """The longest pause of any group for those who asked members that were well."""
    during = [read for read in reads if read.ended_s > event.began_s and read.began_s < event.healed_s]
    asked = [read for read in during if read.router not in event.fault.targets]
    return max((_longest_wait(event, [read for read in asked if read.group == group]) for group in {read.group for read in asked}), default=0.0)


def _longest_wait(event: Inflicted, reads: list[Read]) -> float:
    answers = sorted(read.ended_s for read in reads if read.answered)
    longest = 0.0
    for last, answer in zip([event.began_s, *answers], [*answers, event.healed_s]):
        waited_for = (read.began_s for read in reads if read.ended_s > last and read.began_s < answer)
        if answer - last > longest:
            longest = max(longest, answer - max(last, min(waited_for, default=answer)))
    return longest


def percentile(values: list[float], share: int) -> float:
    """The smallest of the values that `share` percent of them do not exceed."""
    return sorted(values)[-(-share * len(values) // 100) - 1]


def pauses(events: list, writes: list, reads: list[Read]) -> dict:
    """p50 and p99 of both pauses and of the time to heal, by kind of fault."""
    found = {}
    writes = by_group(writes)
    for kind in sorted({event.fault.kind for event in events if not event.fault.beyond}):
        of_kind = [event for event in events if event.fault.kind == kind]
        columns = {
            "write": [pause_after(event, writes) for event in of_kind],
            "read": [read_pause_after(event, reads) for event in of_kind],
            "healed": [event.healed_s - event.began_s for event in of_kind],
        }
        shares = [(name, values, share) for name, values in columns.items() for share in (50, 99)]
        numbers = {f"{name}_p{share}_s": round(percentile(values, share), 3) for name, values, share in shares}
        found[kind] = {"count": len(of_kind), **numbers}
    return found


def table(report: dict) -> str:
    lines = [f"{name:24} {value}" for name, value in report.items() if not isinstance(value, (dict, list))]
    lines += ["", f"{'wrong':24} count"]
    lines += [f"{name:24} {value}" for name, value in report["wrong"].items()]
    columns = ["count", "write_p50_s", "write_p99_s", "read_p50_s", "read_p99_s", "healed_p50_s", "healed_p99_s"]
    lines += ["", "".join([f"{'after':12}", *(f"{column:>14}" for column in columns)])]
    for kind, numbers in report["after"].items():
        lines.append("".join([f"{kind:12}", *(f"{numbers[column]:>14}" for column in columns)]))
    beyond = {kind: count for kind, count in report["faults_by_kind"].items() if kind not in report["after"]}
    lines += [f"{kind:12}{count:>14}  beyond what the layout survives" for kind, count in beyond.items()]
    lines += ["", *report["examples"]] if report["examples"] else []
    return "\n".join(lines)

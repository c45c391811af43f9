"""The numbers of a run: counts, and for each kind of fault how long writes and reads paused after it.

A pause is the longest time without a success in any one group, from the fault until the cluster had healed. Nothing is claimed
after a fault that is beyond what the layout survives.
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


def percentile(values: list[float], share: int) -> float:
    """The smallest of the values that `share` percent of them do not exceed."""
    return sorted(values)[-(-share * len(values) // 100) - 1]


def pauses(events: list, writes: list, reads: list) -> dict:
    """p50 and p99 of both pauses and of the time to heal, by kind of fault."""
    found = {}
    writes, reads = by_group(writes), by_group(reads)
    for kind in sorted({event.fault.kind for event in events if not event.fault.beyond}):
        of_kind = [event for event in events if event.fault.kind == kind]
        columns = {
            "write": [pause_after(event, writes) for event in of_kind],
            "read": [pause_after(event, reads) for event in of_kind],
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

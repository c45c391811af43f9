"""`cargo xtask chaos`: a cluster of real processes, clients that read and write, faults for N minutes, and the count of wrong
things, which must be zero.

Exit codes: 0 if nothing was wrong, 1 if something was, 2 if the run could not be made. What is checked: history.py. At the end all
processes run and everything is read back (judge.py).
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from clients import Failed, Thin  # noqa: E402
from cluster import Cluster, Layout  # noqa: E402
from faults import BEYOND_RATE, inflict, schedule  # noqa: E402
from judge import HEAL_DEADLINE_S, judge, settle_clients  # noqa: E402
from load import Run, prepare, workers  # noqa: E402
from report import KILLS, Inflicted, pauses, table  # noqa: E402
from training import Training  # noqa: E402

REQUEST_TIMEOUT_S = 10
WARM_UP_S = 2.0
SETTINGS = ("--request-timeout-secs", str(REQUEST_TIMEOUT_S), "--max-top-k", "0", "--no-audit-log")


def arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cargo xtask chaos", description="Faults on a cluster of real processes, and what was wrong afterwards.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults are inflicted")
    parser.add_argument("--seed", type=int, default=None, help="repeats a schedule of faults; drawn and shown by default")
    parser.add_argument("--groups", type=int, default=2)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--coordinators", type=int, default=2)
    parser.add_argument("--head", action="store_true", help="a head and workers, as many nodes as --groups, in the place of a cluster.json")
    parser.add_argument("--rate", type=float, default=120.0, help="requests per second of all writers; as many reads")
    parser.add_argument("--beyond", type=float, default=BEYOND_RATE, help="share of faults beyond what the layout survives")
    parser.add_argument("--no-network", action="store_true", help="no proxies between the members, and no faults of theirs")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument("--keep", type=Path, default=None, help="a new folder for data and logs, which is left as it is")
    return parser.parse_args(given)


def torment(cluster: Cluster, run: Run, options: argparse.Namespace, events: list[Inflicted]):
    """Faults, each followed by the healing, until the time is over."""
    until = time.monotonic() + 60 * options.minutes
    for fault in schedule(options.seed, cluster, options.beyond):
        if run.stop.wait(WARM_UP_S if not events else fault.pause_s) or time.monotonic() >= until or run.defects:
            return
        began_s = time.monotonic()
        inflict(cluster, fault)
        cluster.wait_settled(HEAL_DEADLINE_S)
        events.append(Inflicted(fault, began_s, time.monotonic()))
        say(options, f"{len(events):4} {fault}: settled {events[-1].healed_s - began_s:.1f} s after it began")


def say(options: argparse.Namespace, text: str):
    print(text, file=sys.stderr if options.json else sys.stdout, flush=True)


def summary(run: Run, events: list[Inflicted], options: argparse.Namespace, problem: str) -> dict:
    history = run.history
    by_kind = Counter(event.fault.kind for event in events)
    kills = sum(len(event.fault.targets) for event in events if event.fault.kind in KILLS)
    return {
        "seed": options.seed,
        "minutes": options.minutes,
        "faults": len(events),
        "kills": kills,
        "acknowledged requests": history.acknowledged(),
        "acknowledged records": history.rows_acknowledged(),
        "refused requests": history.refused(),
        "unknown requests": history.unknown(),
        "reads": sum(read.answered for read in run.reads),
        "failed reads": sum(not read.answered for read in run.reads),
        "problem": problem or "none",
        "wrong": {**history.verdict.counts, "defects": len(run.defects), "problems": int(bool(problem))},
        "faults_by_kind": dict(by_kind),
        "after": pauses(events, run.writes, run.reads),
        "examples": [*history.verdict.examples, *run.defects],
    }


def chaos(cluster: Cluster, options: argparse.Namespace) -> dict:
    """One run on a cluster that is settled."""
    run = Run({name: member.url for name, member in cluster.members.items()}, cluster.layout.groups, REQUEST_TIMEOUT_S)
    router = Thin("first", cluster.url)
    prepare(run, router)
    router.close()
    training = Training(run, [member.port for member in cluster.members.values()], cluster.folder, options.seed)
    threads = [*workers(run, options.rate, options.seed), training]
    for thread in threads:
        thread.start()
    events, problem = [], ""
    try:
        torment(cluster, run, options, events)
        settle_clients(run, threads)
        judge(cluster, run)
    except AssertionError as error:
        # it did not heal, or a process ended: what was counted so far still shows
        problem = str(error)
        run.stop.set()
    fed = {"epochs of training": training.epochs, "samples acknowledged": training.samples, "moves of ranks": training.moves}
    return {**fed, **summary(run, events, options, problem)}


def main(given=None) -> int:
    options = arguments(given)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    say(options, f"seed {options.seed}, {options.minutes} minutes")
    layout = Layout(
        options.groups,
        options.copies,
        0 if options.head else options.coordinators,
        options.head,
        faulty_network=not options.no_network,
        node_arguments=SETTINGS,
        coordinator_arguments=SETTINGS,
    )
    with tempfile.TemporaryDirectory(prefix="lavandin-chaos-") as folder:
        if options.keep is not None:
            options.keep.mkdir(parents=True)
        cluster = Cluster(options.keep or Path(folder), layout)
        try:
            report = chaos(cluster.start(), options)
            if any(report["wrong"].values()):
                print(cluster.logs(), file=sys.stderr)
        except (AssertionError, Failed) as error:
            print(f"error: {error}\n{cluster.logs()}", file=sys.stderr)
            return 2
        finally:
            cluster.stop()
    print(json.dumps(report, indent=2) if options.json else f"\n{table(report)}")
    return 1 if any(report["wrong"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())

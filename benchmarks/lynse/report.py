"""The results as tables, with the ratio of ours to the peer's and the bound where the project names one."""

# figure -> (rows it applies to, the bound as a sentence and a test on (ours, peer, stub))
BETTER_LOW = {"p50_ms", "p99_ms", "cpu_us", "cpu_us_1", "cpu_us_4", "build_s", "ready_s", "first_right_s", "settled_s", "VmRSS", "more_mb"}
COLUMNS = {
    "ingest": ["vec_per_s", "p50_ms", "p99_ms", "cpu_us", "mb_per_s"],
    "search": ["build_s", "recall", "recall_4", "p50_ms", "p99_ms", "qps", "qps_4", "cpu_us_1", "cpu_us_4", "batch_qps"],
    "filter": ["recall", "p50_ms", "p99_ms", "qps", "cpu_us_1"],
    "restart": ["ready_s", "first_right_s", "settled_s", "build_s"],
    "memory": ["VmRSS", "RssAnon", "RssFile", "raw_mb", "times_raw_over_60", "more_mb"],
}


def number(value) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(results: dict) -> str:
    parts = []
    for section, columns in COLUMNS.items():
        if section not in results:
            continue
        lines = [f"### {section}", "", "| row | server | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
        for row, subjects in results[section].items():
            for name, figures in subjects.items():
                lines.append(f"| {row} | {name} | " + " | ".join(number(figures.get(column)) for column in columns) + " |")
            if {"ours", "lynsedb"} <= set(subjects):
                ratios = [ratio(subjects["ours"].get(column), subjects["lynsedb"].get(column), column) for column in columns]
                lines.append(f"| {row} | **times better** | " + " | ".join(ratios) + " |")
        parts.append("\n".join(lines))
    parts.append("### bounds\n\n" + "\n".join(bounds(results)))
    return "\n\n".join(parts)


def ratio(ours, peer, column: str) -> str:
    if not ours or not peer or column.startswith(("recall", "times", "raw")):
        return ""
    return f"**{peer / ours if column in BETTER_LOW else ours / peer:.2f}**"


def bounds(results: dict) -> list[str]:
    """One line a bound: met or not, with the figures."""
    if results["options"].get("groups"):
        return cluster_bounds(results)
    lines = []

    def line(met: bool, text: str):
        lines.append(f"- {'met' if met else '**MISSED**'}: {text}")

    for mode, by in results.get("search", {}).items():
        if not {"ours", "lynsedb"} <= set(by):
            continue
        ours, peer, stub = by["ours"], by["lynsedb"], by.get("stub", {})
        if mode.startswith("FLAT"):
            line(ours["qps"] >= 2 * peer["qps"], f"{mode} one client {ours['qps'] / peer['qps']:.2f} x (2)")
            line(ours["qps_4"] >= 2 * peer["qps_4"], f"{mode} four processes {ours['qps_4'] / peer['qps_4']:.2f} x (2)")
            line(ours["recall"] == ours["recall_4"] == ours["batch_recall"] == 1.0, f"{mode} exact: recall {ours['recall']:.4f}, batch {ours['batch_recall']:.4f}")
            line(ours["batch_qps"] >= 5 * peer["batch_qps"], f"{mode} batch {ours['batch_qps'] / peer['batch_qps']:.2f} x (5)")
        else:
            line(ours["qps"] > peer["qps"], f"{mode} one client {ours['qps'] / peer['qps']:.2f} x (ahead)")
            reach = ours["qps_4"] / stub["qps_4"] if stub else 0
            line(ours["qps_4"] >= 1.5 * peer["qps_4"] or reach >= 0.9, f"{mode} four processes {ours['qps_4'] / peer['qps_4']:.2f} x (1.5), {reach:.0%} of the stub (90 %)")
            line(min(ours["recall"], ours["recall_4"]) >= 0.95, f"{mode} recall {ours['recall']:.4f}, peer {peer['recall']:.4f} (0.95)")
            line(ours["cpu_us_4"] <= 0.5 * peer["cpu_us_4"], f"{mode} server CPU per query {ours['cpu_us_4'] / peer['cpu_us_4']:.2f} of the peer's (0.5)")
            line(ours["batch_qps"] >= 2 * peer["batch_qps"], f"{mode} batch {ours['batch_qps'] / peer['batch_qps']:.2f} x (2), recall {ours['batch_recall']:.4f}")
    for row, by in results.get("filter", {}).items():
        if {"ours", "lynsedb"} <= set(by) and "none" not in row:
            reach = by["ours"]["qps"] / by["stub"]["qps"]
            line(by["ours"]["qps"] >= 2 * by["lynsedb"]["qps"], f"filtered {row}: {by['ours']['qps'] / by['lynsedb']['qps']:.2f} x (2), {reach:.0%} of the stub, recall {by['ours']['recall']:.4f}")
    for row, by in results.get("ingest", {}).items():
        if {"ours", "lynsedb"} <= set(by) and row != "one by one":
            wanted = 0.8 if row == "plain" else 2.0
            got = by["ours"]["vec_per_s"] / by["lynsedb"]["vec_per_s"]
            reach = by["ours"]["vec_per_s"] / by["stub"]["vec_per_s"] if "stub" in by else 0
            most = by["stub"]["vec_per_s"] / by["lynsedb"]["vec_per_s"] if "stub" in by else 0
            said = f"ingest {row}: {got:.2f} x ({wanted}), {reach:.0%} of the stub"
            line(got >= wanted, said if most >= wanted else f"{said}; with this client no server can be more than {most:.2f} x")
    for row, by in results.get("restart", {}).items():
        line(by["ours"]["first_right_s"] <= 1.0, f"restart {row}: first right answer after {by['ours']['first_right_s']:.2f} s (1)")
    memory = {row: by["ours"] for row, by in results.get("memory", {}).items() if "ours" in by}
    for row, shown in memory.items():
        if row == "idle":
            line(shown["VmRSS"] <= 60, f"idle {shown['VmRSS']:.0f} MB (60)")
        elif row == "1,000 empty":
            line(shown["more_mb"] <= 200, f"1,000 empty collections {shown['more_mb']:.0f} MB more (200)")
        elif "HNSW" not in row and "restarted" not in row:
            wanted = 2.0 if row.startswith("128") else 1.6
            line(shown["times_raw_over_60"] <= wanted, f"{row}: {shown['times_raw_over_60']:.2f} x raw over 60 MB ({wanted})")
    return lines


def cluster_bounds(results: dict) -> list[str]:
    """Those of a cluster: beside the peer's cluster, and beside one node of ours in the same run."""
    lines = []

    def line(met: bool, text: str):
        lines.append(f"- {'met' if met else '**MISSED**'}: {text}")

    for mode, by in results.get("search", {}).items():
        ours, single, peer = by["ours"], by["single"], by.get("lynsedb")
        added = ours["p50_ms"] - single["p50_ms"]
        line(added <= 0.3, f"{mode}: the cluster adds {added:.2f} ms at p50 to one node's answer (0.3)")
        if mode.startswith("FLAT"):
            line(ours["qps_4"] >= 0.9 * single["qps_4"], f"{mode} four processes {ours['qps_4'] / single['qps_4']:.2f} of one node (0.9)")
            line(ours["recall"] == ours["batch_recall"] == 1.0, f"{mode} exact: recall {ours['recall']:.4f}, batch {ours['batch_recall']:.4f}")
        if not peer:
            continue
        line(ours["batch_qps"] >= 3 * peer["batch_qps"], f"{mode} batch {ours['batch_qps'] / peer['batch_qps']:.2f} x (3)")
        if not mode.startswith("FLAT"):
            line(ours["qps"] >= 50 * peer["qps"], f"{mode} one client {ours['qps'] / peer['qps']:.1f} x (50)")
            line(ours["qps_4"] >= 30 * peer["qps_4"], f"{mode} four processes {ours['qps_4'] / peer['qps_4']:.1f} x (30)")
    for row, by in results.get("filter", {}).items():
        line(by["ours"]["recall"] >= 0.95, f"filtered {row}: recall {by['ours']['recall']:.4f}, peer {by.get('lynsedb', {}).get('recall', 0):.4f}")
    by = results.get("ingest", {}).get("plain", {})
    if {"ours", "lynsedb"} <= set(by):
        got = by["ours"]["vec_per_s"] / by["lynsedb"]["vec_per_s"]
        line(got >= 10, f"ingest plain {got:.2f} x (10)")
    if {"ours-fsync", "disk"} <= set(by):
        share = by["ours-fsync"]["vec_per_s"] * results["options"]["dim"] * 4 / 1e6 / by["disk"]["mb_per_s"]
        line(share >= 0.25, f"ingest with fsync {share:.2f} of the disk's own fsynced rate (0.25)")
    return lines

# SPDX-License-Identifier: BSD-3-Clause
"""Results to Markdown and SVG: `tables.py RESULTS.jsonl...` prints the tables, `--plots FOLDER` draws the curves.

A cell is the median of the runs, with minimum and maximum where there were several. Ratios are made within each run and
then their median is taken, since the machine's mood changes between runs and not within one.
"""
import argparse
import json
import pathlib
import statistics

OURS = "seed-scheduler"
HEADINGS = {
    "deliveries_per_s": "deliveries/s",
    "requests_per_s": "requests/s",
    "cpu_us_per_delivery": "CPU us each",
    "cpu_us": "CPU us each",
    "written_bytes": "bytes written each",
    "server_cpu_us": "server's CPU us",
    "libcurl_per_s": "libcurl/s",
    "libcurl_cpu_us": "libcurl's CPU us",
    "resident_mib": "MiB",
    "lateness_ms_p50": "p50 ms",
    "lateness_ms_p99": "p99 ms",
    "lateness_ms_p999": "p99.9 ms",
    "lateness_ms_max": "max ms",
    "idle_percent_of_a_core": "idle, % of a core",
    "disk_bytes_per_schedule": "bytes on disk each",
    "burst_per_s": "10,000 more at once, deliveries/s",
    "burst_cpu_us": "their CPU us each",
}
HIDDEN = {"workload", "system", "case", "run", "n", "rate", "schedules", "void", "load_before", "commit"}
TITLES = {
    "w0": "W0: the receiver alone",
    "w1": "W1: all due at one instant",
    "w2": "W2: steady",
    "w3": "W3: schedules that fire once a day",
    "w4": "W4: the API",
    "w5": "W5: many hosts",
    "w6": "W6: https",
}
PEERS = ("celery", "graphile-worker", "pg-boss", "bullmq")
BURST, SMALL_BURST = "100,000 due at once", "10,000 due at once"


class Run:
    """The good measurements of one run; what was not measured has no value, and makes a target's value None."""

    def __init__(self, rows):
        self.rows = {(row["workload"], row["case"], row["system"]): row for row in rows if "void" not in row}
        self.voids = {row["workload"] for row in rows if "void" in row and row["system"].startswith(OURS)}

    def value(self, workload, case, key, system=OURS):
        return self.rows.get((workload, case, system), {}).get(key)

    def peers(self, workload, case, key):
        values = [self.value(workload, case, key, peer) for peer in PEERS]
        return [value for value in values if value is not None]

    def ratio(self, workload, case, key, other):
        """Ours against another's, where both were measured."""
        mine, theirs = self.value(workload, case, key), self.value(workload, case, key, other)
        return mine / theirs if mine is not None and theirs else None


def against_best(workload, case, key, best):
    def value(run):
        mine, theirs = run.value(workload, case, key), run.peers(workload, case, key)
        return mine / best(theirs) if mine is not None and theirs else None

    return value


def against_celery(run):
    """Celery is not asked for 100,000, which would take it two minutes: its rate at 10,000, its second to get going included."""
    mine, theirs = run.value("w1", BURST, "deliveries_per_s"), run.value("w1", SMALL_BURST, "deliveries_per_s", "celery")
    return mine / theirs if mine and theirs else None


def own_value(workload, case, key):
    return lambda run: run.value(workload, case, key)


def growth(key):
    def value(run):
        small, large = (run.value("w3", f"{n:,} schedules", key) for n in (10000, 1000000))
        return large / small if small and large else None

    return value


def wrongs(*cases):
    def value(run):
        rows = [run.rows.get((workload, case, OURS)) for workload, case in cases]
        return sum(row["missing"] + row["duplicates"] + row["early"] for row in rows) if all(rows) else None

    return value


def api_ratio(what, other):
    return lambda run: run.ratio("w4", f"{what}, 16 connections", "requests_per_s", other)


# What is wanted, its bound (a number, and whether it is the least or the most), and the value of one run.
TARGETS = (
    ("W1, 100,000: times the fastest peer's rate", 2.5, "least", against_best("w1", BURST, "deliveries_per_s", max)),
    ("W1, 100,000: times Celery's rate (at 10,000)", 70, "least", against_celery),
    ("W1, 100,000: CPU us a delivery", 25, "most", own_value("w1", BURST, "cpu_us_per_delivery")),
    ("W1, 10,000: p99 lateness, part of the best peer's", 0.25, "most", against_best("w1", SMALL_BURST, "lateness_ms_p99", min)),
    ("W2, 1,000/s: p50 ms", 1, "most", own_value("w2", "1,000/s", "lateness_ms_p50")),
    ("W2, 1,000/s: p99 ms", 3, "most", own_value("w2", "1,000/s", "lateness_ms_p99")),
    ("W2, 10,000/s: p50 ms", 1, "most", own_value("w2", "10,000/s", "lateness_ms_p50")),
    ("W2, 10,000/s: p99 ms", 10, "most", own_value("w2", "10,000/s", "lateness_ms_p99")),
    ("W2, both: missing, doubled or early", 0, "most", wrongs(("w2", "1,000/s"), ("w2", "10,000/s"))),
    ("W3, 1,000,000: resident MiB", 64, "most", own_value("w3", "1,000,000 schedules", "resident_mib")),
    ("W3, 1,000,000: idle, % of a core", 0.5, "most", own_value("w3", "1,000,000 schedules", "idle_percent_of_a_core")),
    ("W3, 1,000,000: ready after s", 2, "most", own_value("w3", "1,000,000 schedules", "ready_s")),
    ("W3: a create, times that at 10,000", 1.5, "most", growth("create_ms")),
    ("W3: an edit, times that at 10,000", 1.5, "most", growth("edit_ms")),
    ("W3: resident, times that at 10,000", 1.5, "most", growth("resident_mib")),
    ("W3: CPU of a delivery, times that at 10,000", 1.5, "most", growth("burst_cpu_us")),
    ("W4: creates, times Django's", 30, "least", api_ratio("create", "Django REST")),
    ("W4: GET one, times Django's", 60, "least", api_ratio("GET one", "Django REST")),
    ("W4: page of 100, times Django's", 40, "least", api_ratio("page of 100", "Django REST")),
    ("W4: GET one, part of nginx's rate", 0.6, "least", api_ratio("GET one", "nginx, the same bytes")),
    ("W5: healthy hosts' p99 ms", 50, "most", own_value("w5", "1,000/s to 200 hosts, 20 of them hang", "lateness_ms_p99")),
    ("W6, reused: times libcurl's rate", 1.5, "least", own_value("w6", "https, reused", "ratio")),
    ("W6, resumed: times libcurl's rate", 2, "least", own_value("w6", "https, resumed", "ratio")),
)


def figure(value):
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)


def cell(values):
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    text = figure(statistics.median(values))
    return text if min(values) == max(values) else f"{text} ({figure(min(values))}-{figure(max(values))})"


def grouped(rows, *keys):
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def target_lines(runs):
    """Met is what the median meets; what must be nothing must be so in every run, and no measurement of ours may be void."""
    yield from ("### Targets", "", "| work | target | measured | runs | met |", "| --- | --- | --- | --- | --- |")
    missing = []
    for what, bound, kind, value in TARGETS:
        values = [one for one in map(value, runs) if one is not None]
        if not values:
            missing.append(what)
            continue
        judged = max(values) if bound == 0 else statistics.median(values)
        is_met = judged >= bound if kind == "least" else judged <= bound
        voids_n = sum(what[:2].lower() in run.voids for run in runs)
        verdict = f"**no**, {voids_n} void" if voids_n else "yes" if is_met else "**no**"
        yield f"| {what} | at {kind} {bound} | {cell(values)} | {len(values)} | {verdict} |"
    if missing:
        yield from ("", f"Not measured here: {'; '.join(missing)}.")


def held_lines(cases):
    """The highest rate that a system held in every run, as it did all lower ones."""
    for (system,), rows in grouped(cases, "system").items():
        held, runs_most = "none", max(len(runs) for runs in grouped(rows, "case").values())
        for (case,), runs in sorted(grouped(rows, "case").items(), key=lambda one: int(one[0][0].strip("/s").replace(",", ""))):
            good = [row for row in runs if "void" not in row and row["missing"] == 0 and row["lateness_ms_p99"] < 50]
            if len(good) < runs_most:
                break
            held = case
        yield f"- {system}: the highest rate held with p99 below 50 ms and nothing missing: {held}"


def table_lines(workload, cases, commits):
    keys = list(dict.fromkeys(key for row in cases for key in row if key not in HIDDEN))
    made_of = dict.fromkeys(commits[row["run"][0]] for row in cases)
    yield from (f"### {TITLES[workload]}", "", f"Commit {', '.join(made_of)}.", "")
    yield "| work | system | runs | " + " | ".join(HEADINGS.get(key, key.replace("_", " ")) for key in keys) + " |"
    yield "| --- " * (len(keys) + 3) + "|"
    for (case, system), runs in grouped(cases, "case", "system").items():
        good = [run for run in runs if "void" not in run]
        runs_n = str(len(good)) if len(good) == len(runs) else f"{len(good)} of {len(runs)}"
        cells = [cell([run.get(key) for run in good]) for key in keys]
        yield f"| {case} | {system} | {runs_n} | " + " | ".join(cells) + " |"
    yield ""
    for row in cases:
        if "void" in row:
            yield f"- void: {row['case']}, {row['system']}, run {row['run'][-1] + 1}: {row['void']}"


def markdown(rows):
    about, commits = {}, {}  # what several files say alike is said once
    for row in rows:
        row["run"] = row["run"] if isinstance(row["run"], tuple) else (0, row["run"])
        if row["workload"] == "machine":
            commits[row["run"][0]] = row["commit"]
            for key, value in row.items():
                if value and key not in HIDDEN:
                    about.setdefault(key, {})[value] = None
    out = [f"- {key}: {' / '.join(values)}" for key, values in about.items()]
    cases = [row for row in rows if row["workload"] in TITLES]
    if cases:
        out.append(f"- load before a measurement: {cell([row.get('load_before') for row in cases])}")
        out += ["", *target_lines([Run(run) for run in grouped(cases, "run").values()])]
    for (workload,), part in sorted(grouped(cases, "workload").items()):
        out += ["", *table_lines(workload, part, commits), *(held_lines(part) if workload == "w2" else ())]
    return "\n".join(out)


def plot(rows, folder):
    """Rate against lateness, growth with the number of schedules."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    def draw(name, title, x_label, y_label, series, y_scale="log"):
        figure_, axes = pyplot.subplots(figsize=(7, 4))
        for label, points in series.items():
            points = sorted(points.items())
            axes.plot([x for x, _ in points], [statistics.median(y) for _, y in points], marker="o", label=label)
        axes.set(xscale="log", yscale=y_scale, xlabel=x_label, ylabel=y_label, title=title)
        axes.grid(True, alpha=0.3)
        axes.legend(fontsize="small")
        figure_.tight_layout()
        figure_.savefig(pathlib.Path(folder) / f"{name}.svg", metadata={"Date": None})

    late, growth_of = {}, {}
    grows = {"resident_mib": "resident memory", "ready_s": "start until ready", "create_ms": "a create", "edit_ms": "an edit"}
    for row in rows:
        if row["workload"] == "w2" and "void" not in row:
            for key in ("p50", "p99"):
                points = late.setdefault(f"{row['system']} {key}", {})
                points.setdefault(row["rate"], []).append(max(row[f"lateness_ms_{key}"], 0.01))
        if row["workload"] == "w3" and "void" not in row:
            for key, label in grows.items():
                growth_of.setdefault(label, {}).setdefault(row["schedules"], []).append(row[key])
    for points in growth_of.values():
        least = statistics.median(points[min(points)])
        for size, values in points.items():
            points[size] = [value / least for value in values]
    if late:
        draw("lateness", "Lateness at a steady rate", "deliveries a second", "lateness, ms", late)
    if growth_of:
        fewest = min(min(points) for points in growth_of.values())
        draw("growth", "What more schedules cost", "schedules stored", f"times the value at {fewest:,}", growth_of, "linear")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+")
    parser.add_argument("--plots", metavar="FOLDER")
    options = parser.parse_args()
    rows = []
    for i, path in enumerate(options.results):
        for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.append({**row, "run": (i, row["run"])})
    if options.plots:
        plot(rows, options.plots)
    print(markdown(rows))


if __name__ == "__main__":
    main()

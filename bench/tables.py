# SPDX-License-Identifier: BSD-3-Clause
"""Results to Markdown and SVG: `tables.py RESULTS.jsonl` prints the tables, `--plots FOLDER` draws the curves.

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
    "arrived_per_s": "arrived/s",
    "cpu_us_per_delivery": "CPU us",
    "resident_mib": "MiB",
    "lateness_ms_p50": "p50 ms",
    "lateness_ms_p99": "p99 ms",
    "lateness_ms_p999": "p99.9 ms",
    "lateness_ms_max": "max ms",
    "idle_percent_of_a_core": "idle % of a core",
    "disk_bytes_per_schedule": "bytes on disk each",
}
HIDDEN = {"workload", "system", "case", "n", "rate", "schedules", "hosts", "arrived"}
TITLES = {
    "w1": "W1: all due at one instant",
    "w2": "W2: steady",
    "w3": "W3: schedules that fire once a day",
    "w4": "W4: the API, requests a second",
    "w5": "W5: many hosts",
    "w6": "W6: https",
}
RATIO_OF = {
    "w1": ("deliveries_per_s", "cpu_us_per_delivery", "lateness_ms_p99"),
    "w2": ("lateness_ms_p50", "lateness_ms_p99"),
    "w4": tuple(f"{what}_{n}" for n in (16, 256) for what in ("create", "get_one", "list_100")),
}


def figure(value):
    if isinstance(value, float) and value < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)


def cell(values):
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    if not all(isinstance(value, (int, float)) for value in values):
        return str(values[0])
    text = figure(statistics.median(values))
    return text if len(values) == 1 or min(values) == max(values) else f"{text} ({figure(min(values))}-{figure(max(values))})"


def grouped(rows, *keys):
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def ratios(cases, workload):
    """For each peer and figure: theirs against ours, run by run."""
    lines = []
    for (case,), rows in grouped(cases, "case").items():
        ours = [row for row in rows if row["system"] == OURS]
        for (peer,), theirs in grouped([row for row in rows if row["system"] != OURS], "system").items():
            for key in RATIO_OF.get(workload, ()):
                pairs = [(a[key], b[key]) for a, b in zip(ours, theirs) if a.get(key) and b.get(key)]
                if not pairs:
                    continue
                more = key.endswith(("_per_s", "_16", "_256"))
                values = [a / b if more else b / a for a, b in pairs]
                word = "times the" if more else "th part of the"
                lines.append(
                    f"- {case}, {HEADINGS.get(key, key)}: {cell(values)} {word} {peer}'s"
                    if more
                    else f"- {case}, {HEADINGS.get(key, key)}: {peer}'s is {cell(values)} times ours"
                )
    return lines


def markdown(rows):
    out = []
    for (workload,), cases in grouped([row for row in rows if row["workload"] in TITLES], "workload").items():
        keys = [key for row in cases for key in row if key not in HIDDEN and key != "void"]
        keys = list(dict.fromkeys(keys))
        out += [
            f"### {TITLES[workload]}",
            "",
            "| work | system | " + " | ".join(HEADINGS.get(key, key.replace("_", " ")) for key in keys) + " |",
            "| --- " * (len(keys) + 2) + "|",
        ]
        for (case, system), runs in grouped(cases, "case", "system").items():
            good = [run for run in runs if "void" not in run]
            cells = (
                [cell([run.get(key) for run in good]) for key in keys]
                if good
                else [f"void: {runs[0]['void']}"] + [""] * (len(keys) - 1)
            )
            out.append(f"| {case} | {system} | " + " | ".join(cells) + " |")
        out += ["", *ratios([row for row in cases if "void" not in row], workload), ""]
    return "\n".join(out)


def plot(rows, folder):
    """rate against lateness, growth with the number of schedules."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    def draw(name, title, x_label, y_label, series):
        figure_, axes = pyplot.subplots(figsize=(7, 4))
        for label, points in series.items():
            points = sorted(points.items())
            axes.plot([x for x, _ in points], [statistics.median(y) for _, y in points], marker="o", label=label)
        axes.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label, title=title)
        axes.grid(True, alpha=0.3)
        axes.legend()
        figure_.tight_layout()
        figure_.savefig(pathlib.Path(folder) / f"{name}.svg", metadata={"Date": None})

    late, growth = {}, {}
    for row in rows:
        if row["workload"] == "w2" and "void" not in row:
            for key in ("p50", "p99"):
                late.setdefault(f"{row['system']} {key}", {}).setdefault(row["rate"], []).append(
                    max(row[f"lateness_ms_{key}"], 0.01)
                )
        if row["workload"] == "w3" and "void" not in row:
            for key, label in (
                ("resident_mib", "resident MiB"),
                ("ready_s", "start until ready, s"),
                ("create_ms", "one create, ms"),
            ):
                growth.setdefault(label, {}).setdefault(row["schedules"], []).append(row[key])
    if late:
        draw("lateness", "Lateness at a steady rate", "deliveries a second", "lateness, ms", late)
    if growth:
        draw("growth", "What more schedules cost", "schedules stored", "", growth)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+")
    parser.add_argument("--plots", metavar="FOLDER")
    options = parser.parse_args()
    rows = [
        json.loads(line) for path in options.results for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    ]
    if options.plots:
        plot(rows, options.plots)
    print(markdown(rows))


if __name__ == "__main__":
    main()

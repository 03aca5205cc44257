# SPDX-License-Identifier: BSD-3-Clause
"""The workloads W1 (burst) and W2 (steady), which ours and the peers run alike. Each returns one row of figures."""
import math
import time

from measure import Receiver, Refused, cpu_seconds, resident_mib, written_bytes

WARM_UP_N = 2000
GRACE_S = 5  # what has not come so long after the window is missing


def lateness(report):
    return {f"lateness_ms_{key}": round(report["lateness_us"][key] / 1000, 3) for key in ("p50", "p99", "p999", "max")}


def faults(report, expected):
    return {
        "missing": max(expected - report["ids"], 0),
        "duplicates": report["duplicates"],
        "early": report["early"],
    }


def fire(system, receiver, n):
    """n more schedules, all due at one instant: deliveries a second from the instant to the last arrival."""
    at = math.ceil(time.time() + 4 + n / system.told_per_s)
    if system.whole_minutes:
        at = math.ceil(at / 60) * 60
    elif at % 60 == 0:
        at += 1  # the daily ones of W3 are due at whole minutes
    receiver.open_window(at, at + 1)
    system.add_burst(n, at)
    spare_s = at - time.time()
    if spare_s < 1:
        raise Refused("the work was told too late")
    time.sleep(spare_s - 0.5)
    cpu_before, receiver_before = cpu_seconds(system.roots), receiver.cpu_seconds()
    written_before = written_bytes(system.roots)
    receiver.wait_for(n, spare_s + max(60, n / 100))
    receiver_cpu = receiver.cpu_seconds() - receiver_before
    time.sleep(0.5)  # the last outcomes are being recorded
    cpu, report = cpu_seconds(system.roots) - cpu_before, receiver.report()
    if report["ids"] < n:
        raise Refused(f"{report['ids']} of {n} arrived")
    took_s = report["last_us"] / 1e6 - at
    return {
        "deliveries_per_s": round(n / took_s),
        **lateness(report),
        "cpu_us_per_delivery": round(cpu * 1e6 / n, 1),
        "written_bytes": round((written_bytes(system.roots) - written_before) / n),
        "receiver_busy": round(receiver_cpu / took_s, 2),
    }


def burst(system, n):
    """After a smaller one, which fills caches and warms compilers up; who needs whole minutes goes without."""
    receiver = Receiver()
    try:
        system.start(receiver.endpoint)
        if not system.whole_minutes:
            fire(system, receiver, WARM_UP_N)
        row = fire(system, receiver, n)
        row["resident_mib"] = round(resident_mib(system.roots), 1)
        system.stop()
        report = receiver.report()  # with what came late or again
        return {**row, "duplicates": report["duplicates"], "early": report["early"]}
    finally:
        system.stop()
        system.remove()
        receiver.stop()


def steady(system, rate, seconds):
    """`rate` deliveries a second, spread over the second: what is planned within `seconds` whole ones, and when it came."""
    receiver = Receiver()
    try:
        system.start(receiver.endpoint)
        system.add_steady(rate, seconds + 5)
        begins = math.ceil(time.time()) + 1
        receiver.open_window(begins, begins + seconds)
        time.sleep(begins - time.time())
        cpu_before, receiver_before = cpu_seconds(system.roots), receiver.cpu_seconds()
        time.sleep(begins + seconds - time.time())
        cpu, receiver_cpu = cpu_seconds(system.roots) - cpu_before, receiver.cpu_seconds() - receiver_before
        receiver.wait_for(rate * seconds, GRACE_S)
        system.stop()
        report = receiver.report()
        return {
            "rate": rate,
            **faults(report, rate * seconds),
            **lateness(report),
            "cpu_us_per_delivery": round(cpu * 1e6 / (rate * seconds), 1),
            "receiver_busy": round(receiver_cpu / seconds, 2),
        }
    finally:
        system.stop()
        system.remove()
        receiver.stop()

# SPDX-License-Identifier: BSD-3-Clause
"""The workloads W1 (burst) and W2 (steady), which ours and the peers run alike. Each returns one row of figures."""
import math
import time

from measure import Receiver, cpu_seconds, resident_mib


def to_ms(us):
    return round(us / 1000, 3)


def lateness(report):
    return {f"lateness_ms_{key}": to_ms(report["lateness_us"][key]) for key in ("p50", "p99", "p999", "max")}


def burst(system, n):
    """n distinct schedules, all due at one instant: deliveries a second from the instant to the last arrival."""
    receiver = Receiver()
    try:
        system.start(receiver.endpoint)
        at = math.ceil(time.time() + 4 + n / system.told_per_s)
        if system.whole_minutes:
            at = math.ceil(at / 60) * 60
        system.add_burst(n, at)
        spare_s = at - time.time()
        if spare_s < 1:
            return {"void": "the work was told too late"}
        time.sleep(spare_s - 0.5)
        cpu_before = cpu_seconds(system.roots)
        report = receiver.wait_for(n, spare_s + max(60, n / 200))
        time.sleep(0.5)  # the last outcomes are being recorded
        cpu = cpu_seconds(system.roots) - cpu_before
        took_s = report["last_us"] / 1e6 - at
        row = {
            "n": n,
            "arrived": report["ids"],
            "duplicates": report["duplicates"],
            "early": report["early"],
            "deliveries_per_s": round(report["ids"] / took_s) if took_s > 0 else 0,
            **lateness(report),
            "cpu_us_per_delivery": round(cpu * 1e6 / max(report["ids"], 1), 1),
            "resident_mib": round(resident_mib(system.roots), 1),
        }
        system.stop()
        return row
    finally:
        system.stop()
        system.remove()
        receiver.stop()


def steady(system, rate, seconds):
    """`rate` deliveries a second, spread over the second, watched for `seconds`."""
    receiver = Receiver()
    try:
        system.start(receiver.endpoint)
        system.add_steady(rate, seconds)
        receiver.open_window()
        began, cpu_before = time.time(), cpu_seconds(system.roots)
        time.sleep(seconds - 2)
        report = receiver.report()
        took_s, cpu = time.time() - began, cpu_seconds(system.roots) - cpu_before
        system.stop()
        time.sleep(0.2)
        ids, delivered = receiver.report()["ids"], system.delivered()
        return {
            "rate": rate,
            "arrived_per_s": round(report["count"] / took_s, 1),
            "duplicates": report["duplicates"],
            "early": report["early"],
            "lost": None if delivered is None else max(delivered - ids, 0),
            **lateness(report),
            "cpu_us_per_delivery": round(cpu * 1e6 / max(report["count"], 1), 1),
        }
    finally:
        system.stop()
        system.remove()
        receiver.stop()

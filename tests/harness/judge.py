# SPDX-License-Identifier: BSD-3-Clause
"""Judges a crash trial: what was asked (workload.py) against what arrived (arrivals.py), with an oracle of its own.

The oracle computes occurrences with Python's zoneinfo and the naive cron reader of the property tests; it shares no code with the
service and does not look into its database. It checks, in the words of the promise:
  P1  acknowledged writes are there, byte for byte; refused ones are not; unanswered ones are whole or absent
  P2  planned instants are on the schedule's grid, none twice, none left out
  P3  every occurrence ended in exactly one way: `seed-scheduler check` adds up and nothing is open
  P4  one occurrence, one run id, one body, in every request; attempts count up
  P5  a second request of an attempt follows a kill, and not more of them than were leased, or can be in flight
  P6  nothing comes early
  P12 failed tasks stay until they are delivered
  P10 of schedules that run one at a time the next begins when the last is over
  P13 nothing of a deleted schedule comes later, and no old body for an occurrence that an edit preceded
"""
import bisect
import collections
import dataclasses
import re

from property.oracle_time import Entry, Zone

from .database import reading
from .times import microseconds
from .workload import ACKNOWLEDGED, REFUSED, UNANSWERED, payload_bytes

SECOND = 1_000_000
LOOK_AHEAD_US = SECOND      # runs are recorded half a second before their instant; twice that, for a busy machine
LANDING_US = SECOND         # a request on the wire when its schedule was deleted has arrived by then
BACKLOG_US = SECOND         # what was due that long before the schedules were switched off, on time, has been sent
OVERTAKING_US = SECOND // 4 # runs of one schedule start in order; on several connections they may arrive otherwise
IN_FLIGHT_US = 2 * SECOND   # a 2xx is committed by then, also on a busy machine
IN_FLIGHT_MAX = 1024 + 2048 # attempts on the wire, and results that wait for the disk (promise.md)


@dataclasses.dataclass
class Life:
    """One process: when it was started, had opened its database, said that it was ready, and ended (us). `recovered`: runs it
    found leased. What was not reached is None."""
    spawned_us: int
    opened_us: int = None
    ready_us: int = None
    ended_us: int = None
    recovered: int = None
    was_killed: bool = False
    armed: str = ""     # the failpoints of this process


class Judge:
    """`unsent_attempts`: so many attempts may have failed without a request, since the trial let them."""

    def __init__(self, workload, arrivals, lives, unsent_attempts=0):
        self.workload, self.arrivals, self.lives, self.unsent_attempts = workload, arrivals, lives, unsent_attempts
        # Nothing is sent before the database is open; until then the witness may still be reading what the life before sent.
        self.senders = [number for number, life in enumerate(lives) if life.opened_us is not None]
        self.openings = [lives[number].opened_us for number in self.senders]
        self.problems = list(workload.problems)
        self.duplicates = [[] for _ in lives]   # pairs of requests, by the life that left the first of them behind
        self.by_schedule = collections.defaultdict(list)
        self.by_path = collections.defaultdict(list)
        for arrival in arrivals:
            if arrival.schedule:
                self.by_schedule[arrival.schedule].append(arrival)
            self.by_path[arrival.path].append(arrival)

    def complain(self, text):
        self.problems.append(text)

    def judge(self, database, proof):
        """`proof`: the finished process of `seed-scheduler check` on the stopped service's database."""
        self.check_identity()
        self.check_duplicates()
        for schedule in self.workload.recurring:
            self.check_recurring(schedule)
        for schedule in self.workload.edited:
            self.check_edited(schedule)
        for schedule in self.workload.burst:
            self.check_burst(schedule)
        for schedule in self.workload.toggled + self.workload.serial:
            self.check_subset(schedule)
        for schedule in self.workload.serial:
            self.check_serial(schedule)
        for schedule in self.workload.doomed:
            self.check_doomed(schedule)
        for schedule in self.workload.one_shots:
            self.check_one_shot(schedule)
        self.check_hooks()
        self.check_webhooks()
        self.check_database(database, proof)
        return self.problems

    # ---- all requests (P4, P5, P6) ----

    def check_identity(self):
        occurrences, runs = {}, {}
        for arrival in self.arrivals:
            if arrival.planned_us is None or arrival.at_us < arrival.planned_us:
                self.complain(f"early, or without an instant: {arrival}")
            if arrival.schedule and occurrences.setdefault((arrival.schedule, arrival.planned_us), arrival.run) != arrival.run:
                self.complain(f"another run id for the same occurrence: {arrival}")
            what = (arrival.schedule, arrival.planned_us, arrival.body, arrival.path)
            if runs.setdefault(arrival.run, what) != what:
                self.complain(f"not what the run sent before ({runs[arrival.run]}): {arrival}")

    def life_of(self, at_us):
        return self.senders[max(0, bisect.bisect_right(self.openings, at_us) - 1)]

    def check_duplicates(self):
        last, unsent = {}, 0
        for arrival in self.arrivals:
            before = last.get(arrival.run)
            last[arrival.run] = arrival
            if before and arrival.attempt == before.attempt:
                self.check_duplicate(before, arrival)
                continue
            unsent += arrival.attempt - (before.attempt if before else 0) - 1
            if before and (arrival.attempt < before.attempt or before.status < 300):
                self.complain(f"after attempt {before.attempt} with {before.status} came {arrival}")
        if unsent > self.unsent_attempts:
            self.complain(f"{unsent} attempts were counted and never sent")
        for number, pairs in enumerate(self.duplicates):
            recovered = next((life.recovered for life in self.lives[number + 1:] if life.recovered is not None), 0)
            if len(pairs) > min(recovered, IN_FLIGHT_MAX):
                self.complain(f"{len(pairs)} requests came twice over a kill that {recovered} runs were leased at, "
                              f"{IN_FLIGHT_MAX} of them in flight at most: "
                              f"{self.lives[number:number + 3]}, the first {pairs[0]}")

    def check_duplicate(self, before, again):
        number = self.life_of(before.at_us)
        life = self.lives[number]
        if self.life_of(again.at_us) == number or not life.was_killed:
            self.complain(f"sent twice without a kill: {before} and {again}")
        elif life.ended_us - before.at_us > IN_FLIGHT_US:
            self.complain(f"sent again, {life.ended_us - before.at_us} us before the kill it was answered: {before}")
        else:
            self.duplicates[number].append((before, again))

    # ---- schedules that recur (P2) ----

    def expected(self, schedule, until_us):
        """All instants (us) from the creation on that are not after `until_us`."""
        fields, made = schedule.fields, schedule.made
        if "interval_definition" in fields:
            return list(range(microseconds(made["next_send_at"]), until_us + 1, SECOND))
        entry, zone = Entry(fields["cron_definition"]), Zone(fields["timezone"])
        first_s = microseconds(made["created_at"]) // SECOND
        offsets, found = zone.offsets_around(first_s), set()
        for local_s in entry.readings(first_s + min(offsets)):
            if local_s > until_us // SECOND + max(offsets):
                break
            instants = zone.instants(local_s)
            found |= set(instants if entry.every_pass else instants[:1] or [zone.gap_end(local_s)])
        return sorted(t * SECOND for t in found if microseconds(made["created_at"]) < t * SECOND <= until_us)

    def check_grid(self, schedule, end, excused):
        """`end`: the request that ended it. `excused(us)`: may that instant be missing?"""
        sent = {arrival.planned_us for arrival in self.by_schedule[schedule.id]}
        possible = self.expected(schedule, end.answered_us)
        missing = [us for us in possible if us not in sent and us < end.sent_us - BACKLOG_US and not excused(us)]
        strangers = sorted(sent - set(possible))
        if missing or strangers:
            self.complain(f"{schedule.path} ({schedule.id}): {len(missing)} of {len(possible)} occurrences missing "
                          f"({missing[:3]}), {len(strangers)} strangers ({strangers[:3]})")
        return sent

    def excused_by(self, schedule, requests):
        """An edit or deletion cancels what is due and not sent. So an instant may be missing when one of them was answered after
        it, and sent before anything later of the schedule arrived."""
        arrivals = sorted((arrival.planned_us, arrival.at_us) for arrival in self.by_schedule[schedule.id])
        spans = [(request.answered_us, request.sent_us) for request in requests]    # made one after the other

        def excused(us):
            later = min((at for planned, at in arrivals[bisect.bisect_right(arrivals, (us, 1 << 62)):]), default=1 << 62)
            at = bisect.bisect_left(spans, (us, 0))
            return at < len(spans) and spans[at][1] < later + OVERTAKING_US
        return excused

    def check_recurring(self, schedule, excused=lambda us: False, unsent_max=0):
        if schedule.disabled.end != ACKNOWLEDGED or schedule.final is None:
            self.complain(f"{schedule.path}: lost, or could not be switched off: {schedule.disabled}")
            return
        sent = self.check_grid(schedule, schedule.disabled, excused)
        if not 0 <= schedule.final["triggered"] - len(sent) <= unsent_max:
            self.complain(f"{schedule.path} counts {schedule.final['triggered']} runs, {len(sent)} arrived")
        if not schedule.edits:
            self.check_record(schedule, [schedule.fields["payload"]])

    def check_burst(self, schedule):
        """The first `frequency` seconds of its minute, and no more."""
        times, first_us = schedule.fields["frequency"], microseconds(schedule.made["next_send_at"])
        sent = {arrival.planned_us for arrival in self.by_schedule[schedule.id]}
        missing = set(range(first_us, first_us + times * SECOND, SECOND)) - sent
        if missing or len(sent) != times or not schedule.final or schedule.final["triggered"] != times:
            self.complain(f"{schedule.path}: {len(sent)} of {times} runs, {len(missing)} missing; kept {schedule.final}")

    def check_subset(self, schedule):
        """Runs may have been cancelled or skipped; what arrived is on the grid."""
        if schedule.disabled.end != ACKNOWLEDGED or schedule.final is None:
            self.complain(f"{schedule.path}: lost, or could not be switched off: {schedule.disabled}")
            return
        self.check_record(schedule, [schedule.fields["payload"]])
        self.check_grid(schedule, schedule.disabled, lambda us: True)

    def check_serial(self, schedule):
        """One run at a time, in the order of their instants (P10): a run begins when the one before it is over."""
        before = None
        for arrival in self.by_schedule[schedule.id]:
            if before and arrival.run != before.run and (before.status >= 300 or arrival.planned_us <= before.planned_us):
                self.complain(f"overlap {schedule.fields['overlap']}: {arrival} before the end of {before}")
            before = arrival

    def check_record(self, schedule, payloads):
        record = schedule.final
        if record["payload"] not in payloads or record["endpoint"] != schedule.fields["endpoint"]:
            self.complain(f"asked for {schedule.fields} (payload one of {payloads}), kept {record}")
        for arrival in self.by_schedule[record["id"]]:
            if not schedule.edits and arrival.body != payload_bytes(schedule.fields["payload"]):
                self.complain(f"not the bytes of {schedule.fields['payload']}: {arrival}")

    # ---- edits, deletions (P13) ----

    def check_edited(self, schedule):
        """What is planned after an edit was answered has its body, or a newer one."""
        excused = self.excused_by(schedule, [request for request, _ in schedule.edits])
        # What an edit had asked back when a process died is cancelled and counts, since it may have been sent.
        self.check_recurring(schedule, excused, unsent_max=sum(life.was_killed for life in self.lives))
        present = [schedule.fields["payload"]]
        for request, payload in schedule.edits:
            if request.end == ACKNOWLEDGED:
                present = [payload]
            elif request.end != REFUSED:
                present.append(payload)
        if schedule.final:
            self.check_record(schedule, present)
        versions = {payload_bytes(payload): number for number, (_, payload) in enumerate(schedule.edits, 1)}
        acknowledged = [(request.answered_us, number) for number, (request, _) in enumerate(schedule.edits, 1)
                        if request.end == ACKNOWLEDGED]
        for arrival in self.by_schedule[schedule.id]:
            version = versions.get(arrival.body, 0)
            if not version and arrival.body != payload_bytes(schedule.fields["payload"]):
                self.complain(f"a body nobody wrote: {arrival}")
            at = bisect.bisect_left(acknowledged, (arrival.planned_us - LOOK_AHEAD_US, 0)) - 1
            if at >= 0 and version < acknowledged[at][1]:
                self.complain(f"the body of edit {version}, though {acknowledged[at]} was acknowledged before: {arrival}")

    def check_doomed(self, schedule):
        ends = schedule.deletions
        last = next((request for request in ends if request.end == ACKNOWLEDGED), None)
        if not schedule.made:
            self.check_unmade(schedule)
            return
        gone = last or (ends[-1] if len(ends) > 1 and ends[-1].end == REFUSED else None)    # 404: an unanswered one had done it
        if gone is None or schedule.final is not None:
            self.complain(f"{schedule.path} was deleted ({ends}) and is there: {schedule.final}")
            return
        for arrival in self.by_schedule[schedule.id]:
            if arrival.at_us > gone.answered_us + LANDING_US:
                self.complain(f"deleted at {gone.answered_us}, and still sent: {arrival}")
        first = dataclasses.replace(ends[0], answered_us=gone.answered_us)
        self.check_grid(schedule, first, self.excused_by(schedule, ends))

    def check_unmade(self, schedule):
        """Refused: nothing of it. Unanswered: whole, or nothing."""
        if schedule.creation.end == REFUSED and (schedule.final or self.by_path[schedule.path]):
            self.complain(f"refused, and there: {schedule.fields}: {schedule.final}")
        elif schedule.final:
            self.check_record(schedule, [schedule.fields["payload"]])
            if "next_send_at" in schedule.fields and not any(arrival.status == 200 for arrival in self.by_path[schedule.path]):
                self.complain(f"on record, and never delivered: {schedule.final}")
        elif "next_send_at" in schedule.fields and self.by_path[schedule.path]:
            self.complain(f"sent, and not on record: {schedule.fields}")

    # ---- one-shots, failed tasks, webhooks (P1, P12) ----

    def check_one_shot(self, schedule):
        if not schedule.made:
            self.check_unmade(schedule)
            return
        arrivals = self.by_path[schedule.path]
        if schedule.final is None:
            self.complain(f"acknowledged and gone: {schedule.fields}")
            return
        self.check_record(schedule, [schedule.fields["payload"]])
        if not any(arrival.status == 200 for arrival in arrivals):
            self.complain(f"acknowledged and never delivered: {schedule.made}, arrivals {arrivals}")
        for arrival in arrivals:
            if arrival.planned_us != microseconds(schedule.fields["next_send_at"]):
                self.complain(f"asked for {schedule.fields['next_send_at']}, sent as {arrival}")
        if schedule.final["next_send_at"] is not None:
            self.complain(f"delivered, and due again: {schedule.final}")

    def check_hooks(self):
        announced = {re.search(rb'"data":\{"id":"([^"]+)"', arrival.body)[1].decode() for arrival in self.by_path["/hook"]}
        for schedule in self.workload.one_shots + self.workload.doomed:
            if schedule.made and schedule.id not in announced:
                self.complain(f"no webhook told of {schedule.path} ({schedule.id})")

    def check_webhooks(self):
        kept = {record["target"] for record in self.workload.webhooks_final}
        for request, target in self.workload.webhooks:
            if request.end != UNANSWERED and (target in kept) != (request.end == ACKNOWLEDGED):
                self.complain(f"the webhook for {target} was {request.end}, and is {'there' if target in kept else 'gone'}")

    # ---- the whole (P3) ----

    def check_database(self, database, proof):
        counts = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)", proof.stdout, re.M)}
        if proof.returncode != 0 or counts.get("open") != 0:
            self.complain(f"seed-scheduler check: {proof.stdout}{proof.stderr}")
        with reading(database) as connection:
            answer = connection.execute("PRAGMA integrity_check").fetchall()
        if answer != [("ok",)]:
            self.complain(f"integrity_check: {answer[:5]}")

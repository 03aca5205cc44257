# SPDX-License-Identifier: BSD-3-Clause
"""Compares zone offsets and cron occurrences with Python's zoneinfo and a second, naive reading of the cron dialect.

usage: oracle_time.py DRIVER [--seed N] [--count N] [--transitions ENTRIES] [--zones REGEX]

DRIVER is the built next_driver. The ordinary run asks 20,000 random questions (--count). The long run, half an hour, is
    oracle_time.py DRIVER --transitions 40 --count 5000000
which asks 40 entries at every change of offset from 1970 to 2037 in every zone, then 5,000,000 random ones. H is left out: its
values are the program's own choice. Exits with 77 when the machine has no zones, 1 on any difference, and prints the first ten.
"""
import argparse
import bisect
import calendar
import functools
import itertools
import random
import re
import subprocess
import sys
import zoneinfo
from datetime import date, datetime, timedelta

ANSWERS = 3
DAY = 86400
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()
EPOCH = date(1970, 1, 1)
LAST_DAY = date(2099, 12, 31)


@functools.cache
def workdays_of(year, month):
    return [d for d in range(1, calendar.monthrange(year, month)[1] + 1) if date(year, month, d).weekday() < 5]


class Field:
    """One field's plain values; `special` are the items that depend on the month."""

    def __init__(self, text, low, high, names=(), is_weekday=False):
        self.open = text[0] in "*?"
        self.special = []
        self.values = set()
        self.low, self.high, self.names, self.is_weekday = low, high, list(names), is_weekday
        for item in text.lower().split(","):
            if re.fullmatch(r"l|lw|\d+w|l\d(-\d)?|\w+#\d|(\d|[a-z]{3})l", item) and item not in self.names:
                self.special.append(item)
            else:
                self.values |= set(self.item(item))

    def number(self, text):
        return self.low + self.names.index(text) if text in self.names else int(text)

    def item(self, item):
        base, _, step = item.partition("/")
        size = self.high - self.low + 1
        if base in "*?":
            first, last = self.low, self.high
        elif "-" in base:
            first, last = map(self.number, base.split("-"))
            if self.is_weekday:
                first, last = first % 7 if first != last else first, last
                if last == 0 and first != 0:
                    last = 7
            if last < first:
                last += size
        else:
            first = self.number(base) % 7 if self.is_weekday else self.number(base)
            last = self.high if step else first
        for value in range(first, last + 1, int(step or 1)):
            yield (value - self.low) % size + self.low


class Entry:
    def __init__(self, text):
        words = text.split()
        if len(words) == 5:
            words = ["0", *words, "*"]
        elif len(words) == 6:
            words = ["0", *words]
        second, minute, hour, day, month, weekday, year = words
        self.seconds = sorted(Field(second, 0, 59).values)
        self.minutes = sorted(Field(minute, 0, 59).values)
        hours = Field(hour, 0, 23)
        self.hours, self.every_pass = sorted(hours.values), hour[0] == "*"
        self.day = Field(day, 1, 31)
        self.months = Field(month, 1, 12, MONTHS).values
        self.weekday = Field(weekday, 0, 6, WEEKDAYS, True)
        self.years = Field(year, 1970, 2099).values
        self.days_known = {}

    def by_date(self, day, days_n):
        if day.day in self.day.values:
            return True
        workdays = workdays_of(day.year, day.month)
        for item in self.day.special:
            if item == "l":
                hit = days_n
            elif item == "lw":
                hit = workdays[-1]
            else:
                wanted = int(item[:-1])
                hit = min(workdays, key=lambda d: abs(d - wanted)) if wanted <= days_n else 0
            if hit == day.day:
                return True
        return False

    def by_weekday(self, day, days_n):
        weekday = day.isoweekday() % 7
        if weekday in self.weekday.values:
            return True
        for item in self.weekday.special:
            if "#" in item:
                name, _, nth = item.partition("#")
                if weekday == self.weekday.number(name) % 7 and (day.day - 1) // 7 + 1 == int(nth):
                    return True
            else:
                names = item.strip("l") or item
                if weekday in set(self.weekday.item(names)) and day.day + 7 > days_n:
                    return True
        return False

    def has_day(self, day):
        if day not in self.days_known:
            if day.month not in self.months or day.year not in self.years:
                self.days_known[day] = False
            else:
                days_n = calendar.monthrange(day.year, day.month)[1]
                parts = self.by_date(day, days_n), self.by_weekday(day, days_n)
                self.days_known[day] = all(parts) if self.day.open or self.weekday.open else any(parts)
        return self.days_known[day]

    def next_day(self, day):
        """The first matching day at or after `day`, None after 2099."""
        while day <= LAST_DAY:
            if day.year not in self.years:
                day = date(day.year + 1, 1, 1)
            elif day.month not in self.months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            elif self.has_day(day):
                return day
            else:
                day += timedelta(1)
        return None

    def readings(self, from_local):
        """Matching local readings at or after `from_local`, in order."""
        day = max(EPOCH + timedelta(from_local // DAY), EPOCH)
        while (day := self.next_day(day)) is not None:
            midnight = (day - EPOCH).days * DAY
            for hour in self.hours:
                if midnight + hour * 3600 + 3599 < from_local:
                    continue
                for minute in self.minutes:
                    start = midnight + hour * 3600 + minute * 60
                    if start + 59 < from_local:
                        continue
                    for second in self.seconds:
                        if start + second >= from_local:
                            yield start + second
            day += timedelta(1)


class Zone:
    def __init__(self, name):
        self.name = name
        self.info = zoneinfo.ZoneInfo(name)

    def offset(self, unix_s):
        offset = datetime.fromtimestamp(unix_s, self.info).utcoffset()
        return offset.days * DAY + offset.seconds

    def instants(self, local_s):
        """All instants that read so, in order."""
        naive = datetime(1970, 1, 1) + timedelta(seconds=local_s)
        found = set()
        for fold in (0, 1):
            offset = int(naive.replace(tzinfo=self.info, fold=fold).utcoffset().total_seconds())
            if self.offset(local_s - offset) == offset:
                found.add(local_s - offset)
        return sorted(found)

    def gap_end(self, local_s):
        """The instant at which the clock jumped over `local_s`: bisected."""
        low, high = local_s - 26 * 3600, local_s + 26 * 3600
        while high - low > 1:
            middle = (low + high) // 2
            if middle + self.offset(middle) > local_s:
                high = middle
            else:
                low = middle
        return high

    def offsets_around(self, unix_s):
        return [self.offset(unix_s + hours * 3600) for hours in range(-54, 55, 6)]

    def changes(self, first_s, last_s):
        """Bisects every change of offset, looking at every third day: no zone has changed twice in less than seven."""
        days = [(t, self.offset(t)) for t in range(first_s, last_s, 3 * DAY)]
        for (low, before), (high, after) in itertools.pairwise(days):
            if before != after:
                yield low + 1 + bisect.bisect_left(range(low + 1, high + 1), True, key=lambda t: self.offset(t) != before)


def occurrences(entry, zone, from_s):
    """The next ANSWERS occurrences after from_s, in order."""
    found = set()
    enough_at = None
    for local_s in entry.readings(from_s + min(zone.offsets_around(from_s)) - 1):
        if enough_at is not None and local_s > enough_at:
            break
        instants = zone.instants(local_s)
        if not entry.every_pass:
            instants = instants[:1] or [zone.gap_end(local_s)]
        found |= {t for t in instants if t > from_s}
        if len(found) >= ANSWERS and enough_at is None:
            # A later reading may come earlier in time by as much as the clock is set back.
            last = sorted(found)[ANSWERS - 1]
            enough_at = last + max(zone.offsets_around(last)) + 1
    return sorted(found)[:ANSWERS]


MINUTES = "0 30 15 59 * */5 */7 1-10 50-10 0,20,40 45/5 29,30,31".split()
HOURS = "0 1 2 3 23 12 * */2 */6 0-3 1-3 22-2 0,12,23 5/5 2-2 */24 0-23".split()
DAYS = "* * * * * ? l lw 15w 1w 31w 1,15 */2 28-3 13 30 31,l 29 5-10/2".split()
MONTH_LIST = "* * * * * * 3,10 oct-apr 2 */3 nov 9".split()
WEEKDAY_LIST = "* * * * ? sun 7 sat-sun fri-mon 5#2 sun#5 sun#1 sunl l6 l5-1 */2 1-5 mon,l0 sun#2".split()


def random_entry(rng):
    words = [rng.choice(MINUTES), rng.choice(HOURS), rng.choice(DAYS), rng.choice(MONTH_LIST), rng.choice(WEEKDAY_LIST)]
    if rng.random() < 0.15:
        words.append(rng.choice(["*", "2020-2030", "2000/4", "1972,2001,2044"]))
        if rng.random() < 0.6:
            words.insert(0, rng.choice(["0", "30", "*/20", "59", "5-7"]))
    return " ".join(words)


class Asker:
    """Collects questions, asks the driver in batches and compares."""

    def __init__(self, driver):
        self.driver, self.questions, self.asked, self.wrong = driver, [], 0, 0

    def ask(self, entry_text, zone, from_s, expected):
        self.questions.append((f"{entry_text}|{zone.name}|{from_s}", expected))
        if len(self.questions) >= 20000:
            self.flush()

    def flush(self):
        text = "".join(line + "\n" for line, _ in self.questions)
        answers = subprocess.run([self.driver], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
        assert len(answers) == len(self.questions)
        for (line, expected), answer in zip(self.questions, answers):
            if answer != expected:
                self.wrong += 1
                if self.wrong <= 10:
                    print(f"{line}: expected {expected}, got {answer}")
        self.asked += len(self.questions)
        self.questions = []


entry_of = functools.lru_cache(5000)(Entry)


def ask_next(asker, text, zone, from_s):
    found = occurrences(entry_of(text), zone, from_s)
    asker.ask(text, zone, from_s, " ".join([*map(str, found), *["-"][len(found) // ANSWERS:]]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--transitions", type=int, default=0, metavar="ENTRIES")
    parser.add_argument("--zones", default="")
    options = parser.parse_args()
    names = sorted(n for n in zoneinfo.available_timezones()
                   if re.search(options.zones, n) and not n.startswith(("right/", "posix/")) and n != "localtime")
    if not names:
        return 77
    zones = [Zone(name) for name in names]
    rng = random.Random(options.seed)
    asker = Asker(options.driver)
    texts = [random_entry(rng) for _ in range(options.transitions)]
    changes = functools.cache(lambda zone: list(zone.changes(0, 2145916800)))
    if options.transitions:
        for zone in zones:
            for change in changes(zone):
                for seconds in (-DAY, -7200, -3600, -1800, -1, 0, 1, 1800, 3600, 7200):
                    asker.ask("", zone, change + seconds, str(zone.offset(change + seconds)))
                for text in texts:
                    ask_next(asker, text, zone, change - rng.randrange(1, 2 * DAY))
    for i in range(options.count):
        zone = rng.choice(zones) if i % 200 == 0 else zone
        near = rng.choice(changes(zone) or [0]) if rng.random() < 0.7 else rng.randrange(0, 4102444800)
        from_s = near + rng.randrange(-2 * DAY, DAY)
        if rng.random() < 0.1:
            # Anywhere from 1900 on; the years up to 2200 are only reached by offsets.
            anywhere = rng.randrange(-2208988800, 7258118400)
            asker.ask("", zone, anywhere, str(zone.offset(anywhere)))
        else:
            ask_next(asker, random_entry(rng), zone, from_s)
    asker.flush()
    print(f"{asker.asked} questions in {len(zones)} zones, {asker.wrong} wrong")
    return 1 if asker.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: BSD-3-Clause
"""Guessing, roles and timing (T37): wrong credentials are slowed down, right ones never, and no answer tells too much.

`ROLES` is the whole surface: each URL with what each kind of caller gets for each method. Every active user sees and
changes all records (the contract); only minting tokens for others asks for staff.
"""
import base64
import math
import random
import time

from harness.client import Raw, head
from harness.service import BINARY, PASSWORD, Service

FAILURES = 10               # a minute and address, the default
ACCOUNT_FREE = 5            # failures in a row that an account bears
GUESSES_PER_ADDRESS = 40
SAMPLES_MIN = 5000          # fewer tell nothing
T_MAX = 4.5                 # the customary bound for "no difference was found"
WRONG_TOKEN = "Token " + "0" * 40
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW")


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


# ---- guessing ----

def guess(service, source, auth, number):
    """The statuses of `number` guesses from one address, and the last Retry-After."""
    api, statuses, retry_after = service.api(source=source), [], None
    for _ in range(number):
        answer = api.get("/api/v1/", auth=auth)
        statuses.append(answer.status)
        retry_after = answer.header("Retry-After") or retry_after
    api.close()
    return statuses, retry_after


def judge_tokens(verdict, service, token, budget):
    """Each address has its failures a minute, and a right token passes beside them, from any address."""
    addresses = max(3, min(200, budget // GUESSES_PER_ADDRESS))
    good = service.api(token, source="127.0.0.2")
    for number in range(addresses):
        source = f"127.0.1.{number + 1}"
        statuses, retry_after = guess(service, source, WRONG_TOKEN, GUESSES_PER_ADDRESS)
        verdict.count("guessed tokens", len(statuses))
        verdict.expect(statuses == [401] * FAILURES + [429] * (GUESSES_PER_ADDRESS - FAILURES), f"{source}: {statuses}")
        verdict.expect(retry_after and 1 <= int(retry_after) <= 60, f"{source}: Retry-After {retry_after}")
        verdict.expect(good.get("/api/v1/").status == 200, "a right token from another address is held up")
        same = service.api(token, source=source)
        verdict.expect(same.get("/api/v1/").status == 200, "a right token from the guessing address is held up")
        same.close()
    good.close()


def judge_account(verdict, service, doublings):
    """A password is guessed from ever new addresses: the account's own wait doubles, other accounts have none."""
    waits, address = [], 0
    while len(waits) < doublings:
        address += 1
        api = service.api(source=f"127.0.2.{address}")
        answer = api.get("/api/v1/", auth=basic("alice", f"guess {address}"))
        verdict.count("guessed passwords")
        if answer.status == 401:
            verdict.expect(address <= ACCOUNT_FREE or waits, f"guess {address} of a password is not held up")
        else:
            verdict.expect(answer.status == 429 and address > ACCOUNT_FREE, f"guess {address}: {answer!r}")
            waits.append(int(answer.header("Retry-After")))
            other = api.get("/api/v1/", auth=basic("bob", PASSWORD))
            verdict.expect(other.status == 200, f"another account is held up: {other!r}")
            time.sleep(waits[-1])       # the wait is what is tried
        api.close()
    verdict.found["account_waits_s"] = waits
    verdict.expect(waits == [2 ** n for n in range(doublings)], f"the waits of an account: {waits}")


# ---- roles ----

READ, WRITE, DETAIL = {"GET", "HEAD", "OPTIONS"}, {"GET", "POST", "HEAD", "OPTIONS"}, {"GET", "PUT", "PATCH",
    "DELETE", "HEAD", "OPTIONS"}
MINT, PROBE = {"POST", "OPTIONS"}, {"GET", "HEAD"}

# URL -> methods, and who may: "user" any active one, "staff" those, "all" everybody.
ROLES = {
    "/api/v1/": (READ, "user"),
    "/api/v1/schedule/": (WRITE, "user"),
    "/api/v1/schedule/{schedule}/": (DETAIL, "user"),
    "/api/v1/schedule/{schedule}.json": (DETAIL, "user"),
    "/api/v1/schedule/00000000-0000-4000-8000-000000000000/": (DETAIL, "user"),
    "/api/v1/webhook/": (WRITE, "user"),
    "/api/v1/webhook/{webhook}/": (DETAIL, "user"),
    "/api/v1/failed-tasks/": (WRITE, "user"),
    "/api/v1/failed-tasks/1/": (READ, "user"),
    "/api/v1/user/": (READ, "user"),
    "/api/v1/user/1/": (READ, "user"),
    "/api/v1/user/token/": (MINT, "staff"),
    "/api/v1/group/": (READ, "user"),
    "/api/v1/group/1/": (READ, "user"),
    "/api/metrics/": (WRITE, "user"),
    "/api/health/": (READ, "user"),
    "/api/token-auth/": (MINT, "all"),
    "/metrics": (PROBE, "all"),
    "/healthz": (PROBE, "all"),
    "/readyz": (PROBE, "all"),
}

# What a caller who may not gets; the body of a request is never looked at before.
CALLERS = {
    "nobody": (None, {"all"}, 401),
    "a wrong token": (WRONG_TOKEN, {"all"}, 401),
    "a revoked token": ("revoked", {"all"}, 401),
    "an inactive user": ("inactive", {"all"}, 401),
    "user A": ("alice", {"all", "user"}, 403),
    "user B": ("bob", {"all", "user"}, 403),
    "staff": ("admin", {"all", "user", "staff"}, None),
}
# With credentials that are wrong even what is open to everybody is refused, but for the probes, which read none.
REFUSED_WRONG = "/api/token-auth/"


def wanted_statuses(target, method, caller):
    methods, scope = ROLES[target]
    auth, scopes, refusal = CALLERS[caller]
    if target == REFUSED_WRONG and auth and refusal == 401:
        return {401}
    if scope not in scopes:
        return {refusal}
    if method not in methods:
        return {405}
    return {200, 201, 204, 400, 404}


def fresh_records(admin):
    schedule = admin.create(endpoint="http://example.org/", enabled=False)
    webhook = admin.post("/api/v1/webhook/", {"event": "x", "target": "http://example.org/"}).json()
    return {"schedule": schedule["id"], "webhook": webhook["id"]}


def state_of(admin):
    return [admin.get(path).body for path in ("/api/v1/schedule/", "/api/v1/webhook/", "/api/v1/user/",
        "/api/v1/group/")]


def judge_roles(verdict, service, tokens):
    admin = service.api(tokens["admin"])
    records, before = fresh_records(admin), None
    for caller, (who, _, refusal) in CALLERS.items():
        auth = f"Token {tokens[who]}" if who in tokens else who
        api = service.api()
        for target in ROLES:
            for method in METHODS:
                if refusal != 401 and method == "DELETE":
                    records, before = fresh_records(admin), None
                before = before or state_of(admin)
                answer = api.request(method, target.format(**records), auth=auth, body=b"{}",
                    content_type="application/json")
                verdict.count("calls of the matrix")
                wanted = wanted_statuses(target, method, caller)
                verdict.expect(answer.status in wanted,
                    f"{method} {target} by {caller}: {answer.status}, not one of {wanted}")
                after = state_of(admin) if method not in READ else before
                if answer.status in (401, 403, 405):
                    verdict.expect(after == before, f"{method} {target} by {caller} was refused, and wrote")
                before = after
                if answer.status in (401, 403) and method != "HEAD":
                    verdict.expect(list(answer.json()) == ["detail"],
                        f"{method} {target} by {caller} was refused, and tells {answer.body[:200]!r}")
        api.close()
    # Secrets are nobody's to read, not even their owner's.
    made = admin.create(endpoint="http://example.org/", enabled=False, auth_token="matrix-secret-1",
        signing_secret="whsec_" + "QUFB" * 10)
    for who in ("admin", "alice", "bob"):
        body = service.api(tokens[who]).get(f"/api/v1/schedule/{made['id']}/").body
        verdict.expect(b"matrix-secret-1" not in body and b"QUFB" not in body, f"{who} reads a secret: {body!r}")
    admin.close()


# ---- timing ----

def welch_t(first, second):
    def mean_and_variance(values):
        mean = sum(values) / len(values)
        return mean, sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    (mean1, variance1), (mean2, variance2) = mean_and_variance(first), mean_and_variance(second)
    return (mean1 - mean2) / math.sqrt(variance1 / len(first) + variance2 / len(second))


def largest_t(first, second):
    """Of the samples below several common quantiles: what a busy machine adds at the upper end hides differences."""
    everything = sorted(first + second)
    found = []
    for quantile in (0.5, 0.8, 0.95, 1.0):
        limit = everything[int(quantile * (len(everything) - 1))]
        cut1, cut2 = [v for v in first if v <= limit], [v for v in second if v <= limit]
        if min(len(cut1), len(cut2)) > 10:
            found.append(abs(welch_t(cut1, cut2)))
    return max(found)


def sample(service, rng, requests, number, status):
    """Times of `number` requests, drawn from the two kinds in `requests` (functions that give Authorization)."""
    times = ([], [])
    with Raw(service.address, timeout=60) as raw:
        for _ in range(number):
            kind = rng.randrange(2)
            data = head("GET", "/api/v1/", [("Host", "x"), ("Authorization", requests[kind]())])
            begun = time.perf_counter_ns()
            raw.send(data)
            answer = raw.read()
            times[kind].append(time.perf_counter_ns() - begun)
            assert answer.status == status, answer
    return times


def judge_timing(verdict, rng, budget):
    """Pairs of refusals that a stranger must not tell apart; then a difference that is there, which has to be seen."""
    with Service() as service:
        token = service.create_user("alice", password=PASSWORD)
        service.create_user("nopassword")
        service.start()

        # Drawn beforehand and alike: what happens between two requests would be in the times as well.
        digits = "0123456789abcdef"
        near, far = [], []
        for _ in range(budget):
            at = rng.randrange(len(token))
            near.append(token[:at] + rng.choice(digits.replace(token[at], "")) + token[at + 1:])
            far.append("".join(rng.choices(digits, k=len(token))))

        def wrong_password():
            return basic("alice", f"wrong {rng.randrange(10 ** 9):09}")
        pairs = [
            ("a token of which 39 digits are right", (lambda: "Token " + near.pop(), lambda: "Token " + far.pop()),
                budget),
            ("an unknown user", (wrong_password, lambda: basic("nobody", f"wrong {rng.randrange(10 ** 9):09}")),
                budget // 250),
            ("a user without a password", (wrong_password, lambda: basic("nopassword",
                f"wrong {rng.randrange(10 ** 9):09}")), budget // 250),
        ]
        for name, requests, number in pairs:
            number = max(number, 40)
            verdict.say(f"timing of {name}: {number} samples")
            t = largest_t(*sample(service, rng, requests, number, 401))
            verdict.count("timing samples", number)
            verdict.found[f"t of {name}"] = round(t, 2)
            verdict.expect(t < T_MAX, f"{name} is told by its time: |t| = {t:.1f}")
        passing = sample(service, rng, (lambda: WRONG_TOKEN, lambda: basic("alice", f"x {rng.random()}")), 60, 401)
        verdict.expect(largest_t(*passing) > T_MAX, "void: the test does not even tell a hash of a password from none")


def run(verdict, budget, seed):
    """`budget`: samples of the timing of a token; a tenth of it are guesses."""
    rng = random.Random(seed)
    with Service(auth_failures=None) as service:
        tokens = {"admin": service.create_user("admin", admin=True)}
        tokens.update({name: service.create_user(name, password=PASSWORD) for name in ("alice", "bob")})
        service.start()
        verdict.say("guesses")
        judge_tokens(verdict, service, tokens["alice"], budget // 10)
        judge_account(verdict, service, 5 if budget > 10_000 else 2)
    with Service() as service:
        tokens = {"admin": service.create_user("admin", admin=True)}
        tokens.update({name: service.create_user(name, password=PASSWORD) for name in ("alice", "bob", "inactive")})
        tokens["revoked"] = service.create_token("bob")
        service.cli("user", "disable", "inactive", check=True)
        listed = service.cli("token", "list", "bob", check=True).stdout
        number = next(line.split()[0] for line in listed.splitlines() if tokens["revoked"][:8] in line)
        service.cli("token", "revoke", number, check=True)
        service.start()
        verdict.say(f"{len(ROLES)} URLs by {len(METHODS)} methods by {len(CALLERS)} callers")
        judge_roles(verdict, service, tokens)
    if budget >= SAMPLES_MIN:
        judge_timing(verdict, rng, budget)
    else:
        verdict.say(f"the timing was not tried: it takes a budget of {SAMPLES_MIN} samples")
    verdict.found["binary"] = BINARY.rsplit("/", 1)[-1]
    verdict.least("calls of the matrix", len(ROLES) * len(METHODS) * len(CALLERS))
    verdict.least("guessed tokens", 100)

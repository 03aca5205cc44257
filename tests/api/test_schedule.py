# SPDX-License-Identifier: BSD-3-Clause
"""The schedule resource: records, fields, validation messages, PUT and PATCH (contract, sections 0 and 4)."""
import datetime
import json
import re
import uuid

import pytest

PATH = "/api/v1/schedule/"
ENDPOINT = "https://service.example.org/call"
MASK = "********"
KEYS = ["url", "id", "frequency", "cron_definition", "interval_definition", "endpoint", "payload", "auth_token",
        "next_send_at", "enabled", "created_at", "updated_at", "created_by", "updated_by"]
REQUIRED, NULL, BLANK = "This field is required.", "This field may not be null.", "This field may not be blank."
NOT_STRING, NUL, BAD_URL = "Not a valid string.", "Null characters are not allowed.", "Enter a valid URL."
BAD_INT, BAD_BOOL = "A valid integer is required.", "Must be a valid boolean."
BAD_DATE = ("Datetime has wrong format. Use one of these formats instead: "
            "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z\Z")
UTC = datetime.timezone.utc


def instant(text):
    assert INSTANT.match(text) and not text.endswith(".000000Z"), text
    return datetime.datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)


def at_most(number):
    return f"Ensure this field has no more than {number} characters."


def off(**fields):
    """A body that makes a schedule which never fires: disabled, at a public name."""
    return {"endpoint": ENDPOINT, "enabled": False, **fields}


@pytest.fixture(scope="module")
def made(api):
    """A record that refused requests must not change."""
    record = api.create(**off(frequency=9, interval_definition="1 hours", payload=[1], auth_token="secret"))
    yield record
    assert api.schedule(record) == record


def refused(api, made, field, value, messages):
    """POST, PATCH and PUT answer the same messages for a bad field; `messages` may be a list, a pattern or None."""
    url = f"{PATH}{made['id']}/"
    for answer in (api.post(PATH, off(**{field: value})), api.patch(url, {field: value}),
                   api.put(url, off(**{field: value}))):
        assert answer.status == 400, answer
        assert list(answer.json()) == [field], answer
        if isinstance(messages, list):
            assert answer.json()[field] == messages
        elif messages is not None:
            assert any(re.search(messages, text) for text in answer.json()[field]), answer


# ---- records ----

def test_a_minimal_record(api, service):
    answer = api.post(PATH, {"endpoint": ENDPOINT})
    assert answer.status == 201, answer
    record = answer.json()
    assert list(record)[:len(KEYS)] == KEYS
    assert answer.header("Location") == record["url"] == f"{api.base}{PATH}{record['id']}/"
    assert uuid.UUID(record["id"]).version == 4 and str(uuid.UUID(record["id"])) == record["id"]
    for name in ("frequency", "cron_definition", "interval_definition", "auth_token", "next_send_at"):
        assert record[name] is None
    assert record["payload"] == {} and record["enabled"] is True
    assert record["timezone"] == "UTC" and record["triggered"] == 0
    age = datetime.datetime.now(UTC) - instant(record["created_at"])
    assert abs(age.total_seconds()) < 20
    assert abs((instant(record["updated_at"]) - instant(record["created_at"])).total_seconds()) < 0.1
    me = [user["url"] for user in api.get("/api/v1/user/").json()["results"] if user["username"] == "alice"]
    assert [record["created_by"]] == me == [record["updated_by"]]
    got = api.get(f"{PATH}{record['id']}/")
    assert (got.status, got.body) == (200, answer.body)
    listed = api.get(f"{PATH}?limit=1").json()["results"]
    assert listed == [record]


def test_read_only_and_unknown_fields_are_ignored(api):
    other = str(uuid.uuid4())
    answer = api.post(PATH, off(id=other, url=5, created_at="x", updated_at=[], created_by=None, updated_by={"a": 1},
                                nonsense=True, triggered=99))
    assert answer.status == 201, answer
    record = answer.json()
    assert record["id"] != other and "nonsense" not in record and record["triggered"] == 0
    assert instant(record["created_at"]).year >= 2025 and record["created_by"] is not None


def test_put_keeps_what_it_leaves_out(api, admin):
    made = api.create(**off(frequency=3, interval_definition="2 hours", payload={"k": [1]}, auth_token="t"))
    url = f"{PATH}{made['id']}/"
    assert api.put(url, {}).json() == {"endpoint": [REQUIRED]}
    answer = admin.put(url, {"endpoint": "http://other.example.org/"})
    assert answer.status == 200 and answer.header("Location") is None
    record = answer.json()
    assert record["endpoint"] == "http://other.example.org/"
    for name in ("id", "url", "frequency", "interval_definition", "payload", "auth_token", "enabled", "created_at",
                 "created_by"):
        assert record[name] == made[name]
    assert record["updated_by"] != made["updated_by"] and record["created_by"] == made["created_by"]
    assert instant(record["updated_at"]) > instant(made["updated_at"])
    again = api.patch(url, {}).json()
    assert again["updated_by"] == made["updated_by"] and instant(again["updated_at"]) > instant(record["updated_at"])
    assert {**again, "updated_at": 0, "updated_by": 0} == {**record, "updated_at": 0, "updated_by": 0}


def test_put_never_creates_and_delete_deletes(api):
    made = api.create(**off())
    url = f"{PATH}{made['id']}/"
    answer = api.delete(url)
    assert (answer.status, answer.body) == (204, b"")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = api.request(method, url, off() if method != "GET" else None)
        assert (answer.status, answer.json()) == (404, {"detail": "Not found."})


def test_every_user_sees_and_changes_every_record(api, admin):
    made = admin.create(**off(payload="p"))
    assert api.schedule(made)["payload"] == "p"
    assert api.patch(f"{PATH}{made['id']}/", {"payload": "q"}).status == 200
    assert api.delete(f"{PATH}{made['id']}/").status == 204


def test_all_bad_fields_at_once(api):
    answer = api.post(PATH, {"frequency": "x", "enabled": None, "next_send_at": 5, "cron_definition": True,
                             "interval_definition": [], "auth_token": {}, "timezone": "Mars/Base"})
    assert answer.status == 400
    assert sorted(answer.json()) == sorted(["endpoint", "frequency", "enabled", "next_send_at", "cron_definition",
                                            "interval_definition", "auth_token", "timezone"])
    assert answer.json()["endpoint"] == [REQUIRED] and answer.json()["enabled"] == [NULL]


def test_the_alias_of_the_document(api):
    made = api.create(endpoint=ENDPOINT, enabled=False, inteval_definition="1 minute")
    assert made["interval_definition"] == "1 minute" and "inteval_definition" not in made


# ---- strings ----

@pytest.mark.parametrize("value,messages", [
    (None, [NULL]), ("", [BLANK]), ("   \t", [BLANK]), (True, [NOT_STRING]), (False, [NOT_STRING]), ([], [NOT_STRING]),
    ({}, [NOT_STRING]), (["x"], [NOT_STRING]), (5, [BAD_URL]), (1.5, [BAD_URL]), ("a\0", "Null characters"),
] + [(text, [BAD_URL]) for text in [
    "x", "example.org", "//example.org/", "http://", "http:///x", "http://:80/", "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/", "http+unix://x/", "data:text/plain,x", "http://user:pw@example.org/",
    "http://user@example.org/",
    "http://a b/", "http://example.org/a b", "http://example.org/\u0001", "http://example.org/\u007f",
    "http://exa\nmple.org/",
    "http://example.org:0/", "http://example.org:65536/", "http://example.org:x/", "http://good.com\\@127.0.0.1/",
    "http://127.0.0.1%2f@x/", "http://256.1.1.1/", "http://1.2.3.4.5/", "javascript:alert(1)", "http://[::1",
    "http://[zz]/",
    "http://\uff11\uff12\uff17.0.0.1/", "http://example\u3002org/", "http:example.org", "http:/example.org",
]])
def test_endpoints_that_are_refused(api, made, value, messages):
    refused(api, made, "endpoint", value, messages)


@pytest.mark.parametrize("text", [
    "http://example.org", "HTTP://example.org/", "https://example.org./", "http://example.org:8080/a/b?c=d&e=%20#f",
    "https://xn--bcher-kva.example/", "https://93.184.216.34/", "http://[2001:4860:4860::8888]/",
    "http://example.org:80",
    "http://example.org/" + "x" * (2048 - 19), "http://a.b-c.example.org:65535/~x;y,z!$'()*",
    "  http://example.org/trim  ",
])
def test_endpoints_that_are_accepted(api, text):
    assert api.create(endpoint=text, enabled=False)["endpoint"] == text.strip()


def test_an_endpoint_may_have_2048_characters_and_no_more(api, made):
    refused(api, made, "endpoint", "http://example.org/" + "x" * (2049 - 19), None)


@pytest.mark.parametrize("text", [
    "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/", "http://169.254.169.254/latest/",
    "http://0.0.0.0/",
    "http://100.64.0.1/", "http://224.0.0.1/", "http://[fd00:ec2::254]/", "http://[fe80::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::7f00:1]/", "http://[2002:0a00:1::]/", "http://192.0.2.1/", "http://255.255.255.255/",
    "http://[::]/", "http://2852039166/", "http://0x0a000001/", "http://012.0.0.1/", "http://10.1/",
])
def test_literal_addresses_that_the_egress_policy_denies(api, made, text):
    url = f"{PATH}{made['id']}/"
    for answer in (api.post(PATH, off(endpoint=text)), api.patch(url, {"endpoint": text})):
        assert answer.status == 400, answer
        assert list(answer.json()) == ["endpoint"]
        strict = re.fullmatch(r"http://(\d+\.\d+\.\d+\.\d+|\[.*\])/.*", text) and "//012" not in text
        if strict:      # other spellings of an address may be refused as no address at all
            assert any("--egress-allow" in message for message in answer.json()["endpoint"]), answer


def test_an_allowed_network_is_allowed_in_its_plain_spelling(api):
    assert api.create(endpoint="http://127.0.0.1:8080/", enabled=False)["endpoint"] == "http://127.0.0.1:8080/"


@pytest.mark.parametrize("value,shown", [
    (None, None), ("", None), ("   ", None), ("t", MASK), (5, MASK), ("x" * 500, MASK), ("  " + "é" * 500 + " ", MASK),
])
def test_auth_token_is_write_only(api, value, shown):
    record = api.create(**off(auth_token=value))
    assert record["auth_token"] == shown
    assert api.schedule(record)["auth_token"] == shown
    url = f"{PATH}{record['id']}/"
    assert api.patch(url, {"auth_token": MASK}).json()["auth_token"] == shown
    assert api.put(url, off(auth_token=MASK)).json()["auth_token"] == shown
    assert api.patch(url, {"auth_token": None}).json()["auth_token"] is None


@pytest.mark.parametrize("value,messages", [
    (True, [NOT_STRING]), ([], [NOT_STRING]), ({}, [NOT_STRING]), ("x" * 501, [at_most(500)]), ("a\0b", NUL),
    ("a\nb", None), ("a\rb", None), ("a\u0001b", None), ("a\u007fb", None),
])
def test_auth_tokens_that_are_refused(api, made, value, messages):
    refused(api, made, "auth_token", value, messages)


# ---- frequency, enabled, next_send_at ----

@pytest.mark.parametrize("text,value", [
    ("5", 5), ("1", 1), ("2147483647", 2147483647), ("1.0", 1), ("1e3", 1000), ("7E0", 7), ('"5"', 5), ('" 7 "', 7),
    ('"5.0"', 5), ('"+4"', 4), ('"007"', 7), ("null", None), ('"5.00"', 5),
])
def test_frequencies_that_are_accepted(api, text, value):
    body = b'{"endpoint": "http://example.org/", "enabled": false, "frequency": ' + text.encode() + b"}"
    answer = api.post(PATH, body=body, content_type="application/json")
    assert answer.status == 201, answer
    assert answer.json()["frequency"] == value and isinstance(answer.json()["frequency"], (int, type(None)))


@pytest.mark.parametrize("value,messages", [
    (True, [BAD_INT]), (False, [BAD_INT]), ("", [BAD_INT]), (" ", [BAD_INT]), (1.5, [BAD_INT]), ("x", [BAD_INT]),
    ([], [BAD_INT]),
    ({}, [BAD_INT]), ("5.5", [BAD_INT]), ("1 2", [BAD_INT]), ("0x5", [BAD_INT]),
    (2147483648, ["Ensure this value is less than or equal to 2147483647."]),
    (10 ** 30, ["Ensure this value is less than or equal to 2147483647."]),
    ("9" * 1001, ["String value too large."]), (0, None), (-1, None), ("0", None), (-2147483648, None),
    (-2147483649, None),
])
def test_frequencies_that_are_refused(api, made, value, messages):
    refused(api, made, "frequency", value, messages)


TRUE = [True, 1, 1.0, "t", "T", "y", "Y", "yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "1"]
FALSE = [False, 0, 0.0, "f", "F", "n", "N", "no", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "0"]


@pytest.mark.parametrize("value,meaning", [(value, True) for value in TRUE] + [(value, False) for value in FALSE])
def test_enabled_that_is_accepted(api, value, meaning):
    assert api.create(endpoint=ENDPOINT, enabled=value)["enabled"] is meaning


@pytest.mark.parametrize("value,messages", [(None, [NULL])] + [
    (value, [BAD_BOOL]) for value in ["tRuE", 2, -1, "", "true ", " true", "Yes", "No", "oN", "null", [], {}, 1.5,
                                      "2"]])
def test_enabled_that_is_refused(api, made, value, messages):
    refused_alone(api, made, "enabled", value, messages)


def refused_alone(api, made, field, value, messages):
    answer = api.post(PATH, {"endpoint": ENDPOINT, field: value})
    assert (answer.status, answer.json()) == (400, {field: messages})
    answer = api.patch(f"{PATH}{made['id']}/", {field: value})
    assert (answer.status, answer.json()) == (400, {field: messages})


@pytest.mark.parametrize("text,shown", [
    ("2999-01-02T03:04:05Z", "2999-01-02T03:04:05Z"), ("2999-1-2T3:4", "2999-01-02T03:04:00Z"),
    ("2999-01-02 03:04:05", "2999-01-02T03:04:05Z"), ("2999-01-02T03:04:05.5Z", "2999-01-02T03:04:05.500000Z"),
    ("2999-01-02T03:04:05.123456789012Z", "2999-01-02T03:04:05.123456Z"),
    ("2999-01-02T03:04:05.000Z", "2999-01-02T03:04:05Z"),
    ("2999-01-02T03:04:05.0000009Z", "2999-01-02T03:04:05Z"), ("2999-01-02T03:04:05+02:00", "2999-01-02T01:04:05Z"),
    ("2999-01-02T03:04:05+0230", "2999-01-02T00:34:05Z"), ("2999-01-02T03:04:05-03", "2999-01-02T06:04:05Z"),
    ("2999-01-02T03:04+23:59", "2999-01-01T03:05:00Z"), ("2999-12-31T23:59:59-01:00", "3000-01-01T00:59:59Z"),
    ("2996-02-29T00:00:00Z", "2996-02-29T00:00:00Z"), ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ("2999-01-02T3:4:5", "2999-01-02T03:04:05Z"),
])
def test_a_one_shot_shows_its_instant_in_utc(api, text, shown):
    made = api.create(endpoint=ENDPOINT, next_send_at=text)
    assert made["next_send_at"] == shown
    assert api.schedule(made)["next_send_at"] == shown


@pytest.mark.parametrize("value", [
    "", "2999-01-02", "x", 5, 1.5, True, [], {}, "2999-01-02T24:00:00Z", "2999-01-02T03:04:60Z", "2999-01-02t03:04:05Z",
    "2999-01-02T03:04:05z", " 2999-01-02T03:04:05Z", "2999-01-02T03:04:05Z ", "2999-01-02T03:04:05.Z",
    "2999-13-02T03:04:05Z",
    "2999-02-30T03:04:05Z", "2999-01-02T03:04:05+24:00", "2999-01-02T03:04:05.1234567890123Z", "2999-01-02  03:04:05Z",
    "99-01-02T03:04:05Z", "2999/01/02T03:04:05Z", "2999-01-02T03", "12999-01-02T03:04:05Z", "2999-01-02T03:60:05Z",
    "2999-01-02T03:04:05+1:00", "2999-01-02T03:04:05 Z", "2997-02-29T00:00:00Z", "2999-00-01T00:00:00Z",
])
def test_next_send_at_that_is_refused(api, made, value):
    refused(api, made, "next_send_at", value, [BAD_DATE])


@pytest.mark.parametrize("value", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_next_send_at_out_of_range(api, made, value):
    refused(api, made, "next_send_at", value, ["Datetime value out of range."])


def test_a_disabled_one_shot_has_no_next_run_until_enabled(api):
    made = api.create(**off(next_send_at="2999-01-02T03:04:05Z"))
    assert made["next_send_at"] is None
    url = f"{PATH}{made['id']}/"
    assert api.patch(url, {"enabled": True}).json()["next_send_at"] == "2999-01-02T03:04:05Z"
    assert api.patch(url, {"enabled": False}).json()["next_send_at"] is None


# ---- payload ----

@pytest.mark.parametrize("payload", [
    {}, [], None, True, False, 0, -1, 1.5, "", "text", '{"looks": "like JSON"}', "5", "null", [[], {}, [None]],
    2 ** 64 + 1, -(2 ** 63) - 1, 10 ** 40, {"a": {"b": [1, "é", "\U0001f600", "\u2028", "\\", '"', "/", "\x7f"]}},
    {"": 1, " ": 2, "\n\t\r\b\f": "\n\t\r\b\f"}, [1.25, -0.5, 1e300, 1e-7, 123456789.125], "x" * 10_000,
    list(range(500)),
])
def test_payloads_round_trip(api, payload):
    made = api.create(**off(payload=payload))
    assert made["payload"] == payload and type(made["payload"]) is type(payload)
    got = api.get(f"{PATH}{made['id']}/")
    assert got.json()["payload"] == payload
    assert api.patch(f"{PATH}{made['id']}/", {"payload": [payload]}).json()["payload"] == [payload]


def test_a_number_beyond_doubles(api):
    answer = api.post(PATH, body=b'{"endpoint": "http://example.org/", "enabled": false, "payload": 1e400}',
                      content_type="application/json")
    assert answer.status in (201, 400), answer
    if answer.status == 400:
        assert answer.json() == {"payload": ["Value must be valid JSON."]}


def test_output_is_compact_utf8(api):
    made = api.post("/api/v1/webhook/", {"event": "é\u2028ü", "target": "http://example.org/"})
    assert "é\\u2028ü".encode() in made.body and b'": ' not in made.body
    body = api.get(f"/api/v1/webhook/{made.json()['id']}/").body
    assert "é\\u2028ü".encode() in body and json.loads(body)["event"] == "é\u2028ü"


# ---- timing: computed next_send_at ----

def test_an_interval_runs_first_one_interval_after_creation(api):
    made = api.create(endpoint=ENDPOINT, interval_definition="3 hours", next_send_at="2999-01-01T00:00:00Z")
    gap = instant(made["next_send_at"]) - instant(made["created_at"])
    assert abs(gap.total_seconds() - 3 * 3600) < 0.1
    url = f"{PATH}{made['id']}/"
    assert api.patch(url, {"enabled": False}).json()["next_send_at"] is None
    again = api.patch(url, {"enabled": True}).json()
    assert instant(again["next_send_at"]) == instant(made["next_send_at"])


def test_an_edited_interval_is_in_force_at_once(api):
    made = api.create(endpoint=ENDPOINT, interval_definition="3 hours")
    url = f"{PATH}{made['id']}/"
    edited = api.patch(url, {"interval_definition": "2 days"}).json()
    gap = (instant(edited["next_send_at"]) - instant(edited["updated_at"])).total_seconds()
    assert 0 < gap <= 2 * 86400 + 1
    for blank in (None, ""):
        assert api.patch(url, {"interval_definition": "1 hours"}).json()["next_send_at"] is not None
        gone = api.patch(url, {"interval_definition": blank}).json()
        assert gone["next_send_at"] is None and gone["interval_definition"] in (None, "")


@pytest.mark.parametrize("cron,zone,check", [
    ("0 0 1 1 *", "UTC", lambda t: (t.month, t.day, t.hour, t.minute, t.second) == (1, 1, 0, 0, 0)),
    ("@hourly", "UTC", lambda t: (t.minute, t.second) == (0, 0)),
    ("15 4 * * *", "UTC", lambda t: (t.hour, t.minute) == (4, 15)),
    ("30 5 * * *", "Asia/Kolkata", lambda t: (t.hour, t.minute) == (0, 0)),
    ("0 0 29 2 *", "UTC", lambda t: (t.month, t.day) == (2, 29)),
    ("30 10 20 25 12 * 2050", "UTC", lambda t: t == datetime.datetime(2050, 12, 25, 20, 10, 30, tzinfo=UTC)),
    ("10 20 25 12 * 2050", "UTC", lambda t: t == datetime.datetime(2050, 12, 25, 20, 10, tzinfo=UTC)),
    ("0 12 * * sun", "UTC", lambda t: t.weekday() == 6 and t.hour == 12),
    ("0 12 * * 7", "UTC", lambda t: t.weekday() == 6 and t.hour == 12),
    ("0 0 l * *", "UTC", lambda t: (t + datetime.timedelta(days=1)).day == 1),
    ("0 0 * * l5", "UTC", lambda t: t.weekday() == 4 and (t + datetime.timedelta(days=7)).month != t.month),
    ("0 0 * * fril", "UTC", lambda t: t.weekday() == 4 and (t + datetime.timedelta(days=7)).month != t.month),
    ("0 0 * * 5#2", "UTC", lambda t: t.weekday() == 4 and 8 <= t.day <= 14),
    ("0 0 LW * *", "UTC", lambda t: t.weekday() < 5 and (t + datetime.timedelta(days=3)).month != t.month),
    ("0 0 15W * *", "UTC", lambda t: t.weekday() < 5 and 14 <= t.day <= 17),
    ("0 0 13 * 5", "UTC", lambda t: t.day == 13 or t.weekday() == 4),
    ("50/4 * * * *", "UTC", lambda t: t.minute in (50, 54, 58)),
    ("0 22-3 * * *", "UTC", lambda t: t.hour in (22, 23, 0, 1, 2, 3)),
    ("H H * * *", "UTC", lambda t: t.second == 0),
    ("0 H(2-4) * * *", "UTC", lambda t: t.hour in (2, 3, 4)),
])
def test_cron_tells_its_next_run(api, cron, zone, check):
    made = api.create(endpoint=ENDPOINT, cron_definition=cron, timezone=zone)
    try:
        following = instant(made["next_send_at"])
        assert following > instant(made["created_at"])
        assert check(following), following
        assert made["cron_definition"] == cron and made["timezone"] == zone
    finally:
        assert api.delete(f"{PATH}{made['id']}/").status == 204


def test_an_every_minute_cron_is_due_within_a_minute(api):
    made = api.create(endpoint=ENDPOINT, cron_definition="* * * * *")
    api.delete(f"{PATH}{made['id']}/")
    gap = (instant(made["next_send_at"]) - instant(made["created_at"])).total_seconds()
    assert 0 < gap <= 60 and instant(made["next_send_at"]).second == 0


def test_cron_and_interval_together_tell_the_earlier(api):
    made = api.create(endpoint=ENDPOINT, cron_definition="0 0 1 1 * 2090", interval_definition="1 days")
    gap = instant(made["next_send_at"]) - instant(made["created_at"])
    assert abs(gap.total_seconds() - 86400) < 0.1
    url = f"{PATH}{made['id']}/"
    assert api.patch(url, {"interval_definition": None}).json()["next_send_at"] == "2090-01-01T00:00:00Z"
    assert api.patch(url, {"cron_definition": ""}).json()["next_send_at"] is None


@pytest.mark.parametrize("value", ["Mars/Base", "utc+1", "../../etc/passwd", "/etc/localtime", "Europe/Berlin ", "", 5,
                                   True, [],
                                   "posixrules\0", "a" * 300])
def test_timezones_that_are_refused(api, made, value):
    answer = api.post(PATH, off(timezone=value))
    if value in ("", "Europe/Berlin ") and answer.status == 201:
        assert answer.json()["timezone"] in ("UTC", "Europe/Berlin")
        return
    assert answer.status == 400 and list(answer.json()) == ["timezone"], answer


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Africa/Johannesburg",
                                  "Etc/GMT+5"])
def test_timezones_that_are_accepted(api, name):
    assert api.create(**off(timezone=name))["timezone"] == name


# ---- interval_definition ----

def interval_error(value):
    return (f"{value} is not a valid interval string: integer and period "
            "(from: days, hours, minutes, seconds, microseconds) e.g. 1 minutes")


def period_error(value):
    return f"{value} is not a valid period. Accepted: days, hours, minutes, seconds, microseconds)"


@pytest.mark.parametrize("text", ["1 seconds", "5 minutes", "1 hours", "30 days", "1000000 microseconds", "1 minute",
                                  "1 second",
                                  "1 hour", "1 day", "+5 minutes", "007 days", "1_0 seconds", "\u0663 minutes",
                                  "5  minutes",
                                  "5\tminutes", " 5 minutes ", "1500000 microseconds"])
def test_intervals_that_are_accepted(api, text):
    assert api.create(**off(interval_definition=text))["interval_definition"] == text.strip()


@pytest.mark.parametrize("value,messages", [
    (text, [interval_error(text)]) for text in ["5", "minutes", "5 minutes ago", "five minutes", "1.5 hours",
                                                "1__0 seconds",
                                                "_1 seconds", "x weeks", "5minutes", "- 5 minutes", "0x5 minutes"]
] + [(text, [period_error(text)]) for text in ["1 Minutes", "1 weeks", "5 MINUTES", "1 m", "1 minutess", "1 years"]] + [
    (text, None) for text in ["0 seconds", "-5 minutes", "1 microseconds", "999999 microseconds", "-1 days", "0 days"]
] + [
    (5, [interval_error("5")]), (True, [NOT_STRING]), ([], [NOT_STRING]), ({}, [NOT_STRING]), ("5\0 minutes", NUL),
    ("1" * 93 + " weeks..", [period_error("1" * 93 + " weeks.."), at_most(100)]),
])
def test_intervals_that_are_refused(api, made, value, messages):
    refused(api, made, "interval_definition", value, messages)


@pytest.mark.parametrize("text", ["2147483648 seconds", "99999999999999999999 days", "9" * 90 + " hours"])
def test_huge_intervals_are_no_crash(api, text):
    answer = api.post(PATH, {"endpoint": ENDPOINT, "interval_definition": text})
    assert answer.status in (201, 400), answer
    assert api.get("/api/v1/").status == 200


# ---- catch_up and overlap ----

CHOICES = {"catch_up": ["latest", "all", "none"], "overlap": ["allow", "skip", "queue"]}


def test_the_policies_have_defaults_and_stand_at_the_end(api):
    record = api.create(**off())
    assert list(record)[-4:] == ["signing_secret", "catch_up", "overlap", "put_off"]
    assert (record["catch_up"], record["overlap"]) == ("latest", "allow")


@pytest.mark.parametrize("field, word", [(field, word) for field, words in CHOICES.items() for word in words])
def test_policies_that_are_accepted(api, field, word):
    made = api.create(**off(**{field: word}))
    url = f"{PATH}{made['id']}/"
    assert made[field] == word
    # What a PUT or PATCH leaves out stays.
    for answer in (api.put(url, off()), api.patch(url, {}), api.get(url)):
        assert answer.status == 200 and answer.json()[field] == word, answer
    for other in CHOICES[field]:
        assert api.patch(url, {field: other}).json()[field] == other
    assert api.put(url, off(**{field: word})).json()[field] == word


def invalid(shown):
    return [f'"{shown}" is not a valid choice.']


@pytest.mark.parametrize("field", CHOICES)
@pytest.mark.parametrize("value, messages", [
    (None, [NULL]), ("", [BLANK]), (" ", invalid(" ")), ("Latest", invalid("Latest")), ("SKIP", invalid("SKIP")),
    (" all", invalid(" all")), ("queue\n", invalid("queue\n")), ("é\u2028", invalid("é\u2028")),
    ("a\x00b", invalid("a\x00b")), (0, invalid("0")), (1.5, invalid("1.5")), (True, invalid("True")),
    (False, invalid("False")), ([], invalid("[]")),
    ({}, invalid("{}")),
])
def test_policies_that_are_refused(api, made, field, value, messages):
    refused(api, made, field, value, messages)


def test_a_word_of_the_other_policy_is_none(api, made):
    refused(api, made, "catch_up", "skip", invalid("skip"))
    refused(api, made, "overlap", "latest", invalid("latest"))


def test_options_list_the_words(api):
    fields = api.request("OPTIONS", PATH).json()["actions"]["POST"]
    for name, label in (("catch_up", "Catch up"), ("overlap", "Overlap")):
        choices = [{"value": word, "display_name": word.capitalize()} for word in CHOICES[name]]
        assert fields[name] == {"type": "choice", "required": False, "read_only": False, "label": label,
                                "choices": choices}

# SPDX-License-Identifier: BSD-3-Clause
"""What cron_definition accepts and, word for word, why it refuses (contract, sections 0 and 4)."""
import pytest

PATH = "/api/v1/schedule/"
BODY = {"endpoint": "https://service.example.org/call", "enabled": False}

ACCEPTED = """
* * * * * | */5 * * * * | 0 0 1 1 * | 5,10,15 0-6 * * 1-5 | @yearly | @annually | @monthly | @weekly | @daily | @hourly
@DAILY | @Hourly | @midnight | @MIDNIGHT | 0 0 * * sun | 0 0 * * SUN-FRI | 0 0 * jan * | 0 0 * Jan-Mar,DEC * | 0 0 * * 7
0 0 * * sat-sun | 0 0 * * fri-mon | 0 22-3 * * * | 50-10 * * * * | 0 0 28-3 * * | 0 0 * nov-feb * | 0 0 ? * 1
0 0 1 * ?
0 0 L * * | 0 0 l * * | 0 0 * * L5 | 0 0 * * l1-3 | 0 0 * * fril | 0 0 * * 5L | 0 0 15W * * | 0 0 LW * * | 0 0 * * 5#2
0 0 * * fri#2 | H * * * * | H H * * * | H(0-29) * * * * | H/15 * * * * | H H(8-17) * * * | 5/15 * * * * | 0-30/7 * * * *
*/90 * * * * | 0 0 1 1 * 2099 | 0 0 1 1 * 2090-2099/3 | 30 0 0 1 1 * * | */10 * * * * * * | 00 007 * * * | 1,1,1 * * * *
0 0 31 1,3 * | 0 0 29 2 * | 0 0 30 2 1 | 0 0 13 * fri | 0 0 l,15 * * | 0 0 * * l0,l7 | 0 0 * * * 2098,2099
"""

# Reasons given with "<value> is not a valid crontab string: " in front.
COUNT = "improper number of cron entries specified; got {} need 5 to 7"
REFUSED = [
    ("x", COUNT.format(1)), ("* * * *", COUNT.format(4)), ("* * * * * * * *", COUNT.format(8)),
    ("@foo", COUNT.format(1)),
    ("@reboot", COUNT.format(1)), ("@every 5m", COUNT.format(2)), ("1 2", COUNT.format(2)),
    ("60 * * * *", "item value 60 out of range [0, 59]"), ("99 * * * *", "item value 99 out of range [0, 59]"),
    ("* 24 * * *", "item value 24 out of range [0, 23]"), ("* * 0 * *", "item value 0 out of range [1, 31]"),
    ("* * 32 * *", "item value 32 out of range [1, 31]"), ("* * * 13 *", "item value 13 out of range [1, 12]"),
    ("* * * 0 *", "item value 0 out of range [1, 12]"), ("* * * * 8", "item value 8 out of range [0, 7]"),
    ("* * * * * 1969", "item value 1969 out of range [1970, 2099]"),
    ("* * * * * 2100", "item value 2100 out of range [1970, 2099]"),
    ("60 * * * * * *", "item value 60 out of range [0, 59]"), ("* 60 * * * * *", "item value 60 out of range [0, 59]"),
    ("0-99 * * * *", "item value 99 out of range [0, 59]"), ("1,2,77 * * * *", "item value 77 out of range [0, 59]"),
    ("99 99 * * *", "item value 99 out of range [0, 59]"), ("1 99 99 * *", "item value 99 out of range [0, 23]"),
    ("-1 * * * *", "invalid range specifier: '' ('-1')"), ("1,,2 * * * *", "invalid range specifier: '' ('')"),
    (", * * * *", "invalid range specifier: '' ('')"), ("1- * * * *", "invalid range specifier: '' ('1-')"),
    ("15W * * * *", "invalid range specifier: '15w' ('15w')"), ("*-5 * * * *", "invalid range specifier: '*' ('*-5')"),
    ("FOO * * * *", "invalid range specifier: 'foo' ('foo')"),
    ("* * * foo *", "invalid range specifier: 'foo' ('foo')"),
    ("* * * * monday", "invalid range specifier: 'monday' ('monday')"),
    ("1.5 * * * *", "invalid range specifier: '1.5' ('1.5')"),
    ("x/5 * * * *", "invalid range specifier: 'x' ('x')"), ("* * jan * *", "invalid range specifier: 'jan' ('jan')"),
    ("sun * * * *", "invalid range specifier: 'sun' ('sun')"), ("** * * * *", "invalid range specifier: '**' ('**')"),
    ("*/0 * * * *", "you can only use positive increment values, you provided 0"),
    ("1-5/0 * * * *", "you can only use positive increment values, you provided 0"),
    ("*/x * * * *", "invalid literal for int() with base 10: 'x'"),
    ("*/ * * * *", "invalid literal for int() with base 10: ''"),
    ("*/1.5 * * * *", "invalid literal for int() with base 10: '1.5'"),
    ("*/2/3 * * * *", "too many values to unpack (expected 2)"),
    ("1-2-3 * * * *", "too many values to unpack (expected 2)"),
    ("? * * * *", "cannot use '?' in the 'minute' field"), ("* ? * * *", "cannot use '?' in the 'hour' field"),
    ("* * * ? *", "cannot use '?' in the 'month' field"), ("* * * * * ?", "cannot use '?' in the 'year' field"),
    ("l * * * *", "you can only specify a bare 'L' in the 'day' field"),
    ("* * * L *", "you can only specify a bare 'L' in the 'day' field"),
    ("* * * * L", "you can only specify a bare 'L' in the 'day' field"),
    ("l5 * * * *", "you can only specify a leading 'L' in the 'weekday' field"),
    ("* * L5 * *", "you can only specify a leading 'L' in the 'weekday' field"),
    ("* * * * l8", "last <day> specifier must include a day number or range in the 'weekday' field, you entered 'l8'"),
    ("* * * * lfri",
     "last <day> specifier must include a day number or range in the 'weekday' field, you entered 'lfri'"),
]


@pytest.mark.parametrize("text", [item.strip() for line in ACCEPTED.strip().splitlines() for item in line.split("|")])
def test_accepted(api, text):
    for sent in (text, f"  {text} "):
        answer = api.post(PATH, {**BODY, "cron_definition": sent})
        assert answer.status == 201, answer
        assert answer.json()["cron_definition"] == text


@pytest.mark.parametrize("text,reason", REFUSED)
def test_refused(api, text, reason):
    answer = api.post(PATH, {**BODY, "cron_definition": text})
    assert answer.status == 400, answer
    assert answer.json() == {"cron_definition": [f"{text} is not a valid crontab string: {reason}"]}


@pytest.mark.parametrize("text", ["0 0 30 2 *", "* * 30 2 *", "0 0 31 4 *", "0 0 31 2,4,6,9,11 *", "0 0 1 1 * 1999",
                                  "0 0 29 2 * 2097-2099", "0 0 30 2 ?"])
def test_what_never_occurs_is_refused(api, text):
    answer = api.post(PATH, {**BODY, "cron_definition": text})
    assert answer.status == 400, answer
    assert list(answer.json()) == ["cron_definition"]
    assert [message.endswith("never occurs") for message in answer.json()["cron_definition"]] == [True], answer


@pytest.mark.parametrize("value,messages", [
    (True, ["Not a valid string."]), ([], ["Not a valid string."]), ({}, ["Not a valid string."]),
    (5, [f"5 is not a valid crontab string: {COUNT.format(1)}"]),
    (5.5, [f"5.5 is not a valid crontab string: {COUNT.format(1)}"]),
])
def test_types(api, value, messages):
    answer = api.post(PATH, {**BODY, "cron_definition": value})
    assert (answer.status, answer.json()) == (400, {"cron_definition": messages})


@pytest.mark.parametrize("value", [None, "", "  "])
def test_none(api, value):
    answer = api.post(PATH, {**BODY, "cron_definition": value})
    assert answer.status == 201 and answer.json()["cron_definition"] in (None, "")


def test_two_messages_the_cron_one_first(api):
    text = "x " * 250 + "yy"
    answer = api.post(PATH, {**BODY, "cron_definition": text})
    assert answer.json() == {"cron_definition": [f"{text} is not a valid crontab string: {COUNT.format(251)}",
                                                 "Ensure this field has no more than 500 characters."]}


@pytest.mark.parametrize("text", ["0," * 40 + "0 * * * *", "0 0 * * * " + ",".join(["2098"] * 60),
                                  ",".join(map(str, range(60))) + " * * * *"])
def test_long_fields_are_no_crash(api, text):
    answer = api.post(PATH, {**BODY, "cron_definition": text})
    assert answer.status == 201, answer


def test_a_nul_is_refused(api):
    answer = api.post(PATH, {**BODY, "cron_definition": "* * * *\0 *"})
    assert answer.status == 400 and "Null characters are not allowed." in answer.json()["cron_definition"]


def test_patch_and_put_validate_too_and_change_nothing(api):
    made = api.create(**BODY, cron_definition="0 0 1 1 *")
    url = f"{PATH}{made['id']}/"
    for answer in (api.patch(url, {"cron_definition": "60 * * * *", "frequency": 5}),
                   api.put(url, {**BODY, "cron_definition": "60 * * * *", "frequency": 5})):
        assert answer.status == 400 and list(answer.json()) == ["cron_definition"]
    assert api.schedule(made) == made

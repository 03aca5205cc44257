# SPDX-License-Identifier: BSD-3-Clause
"""JSON torture (T33): which texts are JSON, and that a payload is stored and delivered as the bytes it came as.

Three sources of texts: the tables below, every beginning of a right text (which is wrong), and mutations of right
texts, judged by Python's own parser. A text is sent as a whole body: a parse error says so in its message, anything
else is said about a body that was understood. Then every right text is a payload, and the receiver compares bytes.
"""
import json
import random
import re
import time

from harness.client import Raw, head
from harness.receiver import Receiver
from harness.service import Service, is_sanitized
from harness.times import iso

PATH = "/api/v1/schedule/"
PARSE_ERROR = b'{"detail":"JSON parse error - '
LEVELS_MAX = 10_000         # of arrays and objects in a body
VALUES_MAX = 1_000_000
BODY_MAX = 4 << 20
DEEP = 100_000              # far beyond any limit: the refusal must not take time or stack
DEEP_MS_MAX = 5
BATCH = 200


def texts(*parts):
    return [part if isinstance(part, bytes) else part.encode() for part in parts]


# What RFC 8259 allows; the service takes it and hands it on unchanged.
RIGHT = {
    "numbers": texts("0", "-0", "1", "-1", "12345", "0.0", "-0.5", "0.10", "1e5", "1E5", "1e+05", "1E-5", "0e0", "0E+1",
                     "-0.0e-0", "1.25E+10", "18446744073709551617", "-9223372036854775809", "9" * 400,
                     "0." + "3" * 400, "123456789.000000001", "1e-999"),
    "numbers beyond a double": texts("1e400", "-1e400", "1e999999999", "1" * 310 + ".0"),
    "words": texts("true", "false", "null"),
    "plain strings": texts('""', '"a"', '" "', '"/"', "\"'\"", '"%n%s%x"', '"\x7f"', '"{}[],:"',
        '"' + "x" * 70_000 + '"'),
    "escapes": texts(*(f'"\\{c}"' for c in '"\\/bfnrt'), '"\\\\u0041"', '"\\\\\\""', '"a\\nb\\tc"', '"\\\\"',
                     '"\\u0041\\u00e9\\u20AC"', '"\\u001f\\u007f"', '"\\u0000"', '"\\u2028\\u2029"',
                     '"\\uFFFE\\uffff"'),
    "surrogate pairs": texts('"\\ud83d\\ude00"', '"\\uD800\\uDC00"', '"\\udbff\\udfff"', '"x\\ud834\\udd1ey"',
                             '"\\ud83d\\ude00\\ud83d\\ude01"', '"\\\\ud83d"'),
    "UTF-8": texts('"é"', '"\u20ac"', '"\U0001f600"', '"\u2028\u2029"', '"\ufffe"', '"\uffff"', '"\U0010ffff"',
                   '"\ud7ff\ue000"', '"\u202eright\u202c"', '"\ufeff"', '"\u0080\u009f"', '"\ufdd0"'),
    "arrays": texts("[]", "[[]]", "[ ]", "[1]", "[1,2]", "[null,true,\"\",{},[],-0]", "[[[[[[1]]]]]]", "[1,\n2]",
                    "[" + ",".join(["0"] * 5000) + "]"),
    "objects": texts("{}", "{ }", '{"a":1}', '{"a":{"b":{"c":[]}}}', '{"":0}', '{"\\u0000":0}', '{"a\\tb":0}',
                     '{"\u20ac":"x"}', '{"' + "k" * 5000 + '":null}'),
    "equal names": texts('{"a":1,"a":2}', '{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"":1,"":2}'),
    "white space": texts(" 1", "1 ", "\t\n\r 1\r\n\t ", "[ 1 , 2 ]", '{ "a" : [ \n ] , "b" :\t0 }', " [\r\n] ",
        ' "x" '),
    "what looks like something else": texts('"null"', '"1"', '"{}"', '"\\\\x"', '"// no comment"', '"NaN"',
        '{"NaN":1}'),
}

# What RFC 8259 forbids, and what it leaves open and is refused here.
WRONG = {
    "no value": texts(" ", "\t", "\n"),
    "numbers": texts("-", "+1", "01", "-01", "00", "1.", ".1", "-.1", "1.e1", "1e", "1e+", "1e-", "1E", "0x10", "1_0",
                     "1,000", "0b1", "1e1.5", "1.2.3", "--1", "1-", "1+1", "- 1", "1 .5", "0e", "1f", "012", "-0x1",
                     "\uff11", "1\u0660", "0o7", "1eE2", "1ee2", "[1 000]", "[-]", "[1.]", "[.5]", "[1e]", "2.e3"),
    "no numbers": texts("NaN", "Infinity", "-Infinity", "nan", "inf", "-NaN", "[NaN]", "[-Infinity]", "[Inf]"),
    "no words": texts("True", "TRUE", "tru", "truee", "nul", "None", "undefined", "fals", "[nul]", "[true false]",
        "yes", "truex",
                      "nulll", '"a"true', "true1"),
    "quotes": texts("'a'", '"a', 'a"', '"', "a", "`a`", "\u201ca\u201d", '["a]', '["a', '"a""b"', "['a']", "[a]",
                    '"\\"', '"a\\', '"\\\\\\"'),
    "control characters in strings": [b'"' + bytes([c]) + b'"' for c in range(0x20)],
    "control characters as blanks": [b"[" + bytes([c]) + b"1]" for c in range(0x20) if c not in b"\t\n\r"] +
                                    [b"[1]\x0c", b"\x0b1"],
    "other blanks": texts("\u00a01", "[\u2028]", "\u20031", "[1\u3000]", "\u00851", "\u20601"),
    "escapes": texts(*(f'"\\{c}"' for c in "aAvx0'e U\u00e9 \n"), '"\\u"', '"\\u1"', '"\\u12"', '"\\u123"', '"\\u12g4"',
                     '"\\u-123"', '"\\u 123"', '"\\U0041"', '"\\x41"', '"\\u{41}"', '"\\012"',
                     "\\u0022a\\u0022", "[\\n]"),
    "lone surrogates": texts('"\\ud800"', '"\\udfff"', '"\\ud800x"', '"\\udc00\\ud800"', '"\\ud800\\ud800"',
        '"\\ud800\\u0041"',
                             '"\\ud83d\\n"', '{"\\ud800":0}', '["\\uDEAD"]', '"\\ud83d \\ude00"', '"\\ud800\\\\udc00"'),
    "bytes that are not UTF-8": [b'"\xff"', b'"\xfe"', b'"\x80"', b'"\xbf"', b'"\xc3"', b'"\xe2\x82"',
        b'"\xf0\x9f\x98"', b'"a\xe9b"',
                                 b'"\xc3("', b"\xff", b"[\x80]", b'{"\xff":0}', b'"\xe2\x82"\xac'],
    "overlong UTF-8": [b'"\xc0\x80"', b'"\xc0\xaf"', b'"\xc1\xbf"', b'"\xe0\x80\xaf"', b'"\xe0\x9f\xbf"',
        b'"\xf0\x80\x80\xaf"',
                       b'"\xf0\x8f\xbf\xbf"', b"\xc0\xa2a\xc0\xa2"],
    "UTF-8 beyond Unicode": [b'"\xed\xa0\x80"', b'"\xed\xbf\xbf"', b'"\xed\xa0\xbd\xed\xb8\x80"', b'"\xf4\x90\x80\x80"',
                             b'"\xf5\x80\x80\x80"', b'"\xf8\x88\x80\x80\x80"', b'"\xfc\x84\x80\x80\x80\x80"'],
    "byte order marks": [b"\xef\xbb\xbf{}", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf1", b"{}\xef\xbb\xbf",
        b"[\xef\xbb\xbf]"],
    "UTF-16 and UTF-32": ["{}".encode("utf-16"), "[1]".encode("utf-16-le"), '"a"'.encode("utf-16-be"),
        "1".encode("utf-32")],
    "arrays": texts("[", "]", "[1", "1]", "[1,", "[,", "[,1]", "[1,]", "[1,,2]", "[,]", "[1 2]", "[1;2]", "[1:2]",
        "[[]", "[]]",
                    "[1,[2]", "(1)", "[1)", "[1}", '["a":1]', '["a" "b"]', "[[1]2]", "[]1", "[][]"),
    "objects": texts("{", "}", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a"}', '{"a",1}', '{"a" 1}', '{"a"=1}',
        '{"a":1,}', "{,}",
                     '{,"a":1}', '{"a":1,,"b":2}', '{"a":1 "b":2}', "{a:1}", "{'a':1}", "{1:1}", "{null:1}",
                     "{[]:1}", '{"a"::1}',
                     '{:1}', '{"a":1]',
                         '{"a":1}}', '{"a":}', '{"a":1:2}', '{"a":1}{}', "{{}}", "{[]}", '{"a":1;"b":2}', "{true}",
                     '{"a" b}', '{"a":x}', '{"a":"b"c}', "{}1"),
    "comments": texts("1//x", "1/**/", "/**/1", "[1/**/]", "#1", "1#x", '{"a":1/*x*/}', "// x\n1", "<!-- -->1", "/1"),
    "something behind": texts("1 2", "{} {}", "[] x", "null null", '"a" "b"', "1,", "{}]", "[]}", "1;", "{}\x00",
        "1\x00", "null\\n",
                              '"" "', '1 "'),
    "another language": texts("<a/>", "a: 1", "a=1", "- 1", "{'a'}", "$x", "%7B%7D", "&#123;", "*", "@", "~", "?",
        "!1", ";", ":", ","),
}


def right_texts():
    return [(group, text) for group, rows in RIGHT.items() for text in rows]


def wrong_texts():
    """The table, and every beginning of some right texts that is not right by itself."""
    rows = [(group, text) for group, group_rows in WRONG.items() for text in group_rows]
    for whole in texts('{"a":[1.5e+3,"\\u00e9\\n",true,null],"b":{"c":"\\ud83d\\ude00"}}', '[[],{},"x",-0.5,false]'):
        rows += [("beginnings", whole[:end]) for end in range(1, len(whole))]
    return rows


def is_json(text):
    """Python's verdict, made strict: its reader also takes NaN, lone surrogates and a byte order mark."""
    def refuse(_):
        raise ValueError("not a number")
    try:
        decoded = text.decode("utf-8")
        if decoded.startswith("\ufeff"):
            return False
        json.dumps(json.loads(decoded, parse_constant=refuse), ensure_ascii=False).encode("utf-8")
    except ValueError:
        return False
    return True


def mutations(rng, number):
    """Right and wrong texts with bytes taken out, doubled, swapped or put in."""
    seeds = [text for _, text in right_texts() + wrong_texts() if 0 < len(text) < 200]
    glue = texts(*'{}[]":,\\/eE+-.019 ntfu', "\\u", "\\ud800", "null", '""', b"\x00", b"\xc3", b"\xff", "\u20ac")
    for _ in range(number):
        text = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            at, length = rng.randint(0, len(text)), rng.randint(0, 3)
            piece = rng.choice([b"", bytes(text[at:at + length]) * 2, rng.choice(glue), rng.choice(seeds)[:12],
                                bytes([rng.randrange(256)])])
            text[at:at + length] = piece
        yield bytes(text)


def request(token, text):
    return head("POST", PATH, [("Host", "x"), ("Authorization", f"Token {token}"), ("Content-Type", "application/json"),
                               ("Content-Length", len(text))]) + text


def judge_bodies(verdict, service, token, rows):
    """Sends each text as a whole body. `rows` are (name, text, is it JSON?)."""
    for start in range(0, len(rows), BATCH):
        batch = rows[start:start + BATCH]
        with Raw(service.address) as raw:
            for name, text, is_right in batch:
                raw.send(request(token, text))
                answer = raw.read()
                is_taken = not answer.body.startswith(PARSE_ERROR)
                verdict.count("right texts" if is_right else "wrong texts")
                verdict.expect(answer.status == 400, f"{name}: {text[:80]!r} was answered {answer.status}")
                verdict.expect(is_taken == is_right, f"{name}: {text[:80]!r} was {'taken' if is_taken else 'refused'}")


def schedule_body(url, payload, more=b""):
    return b'{"endpoint":"%s",%s"payload":%s}' % (url.encode(), more, payload)


def value_of(text):
    """What a text means, with the digits of its numbers and all of its equal names."""
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=lambda pairs: ("object", pairs))


def judge_payloads(verdict, service, token, receiver):
    """Every right text is a payload: the answer shows its value (compact), and the receiver gets its bytes."""
    rows, shown = right_texts(), re.compile(rb'"payload":(.*),"auth_token":', re.S)
    due = b'"next_send_at":"%s",' % iso(time.time() - 1).encode()
    with Raw(service.address) as raw:
        for number, (group, text) in enumerate(rows):
            raw.send(request(token, schedule_body(receiver.url(f"/{number}"), text, due)))
            answer = raw.read()
            verdict.count("payloads")
            if verdict.expect(answer.status == 201, f"payload of {group}: {text[:80]!r}: {answer!r}"):
                verdict.expect(value_of(shown.search(answer.body).group(1)) == value_of(text),
                               f"payload of {group}: {text[:80]!r} is shown as {answer.body[:300]!r}")
    arrived = {}
    for delivery in receiver.wait_for(len(rows), timeout=60):
        arrived[int(delivery.path[1:])] = delivery.body
    for number, (group, text) in enumerate(rows):
        verdict.count("deliveries")
        verdict.expect(arrived.get(number) == text.strip(b" \t\r\n"),
                       f"delivered of {group}: {arrived.get(number, b'nothing')[:80]!r} instead of {text[:80]!r}")


def nested(levels):
    return b"[" * levels + b"]" * levels


# A payload stands one level deep in the body.
LIMITS = [
    ("the deepest payload", nested(LEVELS_MAX - 1), 201),
    ("one level more", nested(LEVELS_MAX), 400),
    ("the deepest objects", b'{"a":' * (LEVELS_MAX - 1) + b"1" + b"}" * (LEVELS_MAX - 1), 201),
    ("one object more", b'{"a":' * LEVELS_MAX + b"1" + b"}" * LEVELS_MAX, 400),
    ("brackets without end", b"[" * DEEP, 400),
    ("braces without end", b'{"":' * DEEP, 400),
    ("as many values as there may be", b"[" + b",".join([b"0"] * (VALUES_MAX - 5)) + b"]", 201),
    ("more values", b"[" + b",".join([b"0"] * VALUES_MAX) + b"]", 400),
    ("a string of four megabytes", b'"' + b"x" * (BODY_MAX - 100) + b'"', 201),
]

# Names that the API itself knows: the last of equal ones counts, as with the original (contract, section 1).
EQUAL_NAMES = (b'{"endpoint":5,"endpoint":"http://example.org/","enabled":true,"enabled":false,'
               b'"frequency":"x","frequency":7}')


def judge_limits(verdict, service, token):
    with Raw(service.address, timeout=60) as raw:
        for name, payload, status in LIMITS:
            raw.send(request(token, schedule_body("http://example.org/", payload, b'"enabled":false,')))
            answer = raw.read()
            verdict.count("limits")
            verdict.expect(answer.status == status,
                f"{name}: {answer.status} instead of {status}: {answer.body[:200]!r}")
        raw.send(request(token, EQUAL_NAMES))
        answer = raw.read()
        verdict.expect(answer.status == 201 and answer.json()["frequency"] == 7, f"equal names of the API: {answer!r}")
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            raw.send(request(token, b"[" * DEEP))
            verdict.expect(raw.read().status == 400, "brackets without end are no longer refused")
            times.append(1000 * (time.perf_counter() - begun))
    verdict.found["deep_refused_ms"] = round(min(times), 2)
    verdict.expect(min(times) <= DEEP_MS_MAX or is_sanitized(), f"{DEEP} brackets took {min(times):.1f} ms")


def run(verdict, budget, seed):
    rng = random.Random(seed)
    rows = [(group, text, True) for group, text in right_texts()]
    rows += [(group, text, False) for group, text in wrong_texts()]
    for name, text, is_right in rows:
        verdict.expect(is_json(text) == is_right, f"{name}: {text[:80]!r} should be {is_right}, says the other parser")
    rows += [("mutation", text, is_json(text)) for text in mutations(rng, budget) if text]
    with Receiver() as receiver, Service() as service:
        token = service.create_user("json")
        service.start()
        verdict.say(f"{len(rows)} texts as bodies")
        judge_bodies(verdict, service, token, rows)
        verdict.say(f"{len(right_texts())} payloads to a receiver")
        judge_payloads(verdict, service, token, receiver)
        verdict.say("limits of depth, number and size")
        judge_limits(verdict, service, token)
    verdict.least("right texts", 95)
    verdict.least("wrong texts", 188 + 35)
    verdict.least("deliveries", 90)

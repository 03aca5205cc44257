# SPDX-License-Identifier: BSD-3-Clause
"""Framing and request smuggling (T34): each payload is served as RFC 9112 says or refused and the connection closed.

Where a request ends is the question that a proxy and a service must never answer differently. So every payload here
carries a second request in its body or behind it, and the verdict says how many answers there are and which. Then each
is cut in two at every offset, and the verdict has to be the same. What tests/api/test_framing.py lists is cut as well.
"""
import json
import random
import socket
import threading

from api.test_framing import APT, BODY, MALFORMED
from harness.client import Raw
from harness.service import Service

NEXT = b"GET /api/v1/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"     # without credentials: an answer to it is 401
CHUNKED = b"Transfer-Encoding: chunked\r\n"
WHOLE = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
CUTS_AT_ONCE = 48

# What may happen to a payload: the statuses of the answers, in order, and whether the connection is open afterwards.
REFUSED = ("refused",)                  # one answer of the statuses in APT, and the end
CREATED, SERVED = (201, 401), (200, 401)    # the first request is one, and the second is another
TAKEN = (201,)                          # the second request is the body of the first, or nothing


def post(lines, rest=b"", version=b"HTTP/1.1", host=b"Host: x\r\n"):
    top = b"POST /api/v1/schedule/ " + version + b"\r\n" + host + b"AUTHContent-Type: application/json\r\n"
    return top + lines + b"\r\n" + rest


def get(lines=b"", rest=NEXT, first=b"GET /api/health/ HTTP/1.1\r\n", host=b"Host: x\r\n"):
    return first + host + b"AUTH" + lines + b"\r\n" + rest


def length(number):
    return b"Content-Length: %d\r\n" % number


def coded(line, rest=WHOLE + NEXT):
    """A chunked body behind some spelling of Transfer-Encoding."""
    return post(line, rest)


def chunks(rest):
    return post(CHUNKED, rest + NEXT)


# Two lengths: each side of a proxy could believe another one.
TWO_LENGTHS = {
    "CL.TE: length covers all, chunks end early":
        (post(length(len(b"0\r\n\r\n" + NEXT)) + CHUNKED, b"0\r\n\r\n" + NEXT), REFUSED),
    "TE.CL: chunks cover all, length ends early":
        (post(CHUNKED + length(4), b"%x\r\n%s\r\n0\r\n\r\n" % (len(NEXT), NEXT)), REFUSED),
    "TE.0: chunks beside length 0": (post(CHUNKED + length(0), WHOLE + NEXT), REFUSED),
    "CL.0: a length on a GET": (get(length(len(NEXT)), NEXT + NEXT), SERVED),
    "0.CL: length 0 and a body": (post(length(0), NEXT), (400, 401)),
    "CL.CL: two lengths, short one first": (post(length(0) + length(len(NEXT)), NEXT), REFUSED),
    "CL.CL: two lengths, long one first": (post(length(len(NEXT)) + length(0), NEXT), REFUSED),
    "CL.CL: three equal lengths": (post(length(len(BODY)) * 3, BODY + NEXT), REFUSED),
    "CL.CL: in another case": (post(length(len(BODY)) + b"content-length: 0\r\n", BODY + NEXT), REFUSED),
    "a length in 1.0 beside chunks": (post(length(len(BODY)) + CHUNKED, BODY + NEXT, b"HTTP/1.0"), REFUSED),
    "chunks beside a bad length": (post(CHUNKED + b"Content-Length: x\r\n", WHOLE + NEXT), REFUSED),
    "chunks beside an empty length": (post(CHUNKED + b"Content-Length:\r\n", WHOLE + NEXT), REFUSED),
}

# TE.TE: one side takes the coding for chunked, the other does not.
SPELLINGS = {
    "chunked in another case": (coded(b"tRANSFER-eNCODING: cHUNKED\r\n"), CREATED),
    "blanks around": (coded(b"Transfer-Encoding:  chunked  \r\n"), CREATED),
    "tabs around": (coded(b"Transfer-Encoding:\tchunked\t\r\n"), REFUSED),
    "no blank": (coded(b"Transfer-Encoding:chunked\r\n"), CREATED),
    "comma before": (coded(b"Transfer-Encoding: ,chunked\r\n"), REFUSED),
    "comma behind": (coded(b"Transfer-Encoding: chunked,\r\n"), REFUSED),
    "a parameter": (coded(b"Transfer-Encoding: chunked;q=1\r\n"), REFUSED),
    "a blank within": (coded(b"Transfer-Encoding: chun ked\r\n"), REFUSED),
    "form feed before": (coded(b"Transfer-Encoding: \x0cchunked\r\n"), REFUSED),
    "NUL behind": (coded(b"Transfer-Encoding: chunked\x00\r\n"), REFUSED),
    "no-break space": (coded(b"Transfer-Encoding: \xa0chunked\r\n"), REFUSED),
    "name with a blank": (coded(b"Transfer-Encoding : chunked\r\n"), REFUSED),
    "name with a blank before": (coded(b" Transfer-Encoding: chunked\r\n"), REFUSED),
    "name with an underscore": (coded(b"Transfer_Encoding: chunked\r\n" + length(len(BODY)), BODY + NEXT), CREATED),
    "name with a control character": (coded(b"Transfer-Encoding\x08: chunked\r\n"), REFUSED),
    "hidden behind a bare LF": (coded(b"X-A: b\nTransfer-Encoding: chunked\r\n"), REFUSED),
    "hidden behind a bare CR": (coded(b"X-A: b\rTransfer-Encoding: chunked\r\n"), REFUSED),
    "hidden in a fold": (coded(b"X-A: b\r\n Transfer-Encoding: chunked\r\n"), REFUSED),
    "folded value": (coded(b"Transfer-Encoding:\r\n chunked\r\n"), REFUSED),
    "second header identity": (coded(CHUNKED + b"Transfer-Encoding: identity\r\n"), REFUSED),
    "first header identity": (coded(b"Transfer-Encoding: identity\r\n" + CHUNKED), REFUSED),
    "deflate": (coded(b"Transfer-Encoding: deflate\r\n"), REFUSED),
    "compress": (coded(b"Transfer-Encoding: compress\r\n"), REFUSED),
    "trailers": (coded(b"Transfer-Encoding: trailers\r\n"), REFUSED),
    "in quotes": (coded(b"Transfer-Encoding: 'chunked'\r\n"), REFUSED),
    "long s in the word": (coded("Transfer-Encoding: chunked\u017f\r\n".encode()), REFUSED),
    "Kelvin sign in the word": (coded("Transfer-Encoding: chun\u212aed\r\n".encode()), REFUSED),
    "TE is no coding": (coded(b"TE: chunked\r\n" + length(len(BODY)), BODY + NEXT), CREATED),
    "Content-Encoding is no coding of the message":
        (coded(b"Content-Encoding: chunked\r\n" + length(len(BODY)), BODY + NEXT), CREATED),
    "a GET with chunks": (get(CHUNKED, b"0\r\n\r\n" + NEXT), SERVED),
    "in 1.0 with keep-alive": (post(CHUNKED + b"Connection: keep-alive\r\n", WHOLE + NEXT, b"HTTP/1.0"), REFUSED),
}

CHUNKS = {
    "sizes in either case": (chunks(b"%X;a\r\n%s\r\n000\r\n\r\n" % (len(BODY), BODY)), CREATED),
    "sixteen digits": (chunks(b"%016x\r\n%s\r\n0000000000000000\r\n\r\n" % (len(BODY), BODY)), CREATED),
    "seventeen zeros": (chunks(b"%017x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "the last chunk with seventeen zeros": (chunks(b"%x\r\n%s\r\n%s\r\n\r\n" % (len(BODY), BODY, b"0" * 17)), REFUSED),
    "an extension in quotes": (chunks(b'%x;a="b;c"\r\n%s\r\n0;x=y\r\n\r\n' % (len(BODY), BODY)), CREATED),
    "NUL in an extension": (chunks(b"%x;a\x00\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "CR in an extension": (chunks(b"%x;a\rb\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "an extension ended by LF": (chunks(b"%x;a\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "blank behind the size": (chunks(b"%x \r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "tab behind the size": (chunks(b"%x\t\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "size of letters beyond f": (chunks(b"g\r\n%s\r\n0\r\n\r\n" % BODY), REFUSED),
    "size with h": (chunks(b"%xh\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "size in full-width digits": (chunks("\uff11\r\nx\r\n0\r\n\r\n".encode()), REFUSED),
    "size 2^64 - 1": (chunks(b"ffffffffffffffff\r\n%s\r\n0\r\n\r\n" % BODY), REFUSED),
    "size 2^63": (chunks(b"8000000000000000\r\n%s\r\n0\r\n\r\n" % BODY), REFUSED),
    "size too small by one": (chunks(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY) - 1, BODY)), REFUSED),
    "size too large by two": (chunks(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY) + 2, BODY)), REFUSED),
    "data ended by CR": (chunks(b"%x\r\n%s\r0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "data ended by LF CR": (chunks(b"%x\r\n%s\n\r0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "an empty line before the size": (chunks(b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "the last chunk ended by LF": (chunks(b"%x\r\n%s\r\n0\n\r\n" % (len(BODY), BODY)), REFUSED),
    "the end ended by LF": (chunks(b"%x\r\n%s\r\n0\r\n\n" % (len(BODY), BODY)), REFUSED),
    "a trailer": (chunks(b"%x\r\n%s\r\n0\r\nX-A: b\r\n\r\n" % (len(BODY), BODY)), CREATED),
    "a trailer that is a length": (chunks(b"%x\r\n%s\r\n0\r\nContent-Length: 5\r\n\r\n" % (len(BODY), BODY)), CREATED),
    "a trailer that is a coding":
        (chunks(b"%x\r\n%s\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "a trailer with a blank before the colon":
        (chunks(b"%x\r\n%s\r\n0\r\nX-A : b\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "a trailer that is folded": (chunks(b"%x\r\n%s\r\n0\r\nX-A: b\r\n c\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "a trailer without a name": (chunks(b"%x\r\n%s\r\n0\r\n: b\r\n\r\n" % (len(BODY), BODY)), REFUSED),
    "a trailer ended by LF": (chunks(b"%x\r\n%s\r\n0\r\nX-A: b\n\r\n" % (len(BODY), BODY)), REFUSED),
    "the next request for a trailer": (chunks(b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)), REFUSED),
    "trailers without end": (chunks(b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(BODY), BODY, b"X-A: b\r\n" * 5000)), REFUSED),
    "extensions without end": (chunks(b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(BODY), b"a" * 40_000, BODY)), REFUSED),
}

LENGTHS = {
    "leading zeros": (post(b"Content-Length: 000%d\r\n" % len(BODY), BODY + NEXT), CREATED),
    "a length and a letter": (post(b"Content-Length: %dx\r\n" % len(BODY), BODY + NEXT), REFUSED),
    "a length and a NUL": (post(b"Content-Length: %d\x00\r\n" % len(BODY), BODY + NEXT), REFUSED),
    "a length with a point": (post(b"Content-Length: %d.\r\n" % len(BODY), BODY + NEXT), REFUSED),
    "an underscore": (post(b"Content-Length: 1_0\r\n", BODY + NEXT), REFUSED),
    "minus zero": (post(b"Content-Length: -0\r\n", NEXT), REFUSED),
    "full-width digits": (post("Content-Length: \uff11\uff10\r\n".encode(), BODY + NEXT), REFUSED),
    "a comma behind": (post(b"Content-Length: %d,\r\n" % len(BODY), BODY + NEXT), REFUSED),
    "folded": (post(b"Content-Length:\r\n %d\r\n" % len(BODY), BODY + NEXT), REFUSED),
    "behind a bare LF": (post(b"X-A: b\nContent-Length: %d\r\n" % len(BODY), BODY + NEXT), REFUSED),
    "name with an underscore": (post(b"Content_Length: 9\r\n" + length(len(BODY)), BODY + NEXT), CREATED),
    "2^63": (post(b"Content-Length: 9223372036854775808\r\n", BODY + NEXT), REFUSED),
    "2^64": (post(b"Content-Length: 18446744073709551616\r\n", BODY + NEXT), REFUSED),
    "exponent": (post(b"Content-Length: 1e2\r\n", BODY + NEXT), REFUSED),
}

EXPECTATIONS = {
    "Expect with the body behind it": (post(length(len(BODY)) + b"Expect: 100-continue\r\n", BODY + NEXT), CREATED),
    "Expect on a GET": (get(b"Expect: 100-continue\r\n"), SERVED),
    "Expect and a length on a GET": (get(b"Expect: 100-continue\r\n" + length(len(NEXT)), NEXT + NEXT), SERVED),
    "Expect twice": (post(length(len(BODY)) + b"Expect: 100-continue\r\n" * 2, BODY + NEXT), CREATED),
    "an obscured Expect": (post(length(len(BODY)) + b"Expect: y 100-continue\r\n", BODY + NEXT), REFUSED),
    "another Expect": (post(length(len(BODY)) + b"Expect: 200-ok\r\n", BODY + NEXT), REFUSED),
    "Expect in 1.0":
        (post(length(len(BODY)) + b"Expect: 100-continue\r\nConnection: keep-alive\r\n", BODY + NEXT, b"HTTP/1.0"),
            CREATED),
    "Upgrade to h2c":
        (get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"),
            SERVED),
    "Upgrade with a body":
        (post(b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + length(len(BODY)), BODY + NEXT), CREATED),
    "Connection names the length": (post(b"Connection: Content-Length\r\n" + length(len(BODY)), BODY + NEXT), CREATED),
    "Connection names the coding": (post(b"Connection: Transfer-Encoding\r\n" + CHUNKED, WHOLE + NEXT), CREATED),
    "Connection: close among others": (get(b"Connection: keep-alive, close\r\n"), (200, "closed")),
}

LINES = {
    "absolute form": (get(first=b"GET http://other/api/health/ HTTP/1.1\r\n"), SERVED),
    "absolute form with userinfo": (get(first=b"GET http://u@x/api/health/ HTTP/1.1\r\n"), REFUSED),
    "absolute form of another scheme": (get(first=b"GET ftp://x/api/health/ HTTP/1.1\r\n"), REFUSED),
    "asterisk form": (get(first=b"OPTIONS * HTTP/1.1\r\n"), REFUSED),
    "two slashes": (get(first=b"GET //api/health/ HTTP/1.1\r\n"), (404, 401)),
    "a fragment": (get(first=b"GET /api/health/#x HTTP/1.1\r\n"), REFUSED),
    "high octets in the target": (get(first=b"GET /api/health/\xff HTTP/1.1\r\n"), REFUSED),
    "TRACE": (get(first=b"TRACE /api/health/ HTTP/1.1\r\n"), (405, 401)),
    "method in lower case": (get(first=b"get /api/health/ HTTP/1.1\r\n"), (405, 401)),
    "method of 33 letters": (get(first=b"G" * 33 + b" /api/health/ HTTP/1.1\r\n"), REFUSED),
    "an empty line before": (b"\r\n" + get(), SERVED),
    "two empty lines before": (b"\r\n\r\n" + get(), REFUSED),
    "LF before": (b"\n" + get(), REFUSED),
    "HTTP/1.1 in full-width digits": (get(first="GET /api/health/ HTTP/\uff11.1\r\n".encode()), REFUSED),
    "version with a leading zero": (get(first=b"GET /api/health/ HTTP/01.1\r\n"), REFUSED),
    "HTTP/3.0": (get(first=b"GET /api/health/ HTTP/3.0\r\n"), REFUSED),
    "1.0 without Host": (get(b"Connection: keep-alive\r\n", first=b"GET /api/health/ HTTP/1.0\r\n", host=b""), SERVED),
    "empty Host": (get(host=b"Host:\r\n"), REFUSED),
    "Host with a path": (get(host=b"Host: x/y\r\n"), REFUSED),
    "Host with userinfo": (get(host=b"Host: u@x\r\n"), REFUSED),
    "Host with two ports": (get(host=b"Host: x:1:2\r\n"), REFUSED),
    "Host with a port beyond 65535": (get(host=b"Host: x:65536\r\n"), REFUSED),
    "two Host in a list": (get(host=b"Host: x, y\r\n"), REFUSED),
    "Host folded": (get(host=b"Host:\r\n x\r\n"), REFUSED),
    "Host beside a blank one": (get(host=b"Host: x\r\nHost:\r\n"), REFUSED),
    "name of high octets": (get("\u00e9: b\r\n".encode()), REFUSED),
    "name in quotes": (get(b'"X": b\r\n'), REFUSED),
    "only a colon": (get(b":\r\n"), REFUSED),
    "only a CR in a line": (get(b"\r\r\n"), REFUSED),
    "DEL in a value": (get(b"X-A: \x7f\r\n"), REFUSED),
    "vertical tab in a value": (get(b"X-A: a\x0bb\r\n"), REFUSED),
    "escape in a value": (get(b"X-A: \x1b[2J\r\n"), REFUSED),
    "CR at the end of a value": (get(b"X-A: b\r\r\n"), REFUSED),
    "CR CR LF at the end of the head": (get()[:-len(NEXT) - 2] + b"\r\r\n" + NEXT, REFUSED),
}

GROUPS = {"two lengths": TWO_LENGTHS, "coding": SPELLINGS, "chunks": CHUNKS, "length": LENGTHS,
    "expectation": EXPECTATIONS,
          "line": LINES}


def payloads(token):
    """(name, bytes, verdict) of all; those of the api suite as well, whose builders take the header with the token."""
    header = b"Authorization: Token " + token.encode() + b"\r\n"
    rows = [(f"{group}: {name}", data.replace(b"AUTH", header, 1), expected)
            for group, table in GROUPS.items() for name, (data, expected) in table.items()]
    rows += [(f"api suite: {name}", build(header) + NEXT, REFUSED) for name, build in MALFORMED.items()]
    assert len({name for name, _, _ in rows}) == len(rows)
    return rows


def read_all(raw):
    """The statuses of all answers (100 aside), and "closed" when the end came after them. The last request of every
    payload is NEXT, so 401 is the sign that nothing more is to come."""
    statuses = []
    try:
        while True:
            status = raw.read().status
            if status == 100:
                continue
            statuses.append(status)
            if status == 401:
                raw.socket.settimeout(0.02)
    except EOFError:
        statuses.append("closed")
    except (TimeoutError, socket.timeout):
        pass
    except ConnectionResetError:
        statuses.append("reset")
    return tuple(statuses)


def is_right(statuses, expected):
    if expected == REFUSED:
        return len(statuses) == 2 and statuses[0] in APT | {404, 405, 417} and statuses[1] == "closed"
    return statuses == expected


def judge(verdict, name, statuses, expected):
    verdict.expect(is_right(statuses, expected), f"{name}: {statuses} instead of {expected}")


def judge_whole(verdict, service, rows):
    for name, data, expected in rows:
        with Raw(service.address, timeout=15) as raw:
            raw.send_quietly(data)
            judge(verdict, name, read_all(raw), expected)
        verdict.count("payloads")


def cut_offsets(rng, data, cuts):
    """All offsets, or as many of them as are to be tried."""
    offsets = range(1, len(data))
    return list(offsets) if len(offsets) <= cuts else sorted(rng.sample(offsets, cuts))


def judge_cut(verdict, service, row, offsets, witness):
    """First halves on many connections, a whole exchange on another so that they have been read, then the others."""
    name, data, expected = row
    for start in range(0, len(offsets), CUTS_AT_ONCE):
        batch = offsets[start:start + CUTS_AT_ONCE]
        raws = [Raw(service.address, timeout=15) for _ in batch]
        try:
            for raw, offset in zip(raws, batch):
                raw.send_quietly(data[:offset])
            witness.send(NEXT)
            witness.read()
            for raw, offset in zip(raws, batch):
                raw.send_quietly(data[offset:])
            for raw, offset in zip(raws, batch):
                judge(verdict, f"{name}, cut at {offset}", read_all(raw), expected)
                verdict.count("cuts")
        finally:
            for raw in raws:
                raw.close()


def judge_byte_by_byte(verdict, service, rows):
    """All payloads at once, each a byte at a time."""
    def one(row):
        name, data, expected = row
        with Raw(service.address, timeout=30) as raw:
            for at in range(len(data)):
                raw.send_quietly(data[at:at + 1])
            judge(verdict, f"{name}, byte by byte", read_all(raw), expected)
            verdict.count("byte by byte")
    threads = [threading.Thread(target=one, args=(row,)) for row in rows if len(row[1]) < 2000]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(verdict, budget, seed):
    """`budget`: at how many offsets each payload is cut."""
    rng = random.Random(seed)
    with Service() as service:
        token = service.create_user("framing")
        service.start()
        rows = payloads(token)
        verdict.say(f"{len(rows)} payloads")
        judge_whole(verdict, service, rows)
        verdict.say(f"each cut at up to {budget} offsets")
        with Raw(service.address) as witness:
            for row in rows:
                judge_cut(verdict, service, row, cut_offsets(rng, row[1],
                    budget if len(row[1]) < 5000 else budget // 10 + 1), witness)
        verdict.say("byte by byte")
        judge_byte_by_byte(verdict, service, rows if budget > 100 else rows[::4])
        made = service.api(token).get("/api/v1/schedule/?limit=1").json()
        verdict.found["schedules_made"] = made["count"]
        verdict.expect(all(json.loads(BODY)["endpoint"] == row["endpoint"] for row in made["results"]),
            "a body was not the one sent")
    verdict.least("payloads", 72 + len(MALFORMED))
    verdict.least("cuts", min(budget, 10) * len(rows) // 2)

# SPDX-License-Identifier: BSD-3-Clause
"""Framing: what is malformed is refused and the connection closed; what is well formed works however it is split.

Behind every malformed request a good one follows in the same packet: an answer to it would mean that the service and a
proxy in front of it could disagree about where a request ends.
"""
import json

import pytest

from harness.client import Raw, head

APT = {400, 413, 414, 431, 501, 505}
BODY = json.dumps({"endpoint": "http://example.org/", "enabled": False}).encode()
GET = "/api/health/"
POST = "/api/v1/schedule/"


@pytest.fixture(scope="module")
def auth(api):
    return b"Authorization: Token " + api.token.encode() + b"\r\n"


def get(lines=b"Host: x\r\n", first=b"GET /api/health/ HTTP/1.1\r\n"):
    return lambda auth: first + lines + auth + b"\r\n"


def post(lines, body=BODY, version=b"HTTP/1.1"):
    top = b"POST /api/v1/schedule/ " + version + b"\r\nHost: x\r\nContent-Type: application/json\r\n" + lines
    return lambda auth: top + auth + b"\r\n" + body


def length(text):
    return post(b"Content-Length: " + text + b"\r\n")


def chunks(data):
    return post(b"Transfer-Encoding: chunked\r\n", data)


CL = b"Content-Length: %d\r\n" % len(BODY)
TE = b"Transfer-Encoding: chunked\r\n"
SIZE = b"%x" % len(BODY)
WHOLE = SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n"

MALFORMED = {
    "bare LF everywhere": lambda auth: get()(auth).replace(b"\r\n", b"\n"),
    "bare LF after the first line": lambda auth: get()(auth).replace(b"\r\n", b"\n", 1),
    "bare LF after a header": get(b"Host: x\nX-A: b\r\n"),
    "bare LF at the end of the head": lambda auth: get()(auth)[:-2] + b"\n",
    "folded header (blank)": get(b"Host: x\r\nX-A: b\r\n c\r\n"),
    "folded header (tab)": get(b"Host: x\r\nX-A: b\r\n\tc\r\n"),
    "blank before the colon": get(b"Host: x\r\nX-A : b\r\n"),
    "tab before the colon": get(b"Host: x\r\nX-A\t: b\r\n"),
    "blank before the colon of Host": get(b"Host : x\r\n"),
    "blank before the colon of Content-Length": post(CL.replace(b":", b" :")),
    "Content-Length twice, same": post(CL + CL),
    "Content-Length twice, different": post(CL + b"Content-Length: 3\r\n"),
    "Content-Length with Transfer-Encoding": post(CL + TE, WHOLE),
    "Transfer-Encoding with Content-Length": post(TE + b"Content-Length: 5\r\n", WHOLE),
    "Content-Length +n": length(b"+%d" % len(BODY)),
    "Content-Length 0x": length(b"0x" + SIZE),
    "Content-Length n,n": length(b"%d,%d" % (len(BODY), len(BODY))),
    "Content-Length n, n": length(b"%d, %d" % (len(BODY), len(BODY))),
    "Content-Length -1": length(b"-1"),
    "Content-Length empty": length(b""),
    "Content-Length huge": length(b"9" * 30),
    "Content-Length 2^64 + n": length(b"%d" % (2 ** 64 + len(BODY))),
    "Content-Length 1e1": length(b"1e1"),
    "Content-Length 1.0": length(b"1.0"),
    "Content-Length with a blank": length(b"1 2"),
    "Content-Length of letters": length(b"abc"),
    "Transfer-Encoding twice": post(TE + TE, WHOLE),
    "Transfer-Encoding chunked, chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", WHOLE),
    "Transfer-Encoding in 1.0": post(TE, WHOLE, b"HTTP/1.0"),
    "Transfer-Encoding identity": post(b"Transfer-Encoding: identity\r\n"),
    "Transfer-Encoding gzip": post(b"Transfer-Encoding: gzip\r\n", WHOLE),
    "Transfer-Encoding xchunked": post(b"Transfer-Encoding: xchunked\r\n", WHOLE),
    "Transfer-Encoding chunked, identity": post(b"Transfer-Encoding: chunked, identity\r\n", WHOLE),
    "Transfer-Encoding gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", WHOLE),
    "Transfer-Encoding quoted": post(b'Transfer-Encoding: "chunked"\r\n', WHOLE),
    "Transfer-Encoding empty": post(b"Transfer-Encoding: \r\n", WHOLE),
    "Transfer-Encoding with a control character": post(b"Transfer-Encoding: \x0bchunked\r\n", WHOLE),
    "chunk size 0x": chunks(b"0x" + WHOLE),
    "chunk size +": chunks(b"+" + WHOLE),
    "chunk size -": chunks(b"-" + WHOLE),
    "chunk size blank before": chunks(b" " + WHOLE),
    "chunk size only a blank": chunks(b" \r\n" + WHOLE),
    "chunk size empty": chunks(b"\r\n" + WHOLE),
    "chunk size of 17 digits": chunks(b"0" * 0 + b"1" * 17 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size 2^64 + n": chunks(b"1" + b"0" * (16 - len(SIZE)) + WHOLE),
    "chunk size with an underscore": chunks(b"0_" + WHOLE),
    "chunk size ended by LF only": chunks(SIZE + b"\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk data ended by LF only": chunks(SIZE + b"\r\n" + BODY + b"\n0\r\n\r\n"),
    "chunk data too long": chunks(SIZE + b"\r\n" + BODY + b"xx\r\n0\r\n\r\n"),
    "chunk size not hexadecimal": chunks(b"xyz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "LF in a chunk extension": chunks(SIZE + b";a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "two Host": get(b"Host: x\r\nHost: x\r\n"),
    "two different Host": get(b"Host: x\r\nhost: y\r\n"),
    "no Host": get(b""),
    "HTTP/1.10": get(first=b"GET /api/health/ HTTP/1.10\r\n"),
    "HTTP/2.0": get(first=b"GET /api/health/ HTTP/2.0\r\n"),
    "HTTP/9.9": get(first=b"GET /api/health/ HTTP/9.9\r\n"),
    "HTTP/0.9": get(first=b"GET /api/health/ HTTP/0.9\r\n"),
    "HTTP/1.2": get(first=b"GET /api/health/ HTTP/1.2\r\n"),
    "HTTP/1": get(first=b"GET /api/health/ HTTP/1\r\n"),
    "version in lower case": get(first=b"GET /api/health/ http/1.1\r\n"),
    "another protocol": get(first=b"GET /api/health/ RTSP/1.0\r\n"),
    "no version": get(first=b"GET /api/health/\r\n"),
    "HTTP/2 preface": lambda auth: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS hello": lambda auth: bytes.fromhex("16030100c8010000c40303") + b"\x00" * 190,
    "NUL in a value": get(b"Host: x\r\nX-A: a\x00b\r\n"),
    "CR in a value": get(b"Host: x\r\nX-A: a\rb\r\n"),
    "control character in a value": get(b"Host: x\r\nX-A: a\x01b\r\n"),
    "NUL in the target": get(first=b"GET /api/\x00health/ HTTP/1.1\r\n"),
    "CR in the target": get(first=b"GET /api/\rhealth/ HTTP/1.1\r\n"),
    "control character in the target": get(first=b"GET /api/\x01health/ HTTP/1.1\r\n"),
    "blank in the target": get(first=b"GET /api/health/ x HTTP/1.1\r\n"),
    "two blanks after the method": get(first=b"GET  /api/health/ HTTP/1.1\r\n"),
    "tab after the method": get(first=b"GET\t/api/health/ HTTP/1.1\r\n"),
    "blank before the version twice": get(first=b"GET /api/health/  HTTP/1.1\r\n"),
    "blank after the version": get(first=b"GET /api/health/ HTTP/1.1 \r\n"),
    "target without a slash": get(first=b"GET api/health/ HTTP/1.1\r\n"),
    "brackets in a name": get(b"Host: x\r\nX[A]: b\r\n"),
    "parentheses in a name": get(b"Host: x\r\nX(A): b\r\n"),
    "blank in a name": get(b"Host: x\r\nX A: b\r\n"),
    "control character in a name": get(b"Host: x\r\nX\x01A: b\r\n"),
    "DEL in a name": get(b"Host: x\r\nX\x7fA: b\r\n"),
    "high octet in a name": get(b"Host: x\r\nX\xe9A: b\r\n"),
    "NUL in a name": get(b"Host: x\r\nX\x00A: b\r\n"),
    "empty name": get(b"Host: x\r\n: b\r\n"),
    "no colon": get(b"Host: x\r\ngarbage\r\n"),
    "method with @": get(first=b"G@T /api/health/ HTTP/1.1\r\n"),
    "method with a bracket": get(first=b"GET( /api/health/ HTTP/1.1\r\n"),
    "blank before the method": get(first=b" GET /api/health/ HTTP/1.1\r\n"),
    "blank before the first header": get(b" Host: x\r\n"),
    "tab before the first header": get(b"\tX-A: b\r\nHost: x\r\n"),
    "100 KB in one header": get(b"Host: x\r\nX-A: " + b"a" * 100_000 + b"\r\n"),
    "100 KB in the target": get(first=b"GET /api/health/?" + b"a" * 100_000 + b" HTTP/1.1\r\n"),
    "100 KB of a name": get(b"Host: x\r\n" + b"a" * 100_000 + b": b\r\n"),
    "2,000 headers": get(b"Host: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(2000))),
    "CONNECT": get(first=b"CONNECT example.org:80 HTTP/1.1\r\n"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_framing_is_refused_and_the_connection_closed(service, auth, name):
    bad = MALFORMED[name](auth)
    good = b"GET /api/v1/?second HTTP/1.1\r\nHost: x\r\n" + auth + b"\r\n"
    with Raw(service.address, timeout=10) as raw:
        raw.send_quietly(bad + good)
        answer = raw.read()
        if name == "CONNECT":
            assert answer.status in APT | {404, 405}, answer
            return
        assert answer.status in APT, answer
        assert raw.rest() == b""


def test_the_good_forms_beside_the_bad_ones(service, auth):
    """The same builders with nothing wrong in them are accepted: the cases above fail for their reason alone."""
    for data, status in ((get()(auth), 200), (post(CL)(auth), 201), (chunks(WHOLE)(auth), 201),
                         (length(b" %d " % len(BODY))(auth), 201),
                         (get(b"hOsT:x\r\nX-A:\t b \t\r\nX-B:\r\n")(auth), 200),
                         (get(b"Host: x\r\nX-A: \xe9\xff\r\n")(auth), 200),
                         (get(b"X!#$%&'*+-.^_`|~9: y\r\nHost: x\r\n")(auth), 200),
                         (chunks(WHOLE.replace(b"\r\n", b";a=b\r\n", 1))(auth), 201),
                         (chunks(b"000" + WHOLE)(auth), 201),
                         (get(b"Host: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(50)))(auth), 200)):
        with Raw(service.address) as raw:
            raw.send(data)
            assert raw.read().status == status, data[:200]
            raw.send(get()(auth))       # and the connection goes on
            assert raw.read().status == 200


@pytest.mark.parametrize("name", ["get", "post", "chunked"])
def test_good_framing_split_at_every_offset(service, auth, name):
    pieces = b"5\r\n" + BODY[:5] + b"\r\n%x;e\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\nX-T: t\r\n\r\n"
    data = {"get": get(), "post": post(CL), "chunked": chunks(pieces)}[name](auth)
    wanted = 200 if name == "get" else 201
    with Raw(service.address) as other:
        for start in range(1, len(data), 48):
            offsets = range(start, min(start + 48, len(data)))
            connections = [Raw(service.address) for _ in offsets]
            try:
                for raw, offset in zip(connections, offsets):
                    raw.send(data[:offset])
                # A whole exchange on another connection: by its answer the service has seen all the first halves.
                other.send(get()(auth))
                assert other.read().status == 200
                for raw, offset in zip(connections, offsets):
                    raw.send(data[offset:])
                for raw, offset in zip(connections, offsets):
                    assert raw.read().status == wanted, offset
            finally:
                for raw in connections:
                    raw.close()


def test_one_byte_at_a_time(service, auth):
    with Raw(service.address) as raw:
        for byte in post(CL)(auth):
            raw.send(bytes([byte]))
        assert raw.read().status == 201


def test_a_hundred_pipelined_requests_in_one_packet(service, auth, api):
    def target(number):
        return f"/api/v1/failed-tasks/?limit=1&offset={number}"
    fields = [("Host", "x"), ("Authorization", f"Token {api.token}")]
    with Raw(service.address) as raw:
        raw.send(b"".join(head("GET", target(number), fields) for number in range(2, 102)))
        for number in range(2, 102):
            answer = raw.read()
            expected = "http://x/api/v1/failed-tasks/?limit=1" + (f"&offset={number - 1}")
            assert answer.status == 200 and answer.json()["previous"] == expected
        raw.send(get()(auth))
        assert raw.read().status == 200


def test_pipelined_writes_are_answered_in_order(service, auth):
    bodies = [json.dumps({"endpoint": f"http://example.org/{n}", "enabled": False}).encode() for n in range(20)]
    with Raw(service.address) as raw:
        raw.send(b"".join(post(b"Content-Length: %d\r\n" % len(body), body)(auth) + get()(auth) for body in bodies))
        for number in range(20):
            written, read = raw.read(), raw.read()
            assert written.json()["endpoint"] == f"http://example.org/{number}" and len(written.all("Location")) == 1
            assert read.json()["up"] is True
            # Nothing of the answer before it.
            assert not read.all("Location") and len(read.all("Content-Type")) == len(read.all("Allow")) == 1


def test_expect_100_continue(service, auth):
    with Raw(service.address) as raw:
        raw.send(post(CL + b"Expect: 100-continue\r\n", b"")(auth))
        assert raw.read().status == 100
        raw.send(BODY)
        assert raw.read().status == 201
        raw.send(post(CL + b"Expect: 100-Continue\r\n")(auth))      # the body already there: 100 may be left out
        answer = raw.read()
        assert (raw.read() if answer.status == 100 else answer).status == 201


def test_connection_close_and_http_1_0(service, auth):
    with Raw(service.address) as raw:
        raw.send(get(b"Host: x\r\nConnection: close\r\n")(auth) + get()(auth))
        assert raw.read().status == 200
        assert raw.rest() == b""
    with Raw(service.address) as raw:
        raw.send(get(first=b"GET /api/health/ HTTP/1.0\r\n")(auth))
        assert raw.read().status == 200
        assert raw.rest() == b""
    with Raw(service.address) as raw:
        raw.send(get(b"Host: x\r\nConnection: keep-alive\r\n", b"GET /api/health/ HTTP/1.0\r\n")(auth))
        assert raw.read().status == 200


def test_a_closed_half_and_an_unfinished_request_harm_nobody(service, auth, api):
    for data in (b"", b"GET", get()(auth)[:-2], post(CL)(auth)[:-3], chunks(WHOLE)(auth)[:-4]):
        with Raw(service.address) as raw:
            raw.send(data)
    assert api.get(GET).status == 200

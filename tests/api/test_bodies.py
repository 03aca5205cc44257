# SPDX-License-Identifier: BSD-3-Clause
"""Request bodies: media types, JSON that is none, forms, multipart, chunks, sizes (contract, sections 1 and 6)."""
import json

import pytest

from harness.client import Raw, head

PATH = "/api/v1/schedule/"
ENDPOINT = "http://example.org/x"
GOOD = json.dumps({"endpoint": ENDPOINT, "enabled": False}).encode()
REQUIRED = {"endpoint": ["This field is required."]}
FORM = "application/x-www-form-urlencoded"


def post(api, body, kind="application/json", path=PATH):
    return api.post(path, body=body, content_type=kind)


@pytest.mark.parametrize("kind", ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "*/*",
                                  "application/json;charset=UTF-8;x=y", "application/json ; indent=2"])
def test_types_that_are_json(api, kind):
    answer = post(api, GOOD, kind)
    assert answer.status == 201 and answer.json()["endpoint"] == ENDPOINT, answer


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/json-patch+json", "garbage",
                                  "text/plain; charset=utf-8", "", "application/yaml", "Text/HTML"])
def test_other_types_are_415_with_the_type_as_sent(api, kind):
    answer = post(api, GOOD, kind)
    assert (answer.status, answer.json()) == (415, {"detail": f'Unsupported media type "{kind}" in request.'})


def test_a_body_without_a_type_is_415(api):
    answer = api.request("POST", PATH, body=GOOD)
    assert (answer.status, answer.json()) == (415, {"detail": 'Unsupported media type "" in request.'})


def test_an_empty_body_is_an_empty_object_whatever_its_type(api, service):
    for kind in ("application/json", "text/plain", "garbage", FORM, "multipart/form-data; boundary=x"):
        answer = post(api, b"", kind)
        assert (answer.status, answer.json()) == (400, REQUIRED), kind
    for length in ([("Content-Length", "0")], []):
        with Raw(service.address) as raw:
            raw.send(head("POST", PATH, [("Host", "x"), ("Authorization", f"Token {api.token}")] + length))
            answer = raw.read()
            assert (answer.status, answer.json()) == (400, REQUIRED)


def test_charset_picks_the_decoding(api):
    body = b'{"endpoint": "http://example.org/", "enabled": false, "payload": "\xe9"}'
    assert post(api, body).status == 400
    answer = post(api, body, "application/json; charset=iso-8859-1")
    assert answer.status == 201 and answer.json()["payload"] == "é", answer


BROKEN = [
    b"{", b"}", b"[", b'{"endpoint"}', b'{"endpoint":}', b'{"endpoint": "http://e.org",}', b"{'endpoint': 'x'}",
    b'{"endpoint": "http://e.org"} x', b'{"endpoint": "http://e.org"}{}', b"\xef\xbb\xbf" + GOOD,
    b'{"endpoint": "\xff"}',
    b'{"endpoint": "\xc0\xaf"}', b'{"endpoint": "\xed\xa0\x80"}', b'{"payload": NaN}', b'{"payload": Infinity}',
    b'{"payload": -Infinity}', b'{"endpoint": "a\nb"}', b'{"endpoint": "a\tb"}', b'{"endpoint": "a\x00b"}', b"tru",
    b"nul",
    b'"abc', b"'a'", b"01", b"+1", b".5", b"1.", b"1e", b"0x10", b"[1,,2]", b"[1,]", b'{"a":1,,}', b"// c\n{}",
    b"{} // c",
    b'{"a" 1}', b'"\\x"', b'"\\u12"', b"-", b"\x00", GOOD + b"\x00", b"[1 2]", b"\xff\xfe{\x00}\x00", b'{1: 2}', b"   ",
]


@pytest.mark.parametrize("body", BROKEN)
def test_malformed_json(api, body):
    answer = post(api, body)
    assert answer.status == 400, answer
    assert list(answer.json()) == ["detail"]
    assert answer.json()["detail"].startswith("JSON parse error - ")


@pytest.mark.parametrize("body,name", [(b"[]", "list"), (b'"x"', "str"), (b"5", "int"), (b"5.5", "float"),
                                       (b"true", "bool"),
                                       (b"false", "bool"), (b"-1", "int"), (b"1e2", "float"), (b"[{}]", "list")])
def test_a_body_that_is_no_object(api, body, name):
    answer = post(api, body)
    message = f"Invalid data. Expected a dictionary, but got {name}."
    assert (answer.status, answer.json()) == (400, {"non_field_errors": [message]})


def test_a_null_body(api):
    answer = post(api, b"null")
    assert (answer.status, answer.json()) == (400, {"non_field_errors": ["No data provided"]})


def test_whitespace_around_and_duplicate_keys(api):
    answer = post(api, b" \r\n\t" + GOOD + b"\n \t\r")
    assert answer.status == 201
    answer = post(api, b'{"endpoint": 5, "enabled": "x", "enabled": false, "frequency": 1, "frequency": 2,'
                       b'"endpoint": "http://example.org/last"}')
    assert answer.status == 201, answer
    assert (answer.json()["endpoint"], answer.json()["frequency"]) == ("http://example.org/last", 2)


def test_bodies_that_are_not_read(api):
    made = api.create(endpoint=ENDPOINT, enabled=False)
    url = f"{PATH}{made['id']}/"
    assert api.get(url, body=b"{broken", content_type="text/plain").status == 200
    assert api.post("/api/metrics/", body=b"{broken", content_type="text/plain").status == 200
    assert post(api, b"{broken", path="/api/metrics/").status == 200
    assert api.post("/api/v1/failed-tasks/", body=b"{broken", content_type="text/plain").status == 201
    assert post(api, b"null", path="/api/v1/failed-tasks/").status == 201
    assert api.delete(url, body=b"{broken", content_type="text/plain").status == 204


# ---- forms ----

def test_a_form(api):
    body = (b"endpoint=http%3A%2F%2Fexample.org%2Ff&frequency=5&payload=%7B%22a%22%3A+1%7D&enabled=on"
            b"&interval_definition=1+hours&auth_token=t&endpoint=http%3A%2F%2Fexample.org%2Flast")
    answer = post(api, body, FORM)
    assert answer.status == 201, answer
    record = answer.json()
    assert record["endpoint"] == "http://example.org/last" and record["frequency"] == 5
    assert record["payload"] == {"a": 1} and record["enabled"] is True and record["interval_definition"] == "1 hours"
    assert record["auth_token"] == "********"
    assert api.delete(f"{PATH}{record['id']}/").status == 204


def test_enabled_in_forms(api):
    only = b"endpoint=http%3A%2F%2Fexample.org%2F"
    made = post(api, only, FORM).json()
    assert made["enabled"] is False and made["payload"] == {} and made["frequency"] is None
    url = f"{PATH}{made['id']}/"
    assert post(api, only + b"&enabled=", FORM).json()["enabled"] is True
    assert api.patch(url, {"enabled": True}).json()["enabled"] is True
    assert api.patch(url, body=b"frequency=4", content_type=FORM).json()["enabled"] is True
    assert api.put(url, body=only + b"&enabled=", content_type=FORM).json()["enabled"] is True
    answer = api.put(url, body=only, content_type=FORM).json()
    assert answer["enabled"] is False and answer["frequency"] == 4


def test_blanks_in_forms(api):
    made = post(api, b"endpoint=http%3A%2F%2Fexample.org%2F&frequency=&next_send_at=&enabled=off", FORM)
    assert made.status == 201, made
    assert made.json()["frequency"] is None and made.json()["next_send_at"] is None
    for text in (b"payload=x", b"payload=%7B", b"payload=NaN"):
        answer = post(api, b"endpoint=http%3A%2F%2Fexample.org%2F&" + text, FORM)
        assert (answer.status, answer.json()) == (400, {"payload": ["Value must be valid JSON."]})
    assert post(api, b"nothing", FORM).json() == REQUIRED
    assert post(api, b"endpoint=", FORM).json() == {"endpoint": ["This field may not be blank."]}


def multipart(parts, boundary="bound"):
    body = b""
    for name, value, extra in parts:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{value}\r\n'.encode()
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def test_multipart(api):
    answer = post(api, *multipart([("endpoint", "http://example.org/1", ""), ("payload", '{"m": [1, 2]}', ""),
                                   ("endpoint", "http://example.org/2", ""), ("enabled", "false", "")]))
    assert answer.status == 201, answer
    assert answer.json()["endpoint"] == "http://example.org/2" and answer.json()["payload"] == {"m": [1, 2]}
    assert post(api, *multipart([("frequency", "1", "")])).json() == REQUIRED
    answer = post(api, *multipart([("endpoint", "http://example.org/", '; filename="a.txt"')]))
    assert (answer.status, answer.json()) == (400, {"endpoint": ["Not a valid string."]})


def test_multipart_without_a_boundary_is_empty(api):
    body, _ = multipart([("endpoint", "http://example.org/", "")])
    answer = post(api, body, "multipart/form-data")
    assert (answer.status, answer.json()) == (400, REQUIRED)


# ---- chunks, sizes, torture ----

def chunked(data, size):
    pieces = [data[i:i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_chunked_bodies_are_read(api, service, size):
    fields = [("Host", "x"), ("Authorization", f"Token {api.token}"), ("Content-Type", "application/json"),
              ("Transfer-Encoding", "chunked")]
    with Raw(service.address) as raw:
        raw.send(head("POST", PATH, fields) + chunked(GOOD, size))
        assert raw.read().json()["endpoint"] == ENDPOINT
        upper = chunked(GOOD, 30).replace(b"1e\r\n", b"1E;ext=1\r\n")
        raw.send(head("POST", PATH, fields) + upper.replace(b"0\r\n\r\n", b"0\r\nX-Trailer: t\r\n\r\n"))
        assert raw.read().status == 201


def test_large_bodies(api):
    padded = GOOD + b" " * 2_400_000
    assert post(api, padded).status == 201
    payload = {"text": "x" * 200_000}
    answer = api.post(PATH, {"endpoint": ENDPOINT, "enabled": False, "payload": payload})
    assert answer.status == 201 and answer.json()["payload"] == payload


def test_a_payload_of_more_than_two_megabytes(api):
    payload = ["y" * 1000] * 2_400
    answer = api.post(PATH, {"endpoint": ENDPOINT, "enabled": False, "payload": payload})
    assert answer.status == 201, answer
    assert api.schedule(answer.json())["payload"] == payload
    assert api.delete(f"{PATH}{answer.json()['id']}/").status == 204


def test_an_enormous_body_is_refused_not_fatal(api):
    answer = post(api, GOOD + b" " * 40_000_000)
    assert answer.status in (201, 400, 413), answer
    assert api.get("/api/v1/").status == 200


@pytest.mark.parametrize("depth", [30, 60])
def test_nesting_that_must_work(api, depth):
    body = b'{"endpoint":"http://example.org/","enabled":false,"payload":' + b"[" * depth + b"]" * depth + b"}"
    answer = post(api, body)
    assert answer.status == 201 and b"[" * depth + b"]" * depth in answer.body


@pytest.mark.parametrize("depth", [1000, 1200, 100_000])
@pytest.mark.parametrize("opening,closing", [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_no_crash(api, depth, opening, closing):
    inner = b"1" if opening != b"[" else b""
    nested = opening * depth + inner + closing * depth
    body = b'{"endpoint":"http://example.org/","enabled":false,"payload":' + nested + b"}"
    for text in (body, opening * depth):
        assert post(api, text).status in (201, 400), depth
    assert api.get("/api/v1/").status == 200


@pytest.mark.parametrize("field", ["payload", "auth_token", "endpoint", "cron_definition"])
def test_a_lone_surrogate_is_400(api, field):
    for text in (b"\\ud800", b"\\udc00", b"a\\ud800b", b"\\ud800\\ud800"):
        answer = post(api,
                      b'{"endpoint":"http://example.org/","enabled":false,"' + field.encode() + b'":"' + text + b'"}')
        assert answer.status == 400, answer


def test_an_escaped_nul_in_the_payload_is_no_crash(api):
    answer = post(api, b'{"endpoint":"http://example.org/","enabled":false,"payload":{"a\\u0000":"\\u0000"}}')
    assert answer.status in (201, 400), answer
    if answer.status == 201:
        assert api.schedule(answer.json())["payload"] == {"a\0": "\0"}

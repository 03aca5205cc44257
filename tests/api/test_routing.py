# SPDX-License-Identifier: BSD-3-Clause
"""Routes, the order of the checks, the headers of every answer, and content negotiation (contract, section 1)."""
import uuid

import pytest

SCHEDULE = "/api/v1/schedule/5b0d4c0e-3f6f-4f0c-9a52-7d1c6b8e2f10/"
LIST_RW = "GET, POST, HEAD, OPTIONS"
READ_ONLY = "GET, HEAD, OPTIONS"
DETAIL_RW = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
POST_ONLY = "POST, OPTIONS"

ALLOW = [
    ("/api/v1/", READ_ONLY),
    ("/api/v1/user/", READ_ONLY),
    ("/api/v1/user/1/", READ_ONLY),
    ("/api/v1/group/", READ_ONLY),
    ("/api/v1/group/1/", READ_ONLY),
    ("/api/v1/user/token/", POST_ONLY),
    ("/api/v1/schedule/", LIST_RW),
    (SCHEDULE, DETAIL_RW),
    ("/api/v1/webhook/", LIST_RW),
    ("/api/v1/webhook/1/", DETAIL_RW),
    ("/api/v1/failed-tasks/", LIST_RW),
    ("/api/v1/failed-tasks/1/", READ_ONLY),
    ("/api/metrics/", LIST_RW),
    ("/api/health/", READ_ONLY),
    ("/api/token-auth/", POST_ONLY),
]
KNOWN = [path for path, _ in ALLOW]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"]
FORBIDDEN_TEXT = "You do not have permission to perform this action."
MISSING_TEXT = "Authentication credentials were not provided."


def allow_set(response):
    return {method.strip() for method in response.header("Allow").split(",")}


@pytest.mark.parametrize("path", KNOWN)
def test_a_missing_final_slash_is_301_for_every_method_before_authentication(nobody, path):
    for method in METHODS:
        for query in ("", "?a=1&b=%20x"):
            answer = nobody.request(method, path[:-1] + query)
            assert answer.status == 301, (method, answer)
            assert answer.header("Location") == path + query
            assert answer.body == b""


def test_301_comes_before_content_negotiation_and_bodies(nobody):
    answer = nobody.post("/api/v1/schedule", body=b"{broken", content_type="text/plain",
                         headers=[("Accept", "application/xml")])
    assert (answer.status, answer.header("Location")) == (301, "/api/v1/schedule/")


@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing/", "/api/v2/schedule/", "/api/v1/user/1/x/", "/nothing",
                                  SCHEDULE + "more/", "/API/v1/", "/api/v1/Schedule/", "/api/v1//schedule/"])
def test_an_unknown_path_is_404_html_whoever_asks(api, nobody, path):
    for client in (api, nobody):
        for method in ("GET", "POST", "DELETE"):
            answer = client.request(method, path, headers=[("Accept", "application/xml")])
            assert answer.status == 404, (method, answer)
            assert answer.header("Content-Type").startswith("text/html")


@pytest.mark.parametrize("path,allowed", ALLOW)
def test_allow_and_405(admin, path, allowed):
    methods = {name.strip() for name in allowed.split(",")}
    for method in METHODS:
        if method in methods:
            continue
        answer = admin.request(method, path)
        assert answer.status == 405, (method, answer)
        assert answer.header("Allow") == allowed
        if method != "HEAD":
            assert answer.json() == {"detail": f'Method "{method}" not allowed.'}


@pytest.mark.parametrize("path,allowed", ALLOW)
def test_options_and_its_allow(admin, nobody, path, allowed):
    answer = admin.request("OPTIONS", path)
    if answer.status != 404:    # a detail view of something unknown may look the object up first
        assert answer.status == 200, answer
        assert isinstance(answer.json(), dict)
    assert allow_set(answer) == {name.strip() for name in allowed.split(",")}
    if path != "/api/token-auth/":
        assert nobody.request("OPTIONS", path).status == 401


def test_options_of_the_token_view_needs_permission(api):
    answer = api.request("OPTIONS", "/api/v1/user/token/")
    assert (answer.status, answer.json()) == (403, {"detail": FORBIDDEN_TEXT})


@pytest.mark.parametrize("path", [path for path in KNOWN if path != "/api/token-auth/"])
def test_without_credentials_everything_is_401(nobody, path):
    for method in METHODS:
        answer = nobody.request(method, path, body=b"{", content_type="text/plain")
        assert answer.status == 401, (method, answer)
        assert answer.header("WWW-Authenticate") == 'Basic realm="api"'
        if method != "HEAD":
            assert answer.json() == {"detail": MISSING_TEXT}


ORDER = [
    # who, method, target, Accept, body, type, status, detail
    ("nobody", "GET", "/api/v1/schedule/", "application/xml", None, None, 406,
     "Could not satisfy the request Accept header."),
    ("nobody", "POST", "/api/v1/user/token/", "text/plain", b"{", "text/plain", 406,
     "Could not satisfy the request Accept header."),
    ("nobody", "GET", "/api/v1/schedule/?format=xml", None, None, None, 404, "Not found."),
    ("api", "GET", "/api/v1/user/token/", None, None, None, 403, FORBIDDEN_TEXT),
    ("api", "FOO", "/api/v1/user/token/", None, None, None, 403, FORBIDDEN_TEXT),
    ("api", "POST", "/api/v1/user/token/", None, b"{broken", "application/json", 403, FORBIDDEN_TEXT),
    ("nobody", "POST", "/api/v1/user/token/", None, b"{broken", "application/json", 401, MISSING_TEXT),
    ("api", "POST", SCHEDULE, None, b"{broken", "application/json", 405, 'Method "POST" not allowed.'),
    ("api", "PATCH", SCHEDULE, None, b"{broken", "application/json", 404, "Not found."),
    ("api", "PUT", SCHEDULE, None, b"x", "text/plain", 404, "Not found."),
    ("api", "DELETE", SCHEDULE, None, None, None, 404, "Not found."),
    ("api", "PUT", "/api/v1/schedule/", None, b"{broken", "application/json", 405, 'Method "PUT" not allowed.'),
    ("api", "PATCH", "/api/v1/webhook/9999/", None, b"x", "text/plain", 404, "Not found."),
    ("api", "POST", "/api/v1/schedule/", None, b"x", "text/plain", 415,
     'Unsupported media type "text/plain" in request.'),
]


@pytest.mark.parametrize("who,method,target,accept,body,kind,status,detail", ORDER)
def test_the_order_of_checks(request, who, method, target, accept, body, kind, status, detail):
    client = request.getfixturevalue(who)
    answer = client.request(method, target, body=body, content_type=kind,
                            headers=[("Accept", accept)] if accept else [])
    assert (answer.status, answer.json()) == (status, {"detail": detail})


def api_headers(answer, vary=True):
    assert answer.header("X-Frame-Options") == "SAMEORIGIN"
    assert answer.header("Allow")
    assert answer.header("Vary") == ("Accept" if vary else None)
    if answer.status == 204:
        assert answer.header("Content-Type") is None and answer.body == b""
    else:
        assert answer.header("Content-Type") == "application/json"
        assert answer.header("Content-Length") is not None
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]
    assert answer.header("ETag") is None and answer.header("Content-Encoding") is None


def test_response_headers_on_every_answer(api, nobody):
    made = api.post("/api/v1/webhook/", {"event": "none", "target": "http://example.org/"})
    hook = f"/api/v1/webhook/{made.json()['id']}/"
    answers = [made, api.get("/api/v1/"), api.get("/api/v1/user/"), api.get(hook), nobody.get("/api/v1/"),
               api.get("/api/v1/user/token/"), api.put("/api/v1/"), api.get("/api/v1/group/77/"),
               api.get("/api/v1/", headers=[("Accept", "text/plain")]), api.get("/api/v1/?format=xml"),
               api.post("/api/v1/webhook/", {}),
               api.post("/api/v1/webhook/", body=b"{", content_type="application/json"),
               api.post("/api/v1/webhook/", body=b"{", content_type="x/y"), api.get("/api/health/"),
               api.get("/api/metrics/"), api.post("/api/metrics/"), api.get("/api/v1/failed-tasks/"),
               api.post("/api/v1/failed-tasks/"), api.request("OPTIONS", "/api/v1/"), api.delete(hook)]
    assert answers[-1].status == 204
    for answer in answers:
        api_headers(answer)
    for answer in (nobody.post("/api/token-auth/", {}), nobody.get("/api/token-auth/")):
        api_headers(answer, vary=False)


def test_head_is_get_without_the_body(api, nobody):
    made = api.create(endpoint="http://example.org/", enabled=False)
    for path in ["/api/v1/", "/api/v1/user/", "/api/v1/user/1/", "/api/v1/group/", "/api/v1/schedule/",
                 f"/api/v1/schedule/{made['id']}/", SCHEDULE, "/api/v1/webhook/", "/api/v1/webhook/999/",
                 "/api/v1/failed-tasks/", "/api/v1/failed-tasks/1/", "/api/metrics/", "/api/health/"]:
        for client in (api, nobody):
            get, head = client.get(path), client.request("HEAD", path)
            assert head.status == get.status
            assert head.header("Content-Length") == get.header("Content-Length")
            assert head.header("Content-Type") == get.header("Content-Type")
    assert nobody.request("HEAD", "/api/token-auth/").status == 405


def test_the_root_lists_the_resources_in_order(api):
    answer = api.get("/api/v1/")
    base = f"{api.base}/api/v1/"
    assert list(answer.json().items()) == [
        (name, f"{base}{name}/") for name in ("user", "group", "schedule", "webhook", "failed-tasks")]
    assert b'": ' not in answer.body and b", " not in answer.body


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "scheduler.example.org:8443", "127.0.0.1",
                                  "[::1]:8000"])
def test_hyperlinks_use_the_host_header_as_sent(api, host):
    links = api.get("/api/v1/", host=host, headers=[("X-Forwarded-Host", "evil.example")]).json()
    assert links["user"] == f"http://{host}/api/v1/user/"


def test_forwarded_proto_of_the_loopback_proxy(api):
    links = api.get("/api/v1/", host="example.org", headers=[("X-Forwarded-Proto", "https")]).json()
    assert links["group"] == "https://example.org/api/v1/group/"
    links = api.get("/api/v1/", host="example.org", headers=[("X-Forwarded-Proto", "gopher")]).json()
    assert links["group"] == "http://example.org/api/v1/group/"


@pytest.mark.parametrize("host", ["exa mple.org", "a/b", "u@example.org", "[::1", "example.org:port", "<x>", 'a"b'])
def test_a_malformed_host_is_400(api, host):
    assert api.get("/api/v1/", host=host).status == 400


ACCEPTED = ["*/*", "application/*", "application/json", "APPLICATION/JSON", "application/json; charset=utf-8",
            "application/xml, application/json", "text/plain, */*", "application/json;q=0", "application/json ; q=0.1"]
REFUSED = ["application/xml", "text/plain", "*", "garbage", "", "application/jsonx", "image/*"]


@pytest.mark.parametrize("accept", ACCEPTED)
def test_accept_that_includes_json(api, accept):
    answer = api.get("/api/v1/", headers=[("Accept", accept)])
    assert answer.status == 200 and answer.header("Content-Type").startswith("application/json")


@pytest.mark.parametrize("accept", REFUSED)
def test_accept_that_cannot_be_satisfied_does_nothing(api, accept):
    before = api.get("/api/v1/webhook/").json()["count"]
    answer = api.post("/api/v1/webhook/", {"event": "x", "target": "http://example.org/"}, headers=[("Accept", accept)])
    assert (answer.status, answer.json()) == (406, {"detail": "Could not satisfy the request Accept header."})
    assert api.get("/api/v1/webhook/").json()["count"] == before


def test_accept_of_browsers(api):
    # [D] HTML or JSON for a browser's Accept; HTML or 406 for text/html alone.
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert api.get("/api/v1/", headers=[("Accept", browser)]).status == 200
    assert api.get("/api/v1/", headers=[("Accept", "text/html")]).status in (200, 406)


def test_accept_indent_pretty_prints(api):
    answer = api.get("/api/v1/", headers=[("Accept", "application/json; indent=4")])
    assert answer.status == 200 and b'{\n    "user": "' in answer.body
    assert list(answer.json()) == ["user", "group", "schedule", "webhook", "failed-tasks"]


def test_format_in_the_query(api):
    assert api.get("/api/v1/?format=json").status == 200
    assert api.get("/api/v1/?format=").status == 200
    assert api.get("/api/v1/?format=json", headers=[("Accept", "text/html")]).status == 406
    answer = api.get("/api/v1/?format=xml")
    assert (answer.status, answer.json()) == (404, {"detail": "Not found."})


def test_unknown_query_parameters_are_ignored(api):
    full = api.get("/api/v1/user/").json()
    some = api.get("/api/v1/user/?search=zzz&ordering=id&username=nobody&cursor=x").json()
    assert some["results"] == full["results"]


def test_no_method_override(api):
    made = api.create(endpoint="http://example.org/", enabled=False)
    api.request("OPTIONS", f"/api/v1/schedule/{made['id']}/", headers=[("X-HTTP-Method-Override", "DELETE")])
    assert api.post(f"/api/v1/schedule/{made['id']}/?_method=DELETE",
                    headers=[("X-HTTP-Method-Override", "DELETE")]).status == 405
    assert api.schedule(made)["id"] == made["id"]


def test_no_version_in_the_server_header(api):
    assert not any(character.isdigit() for character in api.get("/api/v1/").header("Server", ""))


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes(service, path):
    # The probes may live on the API's listener or beside the metrics; they need no credentials.
    answer = service.api().get(path)
    assert answer.status == 200, answer


# ---- ids in paths ----

@pytest.mark.parametrize("kind", ["user", "group", "webhook", "failed-tasks"])
@pytest.mark.parametrize("text", ["999999", "-1", "99999999999999999999999999", "abc", "1.0", "0", "%00", "1%27", "é"])
def test_int_ids_that_find_nothing(api, kind, text):
    answer = api.get(f"/api/v1/{kind}/{text.encode().decode('latin-1')}/")
    if text == "é" and answer.status == 400:
        return      # raw octets above 127 in a target may be refused as framing
    if text == "1.0" and answer.status == 404 and answer.header("Content-Type").startswith("text/html"):
        return      # the original reads a suffix there: no route
    assert (answer.status, answer.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("text", ["1", "01", "0001", "%201", "1%20", "%2B1"])
def test_int_ids_may_be_padded(api, text):
    answer = api.get(f"/api/v1/user/{text}/")
    if text == "%2B1" and answer.status == 404:
        return      # the contract promises zeros and blanks; the sign is a guess
    assert answer.status == 200 and answer.json()["url"] == f"{api.base}/api/v1/user/1/"


def test_uuid_forms(api):
    made = api.create(endpoint="http://example.org/", enabled=False)
    plain = uuid.UUID(made["id"])
    for text in (str(plain), str(plain).upper(), plain.hex, plain.hex.upper(), "{%s}" % plain, "%%7B%s%%7D" % plain,
                 f"urn:uuid:{plain}", "%%7b%s%%7d" % plain.hex):
        answer = api.get(f"/api/v1/schedule/{text}/")
        assert answer.status == 200, (text, answer)
        assert answer.json()["id"] == made["id"]
        assert answer.json()["url"] == made["url"]


@pytest.mark.parametrize("text", ["1", "abc", "0" * 31, "0" * 33, "g" * 32, "urn:uuid:", "%00" * 16,
                                  "00000000-0000-0000-0000-00000000000", "0" * 32])
def test_uuids_that_find_nothing(api, text):
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = api.request(method, f"/api/v1/schedule/{text}/")
        assert (answer.status, answer.json()) == (404, {"detail": "Not found."})

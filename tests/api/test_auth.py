# SPDX-License-Identifier: BSD-3-Clause
"""Credentials: schemes, messages, users that were switched off, token minting and the limit on failures (section 2)."""
import base64
import re

import pytest

from harness.service import PASSWORD, Service

MISSING = "Authentication credentials were not provided."
WRONG = "Invalid username/password."
HEX = re.compile(r"[0-9a-f]{40}\Z")


def basic(text):
    return "Basic " + base64.b64encode(text.encode("latin-1")).decode()


FAILURES = [
    (None, MISSING), ("", MISSING), ("0" * 40, MISSING), ("Digest x", MISSING), ("Tokenx y", MISSING),
    ("Basic", "Invalid basic header. No credentials provided."),
    ("basic  ", "Invalid basic header. No credentials provided."),
    ("Basic a b", "Invalid basic header. Credentials string should not contain spaces."),
    ("BASIC YQ== YQ== YQ==", "Invalid basic header. Credentials string should not contain spaces."),
    ("Basic abc", "Invalid basic header. Credentials not correctly base64 encoded."),
    ("Basic YWxpY2U6eA=", "Invalid basic header. Credentials not correctly base64 encoded."),
    ("Basic YQ==", WRONG), ("Basic !!!!", WRONG), (basic("alice:wrong"), WRONG), (basic("ghost:x"), WRONG),
    (basic("Alice:" + PASSWORD), WRONG), (basic(":"), WRONG), (basic("alice:"), WRONG),
    ("Token", "Invalid token header. No credentials provided."),
    ("token \t", "Invalid token header. No credentials provided."),
    ("Token a b", "Invalid token header. Token string should not contain spaces."),
    (b"Token \xff\xfe", "Invalid token header. Token string should not contain invalid characters."),
    ("Token " + "0" * 40, "Invalid token."), ("Token x", "Invalid token."), ("Token é", None),
    ("Bearer x", None), ("Bearer", None), ("Bearer " + "0" * 40, None),
]


@pytest.mark.parametrize("header,detail", FAILURES)
def test_refused_credentials(nobody, header, detail):
    for path in ("/api/v1/", "/api/v1/schedule/", "/api/health/"):
        answer = nobody.get(path, auth=header)
        assert answer.status == 401, answer
        assert answer.header("WWW-Authenticate") == 'Basic realm="api"'
        if detail is not None:
            assert answer.json() == {"detail": detail}


def test_accepted_credentials(service, nobody):
    token = service.tokens["alice"]
    assert HEX.match(token)
    password = basic(f"alice:{PASSWORD}")
    spread = "Basic " + "\x2a".join([password[6:10], password[10:]])
    for header in (f"Token {token}", f"token {token}", f"TOKEN   {token}", f"Token\t{token}", f"Bearer {token}",
                   f"bearer {token}", password, password.replace("Basic", "bAsIc"), spread):
        assert nobody.get("/api/v1/", auth=header).status == 200, header


def test_a_token_is_exact(service, nobody):
    token = service.tokens["alice"]
    if token.upper() != token:
        assert nobody.get("/api/v1/", auth=f"Token {token.upper()}").json() == {"detail": "Invalid token."}
    for text in (token[:-1], token + "0"):
        assert nobody.get("/api/v1/", auth=f"Token {text}").json() == {"detail": "Invalid token."}


def test_a_token_in_the_query_is_no_credential(service, nobody):
    assert nobody.get(f"/api/v1/?token={service.tokens['alice']}").json() == {"detail": MISSING}


def test_an_inactive_user(service, nobody):
    token = service.create_user("carol", password=PASSWORD)
    assert nobody.get("/api/v1/", auth=f"Token {token}").status == 200
    assert nobody.get("/api/v1/", auth=basic(f"carol:{PASSWORD}")).status == 200
    service.cli("user", "disable", "carol", check=True)
    answer = nobody.get("/api/v1/", auth=f"Token {token}")
    assert (answer.status, answer.json()) == (401, {"detail": "User inactive or deleted."})
    answer = nobody.get("/api/v1/", auth=basic(f"carol:{PASSWORD}"))
    assert (answer.status, answer.json()) == (401, {"detail": WRONG})
    answer = nobody.post("/api/token-auth/", {"username": "carol", "password": PASSWORD})
    assert (answer.status, answer.json()) == (400, LOGIN_FAILED)


# ---- /api/v1/user/token/ ----

MINT = "/api/v1/user/token/"
REQUIRED, NULL, BLANK = "This field is required.", "This field may not be null.", "This field may not be blank."
BAD_EMAIL = "Enter a valid email address."


@pytest.mark.parametrize("body,messages", [
    ({}, [REQUIRED]), ({"email": None}, [NULL]), ({"email": ""}, [BLANK]), ({"email": "   "}, [BLANK]),
    ({"email": 5}, [BAD_EMAIL]), ({"email": True}, [BAD_EMAIL]), ({"email": []}, [BAD_EMAIL]),
    ({"email": {}}, [BAD_EMAIL]), ({"email": 1.5}, [BAD_EMAIL]),
    ({"email": "a\0@example.org"}, ["Null characters are not allowed.", BAD_EMAIL]),
] + [({"email": text}, [BAD_EMAIL]) for text in [
    "x", "@", "a@", "@example.org", "a@b", "a b@example.org", "a..b@example.org", ".a@example.org", "a.@example.org",
    "a@example..org", "a@-example.org", "a@example-.org", "a@example.o", "a@example.org-", "a@exa_mple.org",
    "a@@example.org",
    "é@example.org", "a@[999.1.1.1]", '"a b"@example.org', "a@example.org\nx", "a@" + "b" * 64 + ".org",
]])
def test_refused_emails(admin, body, messages):
    answer = admin.post(MINT, body)
    assert answer.status == 400, answer
    if messages[0].startswith("Null"):
        assert answer.json()["email"][0] == messages[0]
    else:
        assert answer.json() == {"email": messages}


@pytest.mark.parametrize("email", [
    "bob@example.org", "b.o.b+tag@Sub.Example.ORG", "!#$%&'*+/=?^_{}|~-`@example.org", '"quoted"@example.org',
    "a@localhost",
    "a@[127.0.0.1]", "a@example.o-g", "a@" + "b" * 63 + ".org", "a@b\u00fccher.example", "A@EXAMPLE.org", "0@0.example",
])
def test_accepted_emails_make_a_user(admin, email):
    answer = admin.post(MINT, {"email": f"  {email} "})
    assert answer.status == 201, answer
    assert list(answer.json()) == ["token"] and HEX.match(answer.json()["token"])
    found = [user for user in admin.get("/api/v1/user/").json()["results"] if user["username"] == email]
    assert len(found) == 1
    local, domain = email.rsplit("@", 1)
    assert found[0]["email"] == f"{local}@{domain.lower()}" and found[0]["groups"] == []
    mine = admin.with_token(answer.json()["token"])
    assert mine.get("/api/v1/").status == 200
    assert mine.post(MINT, {"email": email}).status == 403
    mine.close()


def test_an_existing_user_gets_a_new_token_and_keeps_the_old(admin):
    first = admin.post(MINT, {"email": "twice@example.org"}).json()["token"]
    second = admin.post(MINT, {"email": "twice@example.org"}).json()["token"]
    assert first != second
    for token in (first, second):
        assert admin.get("/api/v1/", auth=f"Token {token}").status == 200
    other = admin.post(MINT, {"email": "Twice@example.org"})
    assert other.status == 201
    names = [user["username"] for user in admin.get("/api/v1/user/").json()["results"]]
    assert names.count("twice@example.org") == 1 and names.count("Twice@example.org") == 1


def test_the_user_is_found_by_name_not_by_email(admin):
    assert admin.post(MINT, {"email": "alice@example.org"}).status == 201
    names = [user["username"] for user in admin.get("/api/v1/user/").json()["results"]]
    assert "alice@example.org" in names and "alice" in names


def test_a_long_address_is_no_crash(admin):
    answer = admin.post(MINT, {"email": "a" * 60 + "@" + ".".join(["b" * 60] * 3) + ".org"})
    assert answer.status in (201, 400), answer


# ---- /api/token-auth/ ----

LOGIN = "/api/token-auth/"
LOGIN_FAILED = {"non_field_errors": ["Unable to log in with provided credentials."]}


@pytest.mark.parametrize("body,errors", [
    ({}, {"username": [REQUIRED], "password": [REQUIRED]}),
    ({"username": None, "password": None}, {"username": [NULL], "password": [NULL]}),
    ({"username": " ", "password": ""}, {"username": [BLANK], "password": [BLANK]}),
    ({"username": True, "password": []}, {"username": ["Not a valid string."], "password": ["Not a valid string."]}),
    ({"username": "alice"}, {"password": [REQUIRED]}),
    ({"username": "alice", "password": "wrong"}, LOGIN_FAILED),
    ({"username": "ghost", "password": "wrong"}, LOGIN_FAILED),
    ({"username": "alice", "password": PASSWORD + " "}, LOGIN_FAILED),
    ({"username": "alice", "password": " "}, LOGIN_FAILED),
    ({"username": 5, "password": 6}, LOGIN_FAILED),
    ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
])
def test_refused_logins(nobody, body, errors):
    answer = nobody.post(LOGIN, body)
    assert (answer.status, answer.json()) == (400, errors)


def test_login_gives_a_new_working_token(nobody):
    tokens = []
    for body in ({"username": "alice", "password": PASSWORD}, {"username": "  alice ", "password": PASSWORD}):
        answer = nobody.post(LOGIN, body)
        assert answer.status == 200 and list(answer.json()) == ["token"], answer
        tokens.append(answer.json()["token"])
    form = "username=alice&password=" + PASSWORD.replace(" ", "+")
    answer = nobody.post(LOGIN, body=form.encode(), content_type="application/x-www-form-urlencoded")
    assert answer.status == 200, answer
    tokens.append(answer.json()["token"])
    assert len(set(tokens)) == 3
    for token in tokens:
        assert HEX.match(token) and nobody.get("/api/v1/", auth=f"Token {token}").status == 200


def test_login_corners(service, nobody):
    answer = nobody.post(LOGIN, {"username": "alice", "password": PASSWORD}, auth="Token " + "0" * 40)
    assert (answer.status, answer.json()) == (401, {"detail": "Invalid token."})
    answer = nobody.post(LOGIN, {"username": "alice", "password": PASSWORD}, auth=f"Token {service.tokens['admin']}")
    assert answer.status == 200
    assert nobody.post(LOGIN, {}, headers=[("Accept", "text/html")]).status == 406
    assert nobody.post(LOGIN, {}, headers=[("Accept", "application/xml")]).status == 406
    assert nobody.post(LOGIN, body=b"x", content_type="text/plain").status == 415


def test_a_user_of_user_token_has_no_password(admin, nobody):
    assert admin.post(MINT, {"email": "nopass@example.org"}).status == 201
    for password in ("!", "x", "nopass@example.org", "None"):
        answer = nobody.post(LOGIN, {"username": "nopass@example.org", "password": password})
        assert (answer.status, answer.json()) == (400, LOGIN_FAILED)


# ---- the limit on failures ----

def test_failures_are_limited_and_only_for_who_causes_them():
    """The tests are the proxy on the service's machine: it names its client last in X-Forwarded-For."""
    with Service(auth_failures=3) as service:
        token = service.create_user("alice", password=PASSWORD)
        service.start()
        client = service.api(token)

        def status_for(client_address, auth="Token " + "0" * 40):
            headers = [("X-Forwarded-For", client_address)] if client_address else []
            return client.get("/api/v1/", auth=auth, headers=headers)
        statuses = [status_for("192.0.2.1, 203.0.113.5").status for _ in range(12)]
        assert statuses == [401] * 3 + [429] * 9, statuses
        answer = status_for("203.0.113.5")
        assert answer.status == 429 and int(answer.header("Retry-After")) >= 1
        assert isinstance(answer.json()["detail"], str)
        assert status_for("203.0.113.5", basic(f"alice:{PASSWORD}")).status == 429
        assert status_for("203.0.113.5", f"Token {token}").status == 200
        assert status_for("203.0.113.5, 203.0.113.6").status == 401
        assert status_for("203.0.113.7", basic(f"alice:{PASSWORD}")).status == 200
        client.close()


def test_a_local_address_is_limited_like_any_other():
    with Service(auth_failures=3) as service:
        token = service.create_user("alice", password=PASSWORD)
        service.start()
        bad, good = service.api(source="127.0.0.2"), service.api(token, source="127.0.0.3")
        statuses = [bad.get("/api/v1/", auth="Token " + "0" * 40).status for _ in range(12)]
        assert statuses == [401] * 3 + [429] * 9, statuses
        assert [good.get("/api/v1/").status for _ in range(12)] == [200] * 12
        assert good.get("/api/v1/", auth=basic(f"alice:{PASSWORD}")).status == 200
        bad.close(), good.close()

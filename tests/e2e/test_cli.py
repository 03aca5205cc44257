# SPDX-License-Identifier: BSD-3-Clause
"""The commands beside `serve`: accounts while the service runs and while it does not, check, next."""
import re
import subprocess

import pytest

from harness.service import BINARY, PASSWORD, Service
from harness.times import microseconds

LOGIN = "/api/token-auth/"
OTHER_PASSWORD = "another battery staple 43"


@pytest.fixture(scope="module", params=["stopped", "running"])
def service(request):
    with Service() as made:
        made.keeper = made.create_user("keeper", admin=True)
        made.running = request.param == "running"
        if made.running:
            made.start()
        yield made


class Asking:
    """Asks the API something, starting the service for that when it is not running."""

    def __init__(self, service):
        self.service = service

    def __enter__(self):
        if not self.service.running:
            self.service.start()
        self.api = self.service.api(self.service.keeper)
        return self.api

    def __exit__(self, *_):
        self.api.close()
        if not self.service.running:
            self.service.stop()


def password_file(service, name, text):
    path = service.directory / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_user_from_the_command_line(service):
    token = service.create_user("ann", email="Ann@Example.ORG", password=PASSWORD)
    assert re.fullmatch(r"[0-9a-f]{40}", token)
    listed = service.cli("user", "list", check=True).stdout
    assert re.search(r"\bann\b", listed) and re.search(r"\bkeeper\b", listed) and token not in listed
    with Asking(service) as api:
        assert api.get("/api/v1/", auth=f"Token {token}").status == 200
        assert api.post("/api/v1/user/token/", {"email": "z@example.org"}, auth=f"Token {token}").status == 403
        assert api.post("/api/v1/user/token/", {"email": "z@example.org"}).status == 201
        assert api.post(LOGIN, {"username": "ann", "password": PASSWORD}, auth=None).status == 200
    service.cli("user", "disable", "ann", check=True)
    with Asking(service) as api:
        assert api.get("/api/v1/", auth=f"Token {token}").json() == {"detail": "User inactive or deleted."}
    service.cli("user", "enable", "ann", check=True)
    service.cli("user", "passwd", "ann", "--password-file", password_file(service, "new", OTHER_PASSWORD + "\n"),
                check=True)
    with Asking(service) as api:
        assert api.get("/api/v1/", auth=f"Token {token}").status == 200
        assert api.post(LOGIN, {"username": "ann", "password": PASSWORD}, auth=None).status == 400
        assert api.post(LOGIN, {"username": "ann", "password": OTHER_PASSWORD}, auth=None).status == 200
        made = api.post("/api/v1/schedule/", {"endpoint": "http://example.org/", "enabled": False},
                        auth=f"Token {token}").json()
    service.cli("user", "delete", "ann", check=True)
    assert not re.search(r"\bann\b", service.cli("user", "list", check=True).stdout)
    with Asking(service) as api:
        assert api.get("/api/v1/", auth=f"Token {token}").status == 401
        record = api.schedule(made)
        assert record["created_by"] is None and record["updated_by"] is None


def test_mistakes_about_users(service):
    service.create_user("dup")
    for arguments in (("user", "create", "dup", "--email", "d@example.org"), ("user", "disable", "ghost"),
                      ("user", "enable", "ghost"),
                      ("user", "delete", "ghost"), ("token", "create", "ghost"), ("group", "add", "ghosts", "dup"),
                      ("user", "create", "weak", "--email", "w@example.org", "--password-file",
                       password_file(service, "weak", "short")),
                      ("user", "create", "lost", "--email", "l@example.org", "--password-file", "/no/such/file"),
                      ("token", "revoke", "999999")):
        result = service.cli(*arguments)
        assert result.returncode in (1, 2) and result.stderr.strip(), (arguments, result)
        assert not result.stdout.strip(), (arguments, result)
    listed = service.cli("user", "list", check=True).stdout
    assert not re.search(r"\b(weak|lost|ghost)\b", listed)


def test_groups(service):
    service.create_user("gus")
    service.cli("group", "create", "Writers", check=True)
    service.cli("group", "create", "Readers", check=True)
    service.cli("group", "add", "Writers", "gus", check=True)
    listed = service.cli("group", "list", check=True).stdout
    assert "Writers" in listed and "Readers" in listed
    assert service.cli("group", "create", "Writers").returncode == 1
    with Asking(service) as api:
        groups = {group["name"]: group["url"] for group in api.get("/api/v1/group/").json()["results"]}
        users = {user["username"]: user for user in api.get("/api/v1/user/").json()["results"]}
        assert users["gus"]["groups"] == [groups["Writers"]]


def test_tokens(service):
    first = service.create_user("tess")
    before = service.cli("token", "list", "tess", check=True).stdout
    second = service.create_token("tess")
    after = service.cli("token", "list", "tess", check=True).stdout
    assert first != second and first not in after and second not in after
    known = {line.split()[0] for line in before.splitlines() if line.strip()}
    fresh = [line for line in after.splitlines() if line not in before.splitlines()]
    assert len(fresh) == 1, (before, after)
    identity = fresh[0].split()[0]
    assert identity not in known
    assert identity in service.cli("token", "list", check=True).stdout
    service.cli("token", "revoke", identity, check=True)
    with Asking(service) as api:
        assert api.get("/api/v1/", auth=f"Token {first}").status == 200
        assert api.get("/api/v1/", auth=f"Token {second}").json() == {"detail": "Invalid token."}


def test_check(service):
    result = service.cli("check")
    assert result.returncode == 0, result
    assert result.stdout.strip()


def instants(text):
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
    return [microseconds(found) for found in re.findall(form, text)]


@pytest.mark.parametrize("cron,zone,start,expected", [
    # A gap: the first valid instant after it. An overlap: once. (P9)
    ("30 2 * * *", "Europe/Berlin", "2027-03-27T00:00:00Z",
     ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]),
    ("30 2 * * *", "Europe/Berlin", "2027-10-30T00:00:00Z",
     ["2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]),
    ("30 * * * *", "Europe/Berlin", "2027-10-31T00:00:00Z",
     ["2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z", "2027-10-31T02:30:00Z"]),
    ("0 0 29 2 *", "UTC", "2027-03-01T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
    ("0 0 13 * 5", "UTC", "2027-08-01T00:00:00Z",
     ["2027-08-06T00:00:00Z", "2027-08-13T00:00:00Z", "2027-08-20T00:00:00Z"]),
    ("15,45 0 1 1 * * 2030", "UTC", "2027-01-01T00:00:00Z",
     ["2030-01-01T01:00:15Z", "2030-01-01T01:00:45Z", "2030-02-01T01:00:15Z"]),
    ("0 0 L * *", "UTC", "2027-02-01T00:00:00Z", ["2027-02-28T00:00:00Z", "2027-03-31T00:00:00Z"]),
    ("0 0 * * fri#2", "UTC", "2027-08-01T00:00:00Z", ["2027-08-13T00:00:00Z", "2027-09-10T00:00:00Z"]),
    ("0 12 LW * *", "UTC", "2027-07-01T00:00:00Z", ["2027-07-30T12:00:00Z", "2027-08-31T12:00:00Z"]),
    ("0 12 15W * *", "UTC", "2027-08-01T00:00:00Z", ["2027-08-16T12:00:00Z", "2027-09-15T12:00:00Z"]),
    ("0 0 * * fri-mon", "UTC", "2027-08-03T00:00:00Z",
     ["2027-08-06T00:00:00Z", "2027-08-07T00:00:00Z", "2027-08-08T00:00:00Z",
                                                        "2027-08-09T00:00:00Z", "2027-08-13T00:00:00Z"]),
])
def test_next(cron, zone, start, expected):
    command = [BINARY, "next", cron, "--timezone", zone, "--from", start, "-n", str(len(expected))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result
    found = []
    for line in result.stdout.splitlines():
        found += instants(line)[:1]
    assert found == [microseconds(text) for text in expected], result.stdout


@pytest.mark.parametrize("arguments", [("60 * * * *",), ("0 0 30 2 *",), ("* * * * *", "--timezone", "Mars/Base"), (),
                                       ("* * * * *", "-n", "0"), ("* * * * *", "--from", "yesterday")])
def test_next_refuses(arguments):
    result = subprocess.run([BINARY, "next", *arguments], capture_output=True, text=True, timeout=30)
    assert result.returncode in (1, 2) and result.stderr.strip() and not result.stdout.strip(), result


@pytest.mark.parametrize("arguments", [("user",), ("user", "explode", "x"), ("user", "create"), ("token",),
                                       ("group", "create"),
                                       ("user", "create", "x", "--nonsense"), ("check", "extra")])
def test_usage_mistakes(tmp_path, arguments):
    with Service(directory=tmp_path) as service:
        result = service.cli(*arguments)
        assert result.returncode == 2 and result.stderr.strip(), result


def test_a_mistyped_path_makes_no_database(tmp_path):
    database = tmp_path / "typo" / "x.db"
    for words in (["user", "list"], ["token", "list"], ["user", "disable", "a"]):
        result = subprocess.run([BINARY, *words, "--database", f"sqlite:{database}"], capture_output=True, text=True, timeout=30)
        assert result.returncode == 1 and str(database) in result.stderr and not result.stdout
    assert not database.parent.exists()


def test_a_bad_address_is_refused_before_anything_is_made(tmp_path):
    for address in ("nonsense", "127.0.0.1", "localhost:8000", "127.0.0.1:65536"):
        command = [BINARY, "serve", "--listen", address, "--database", f"sqlite:{tmp_path}/x.db"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert result.returncode == 2 and "--listen" in result.stderr, result
    assert not (tmp_path / "x.db").exists()

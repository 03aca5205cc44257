# SPDX-License-Identifier: BSD-3-Clause
"""limit/offset pages, their links and their order (contract, section 3)."""
import pytest

COUNT = 7
PATH = "/api/v1/webhook/"


@pytest.fixture(scope="module")
def hooks(api):
    ids = [api.post(PATH, {"event": f"e{n}", "target": "http://example.org/"}).json()["id"] for n in range(COUNT)]
    return list(reversed(ids))


def link(api, query):
    return None if query is None else f"{api.base}{PATH}?{query}"


PAGES = [
    # query, first index, number, next query, previous query
    ("", 0, 7, None, None),
    ("?limit=3", 0, 3, "limit=3&offset=3", None),
    ("?limit=3&offset=3", 3, 3, "limit=3&offset=6", "limit=3"),
    ("?limit=3&offset=6", 6, 1, None, "limit=3&offset=3"),
    ("?limit=3&offset=4", 4, 3, None, "limit=3&offset=1"),
    ("?limit=3&offset=1", 1, 3, "limit=3&offset=4", "limit=3"),
    ("?limit=7", 0, 7, None, None),
    ("?limit=6", 0, 6, "limit=6&offset=6", None),
    ("?offset=2", 2, 5, None, "limit=1000"),
    ("?offset=7&limit=2", 7, 0, None, "limit=2&offset=5"),
    ("?offset=100&limit=2", 7, 0, None, "limit=2&offset=98"),
    ("?offset=0&limit=2", 0, 2, "limit=2&offset=2", None),
    ("?limit=0", 0, 7, None, None), ("?limit=-1", 0, 7, None, None), ("?limit=x", 0, 7, None, None),
    ("?limit=", 0, 7, None, None), ("?limit=2.0", 0, 7, None, None), ("?limit=0x2", 0, 7, None, None),
    ("?limit=2&offset=-1", 0, 2, "limit=2&offset=2", None), ("?limit=2&offset=x", 0, 2, "limit=2&offset=2", None),
    ("?limit=2&offset=", 0, 2, "limit=2&offset=2", None), ("?limit=2&offset=1.5", 0, 2, "limit=2&offset=2", None),
    ("?limit=%203", 0, 3, "limit=3&offset=3", None), ("?limit=03", 0, 3, "limit=3&offset=3", None),
    ("?limit=%2B3", 0, 3, "limit=3&offset=3", None), ("?limit=+3", 0, 3, "limit=3&offset=3", None),
    ("?limit=3%20&offset=%2003", 3, 3, "limit=3&offset=6", "limit=3"),
    ("?limit=1&limit=3", 0, 3, "limit=3&offset=3", None),
    ("?limit=3&offset=5&offset=3", 3, 3, "limit=3&offset=6", "limit=3"),
    ("?limit=5000", 0, 7, None, None),
    ("?z=1&limit=2&a=2&offset=2", 2, 2, "a=2&limit=2&offset=4&z=1", "a=2&limit=2&z=1"),
    ("?m=1&limit=2", 0, 2, "limit=2&m=1&offset=2", None),
    ("?limit=2&offset=9223372036854775818", 7, 0, None, "limit=2&offset=9223372036854775816"),
    ("?limit=2&offset=123456789012345678901234567890", 7, 0, None, "limit=2&offset=123456789012345678901234567888"),
]


@pytest.mark.parametrize("query,first,number,following,previous", PAGES)
def test_pages(api, hooks, query, first, number, following, previous):
    answer = api.get(PATH + query)
    assert answer.status == 200, answer
    page = answer.json()
    assert list(page) == ["count", "next", "previous", "results"]
    assert page["count"] == COUNT
    assert [hook["id"] for hook in page["results"]] == hooks[first:first + number]
    assert (page["next"], page["previous"]) == (link(api, following), link(api, previous))


@pytest.mark.parametrize("limit", ["9223372036854775807", "9223372036854775808", "9" * 40])
def test_a_huge_limit_is_all(api, hooks, limit):
    for offset in (0, 2):
        page = api.get(f"{PATH}?limit={limit}&offset={offset}").json()
        assert [hook["id"] for hook in page["results"]] == hooks[offset:] and page["next"] is None


def test_repeated_other_keys_are_kept(api, hooks):
    following = api.get(f"{PATH}?x=2&limit=2&x=1").json()["next"]
    assert following.startswith(link(api, "limit=2&offset=2&")) and following.count("x=") == 2


def test_following_next_walks_through_everything_once(api, hooks):
    found, target = [], f"{PATH}?limit=2"
    while target:
        page = api.get(target).json()
        found += [hook["id"] for hook in page["results"]]
        target = page["next"]
        assert target is None or target.startswith(api.base + "/")
    assert found == hooks
    target = f"{PATH}?limit=2&offset=6"
    backwards = []
    while target:
        page = api.get(target).json()
        backwards = [hook["id"] for hook in page["results"]] + backwards
        target = page["previous"]
    assert backwards == hooks


def test_links_carry_the_host_they_were_asked_by(api, hooks):
    page = api.get(f"{PATH}?limit=2&offset=2", host="sched.example.org:80").json()
    assert page["next"] == f"http://sched.example.org:80{PATH}?limit=2&offset=4"
    assert page["previous"] == f"http://sched.example.org:80{PATH}?limit=2"


@pytest.mark.parametrize("path", ["/api/v1/group/", "/api/v1/failed-tasks/"])
def test_an_empty_list_is_a_page_too(api, path):
    answer = api.get(path)
    assert answer.body == b'{"count":0,"next":null,"previous":null,"results":[]}'


def test_schedules_are_listed_newest_first_whatever_is_updated(api):
    ids = [api.create(endpoint="http://example.org/", enabled=False)["id"] for _ in range(5)]
    assert api.patch(f"/api/v1/schedule/{ids[0]}/", {"frequency": 3}).status == 200
    assert [s["id"] for s in api.get("/api/v1/schedule/").json()["results"]] == list(reversed(ids))
    page = api.get("/api/v1/schedule/?limit=2&offset=2").json()
    assert [s["id"] for s in page["results"]] == [ids[2], ids[1]]
    assert page["next"] == f"{api.base}/api/v1/schedule/?limit=2&offset=4"


def test_users_are_listed_by_id_descending(api):
    users = api.get("/api/v1/user/").json()
    ids = [int(user["url"].rstrip("/").rsplit("/", 1)[1]) for user in users["results"]]
    assert ids == sorted(ids, reverse=True) and users["count"] == len(ids) == 2

# SPDX-License-Identifier: BSD-3-Clause
"""How values are written on the wire, byte for byte: what a JSON parser of the tests would hide."""
import pytest

PATH = "/api/v1/schedule/"


def created(api, payload):
    """The raw answer to a POST with this payload, written as it stands."""
    body = b'{"endpoint": "http://example.org/", "enabled": false, "payload": ' + payload + b"}"
    answer = api.post(PATH, body=body, content_type="application/json")
    assert answer.status == 201, answer
    return answer


@pytest.mark.parametrize("sent,shown", [
    (rb'"\u00e9"', '"é"'), (rb'{"\u00E9": ["a\u20acb"]}', '{"é":["a€b"]}'), (rb'"\ud83d\ude00x"', '"\U0001f600x"'),
    ('"é€\u2027"'.encode(), '"é€\u2027"'), ('"\u2028 \u2029"'.encode(), r'"\u2028 \u2029"'),
    (rb'"\u2028\u2029\u202A"', '"\\u2028\\u2029\u202a"'), (rb'"\\u00e9 \\\u00e9"', r'"\\u00e9 \\é"'),
    (rb'"\u0000\u001f\u0022\n\""', r'"\u0000\u001f\u0022\n\""'), (b'[1.10, 1E3, -0, 1e400]', "[1.10,1E3,-0,1e400]"),
    (b' { "a b" :\t[ 1 , "\\" \\\\" , { } ]\r\n} ', r'{"a b":[1,"\" \\",{}]}'), (b'[ ]', "[]"),
    (rb'"\u0080\u00a0"', '"\u0080\u00a0"'), ('"\u2020\ue280"'.encode(), '"\u2020\ue280"'),
])
def test_characters_beyond_ascii_stand_as_they_are(api, sent, shown):
    answer = created(api, sent)
    wanted = f'"payload":{shown},"auth_token"'.encode()
    assert wanted in answer.body
    assert wanted in api.get(f"{PATH}{answer.json()['id']}/").body
    assert wanted in api.get(f"{PATH}?limit=1").body

# SPDX-License-Identifier: BSD-3-Clause
"""A raw-socket HTTP/1.1 client: every byte of a request is the test's own, every byte of an answer is judged.

`Raw` is one connection; `Api` is the convenient layer (JSON, token, kept-alive connection) on top of it. The parser of
answers is strict on purpose: a service that frames its answers badly fails here.
"""
import json
import os
import re
import socket

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) ([\x20-\x7e]*)\Z")
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\Z")
TIMEOUT = 180.0 if os.environ.get("SEED_WRAPPER") else 20.0


class ProtocolError(AssertionError):
    """The service sent bytes that are not an HTTP/1.1 answer."""


class Response:
    """One answer: `status`, `headers` as (name, value) pairs in their order, `body` as bytes."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f"{name} sent {len(values)} times"
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self):
        return json.loads(self.body.decode("utf-8"))

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:300]!r}>"


class Raw:
    """One TCP connection to the service."""

    def __init__(self, address, timeout=TIMEOUT, source=None):
        self.socket = socket.create_connection(address, timeout=timeout, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_quietly(self, data):
        """Sends as far as the peer lets us: a refusal may close the connection before we are through."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def _line(self):
        while b"\r\n" not in self.buffer:
            if not self._more():
                raise EOFError(f"connection closed inside a line: {self.buffer!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _exactly(self, length):
        while len(self.buffer) < length:
            if not self._more():
                raise EOFError(f"connection closed after {len(self.buffer)} of {length} bytes")
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    def _chunked(self):
        body = b""
        while True:
            size = int(self._line().split(b";")[0], 16)
            body += self._exactly(size)
            if self._line() != b"":
                raise ProtocolError("a chunk does not end in CR LF")
            if size == 0:
                return body

    def read(self, method="GET"):
        """Reads one answer; interim (1xx) answers are returned as well."""
        line = self._line()
        match = STATUS_LINE.match(line)
        if not match:
            raise ProtocolError(f"not a status line: {line!r}")
        status, headers = int(match.group(1)), []
        while True:
            line = self._line()
            if line == b"":
                break
            field = HEADER_LINE.match(line)
            if not field:
                raise ProtocolError(f"not a header line: {line!r}")
            headers.append((field.group(1).decode("ascii"), field.group(2).decode("latin-1")))
        response = Response(status, headers, b"")
        length, coding = response.header("Content-Length"), response.header("Transfer-Encoding")
        if length is not None and coding is not None:
            raise ProtocolError("Content-Length beside Transfer-Encoding")
        if method == "HEAD" or status in (204, 304) or status < 200:
            return response
        if coding is not None:
            if coding.lower() != "chunked":
                raise ProtocolError(f"Transfer-Encoding: {coding}")
            response.body = self._chunked()
        elif length is not None:
            response.body = self._exactly(int(length))
        else:
            response.body = self.rest()
        return response

    def rest(self):
        """Everything that still comes until the peer closes the connection."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            pass
        data, self.buffer = self.buffer, b""
        return data


def head(method, target, headers, version="HTTP/1.1"):
    """The bytes of a request head; `headers` are (name, value) pairs, str or bytes, sent as they stand."""
    lines = [f"{method} {target} {version}".encode("latin-1")]
    for name, value in headers:
        name = name if isinstance(name, bytes) else name.encode("latin-1")
        value = value if isinstance(value, bytes) else str(value).encode("latin-1")
        lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Api:
    """Requests with a token and JSON bodies on one kept-alive connection."""

    def __init__(self, address, token=None, source=None):
        self.address = address
        self.token = token
        self.source = source
        self.raw = None

    def with_token(self, token):
        return Api(self.address, token, self.source)

    @property
    def base(self):
        return f"http://{self.address[0]}:{self.address[1]}"

    def close(self):
        if self.raw:
            self.raw.close()
            self.raw = None

    def request(self, method, target, data=None, *, body=None, headers=(), host=None, auth="token", content_type=None):
        """Sends one request. `data` is sent as JSON; `body` (bytes) as it stands with `content_type`.

        `auth` is "token" for the client's own token, None for no header, else the header's value (str or bytes).
        """
        target = target[len(self.base):] if target.startswith(self.base) else target
        fields = [("Host", host or f"{self.address[0]}:{self.address[1]}")]
        if auth == "token":
            auth = f"Token {self.token}" if self.token else None
        if auth is not None:
            fields.append(("Authorization", auth))
        if data is not None or (body is None and method in ("POST", "PUT", "PATCH") and content_type is None):
            body = b"" if data is None else json.dumps(data).encode()
            content_type = "application/json"
        if content_type is not None:
            fields.append(("Content-Type", content_type))
        if body is not None:
            fields.append(("Content-Length", len(body)))
        fields += list(headers)
        return self._send(method, head(method, target, fields) + (body or b""))

    def _send(self, method, data):
        fresh = self.raw is None
        if fresh:
            self.raw = Raw(self.address, source=self.source)
        try:
            self.raw.send_quietly(data)
            response = self.raw.read(method)
        except (ConnectionResetError, EOFError):
            self.close()
            if fresh:
                raise
            return self._send(method, data)
        except BaseException:
            self.close()
            raise
        if (response.header("Connection") or "").lower() == "close":
            self.close()
        return response

    def get(self, target, **more):
        return self.request("GET", target, **more)

    def post(self, target, data=None, **more):
        return self.request("POST", target, data, **more)

    def put(self, target, data=None, **more):
        return self.request("PUT", target, data, **more)

    def patch(self, target, data=None, **more):
        return self.request("PATCH", target, data, **more)

    def delete(self, target, **more):
        return self.request("DELETE", target, **more)

    # The two calls that nearly every test makes; they fail loudly when the service refuses.
    def create(self, **fields):
        response = self.post("/api/v1/schedule/", fields)
        assert response.status == 201, response
        return response.json()

    def schedule(self, schedule):
        response = self.get(f"/api/v1/schedule/{schedule if isinstance(schedule, str) else schedule['id']}/")
        assert response.status == 200, response
        return response.json()

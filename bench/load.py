# SPDX-License-Identifier: BSD-3-Clause
"""Creates schedules through the API over many connections at once, as fast as the service takes them or at a pace."""
import json
import selectors
import socket
import time


def request_text(path, token, body):
    text = json.dumps(body, separators=(",", ":")).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    ).encode() + text


class Connection:
    """One request outstanding at a time; `read` is true once its answer is whole."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bytes = b""

    def send(self, text):
        self.bytes = b""
        self.socket.sendall(text)

    def read(self):
        got = self.socket.recv(65536)
        if not got:
            raise OSError("the service closed a connection: " + self.bytes[:200].decode("latin-1"))
        self.bytes += got
        head, separator, body = self.bytes.partition(b"\r\n\r\n")
        if not separator:
            return False
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return False
        if not head.startswith(b"HTTP/1.1 201"):
            raise OSError("not created: " + self.bytes[:400].decode("latin-1"))
        return True


def create(port, token, bodies, connections=128, rate=None):
    """POSTs every body to /api/v1/schedule/; at most `rate` a second. Returns the seconds it took."""
    began, sent, open_n = time.monotonic(), 0, 0
    texts = (request_text("/api/v1/schedule/", token, body) for body in bodies)
    selector = selectors.DefaultSelector()
    idle = [Connection(port) for _ in range(connections)]
    for connection in idle:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    text = next(texts, None)
    while text or open_n:
        while text and idle and (not rate or sent <= (time.monotonic() - began) * rate):
            idle[-1].send(text)
            idle.pop()
            sent, open_n, text = sent + 1, open_n + 1, next(texts, None)
        for key, _ in selector.select(0.001 if rate else 1):
            if key.data.read():
                idle.append(key.data)
                open_n -= 1
    for connection in idle:
        connection.socket.close()
    return time.monotonic() - began

# SPDX-License-Identifier: BSD-3-Clause
"""A scriptable endpoint: whatever a program behind a URL can do wrong, byte by byte, on loopback.

A script is a tuple of steps, run in order on one connection; without a last step `keep` the connection is closed. A
listener has a list of scripts, one per request, of which the last repeats, and writes down every request it read. Each
case gets a listener, so a port, of its own: to the service that is a lane of its own, and what hangs slows no other case.
"""
import asyncio
import contextlib
import random
import socket
import struct
import subprocess
import threading
import time

PIECE = b"x" * 16384
SEND_BUFFER = 65536     # so that what we sent is, but for this, what the service let in


class Request:
    """What the promise says goes with a request; `at` is the wall-clock instant (s) at which its head was complete."""

    def __init__(self, head, body_n, connection):
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.at = time.time()
        self.method, self.target = lines[0].split(" ")[:2]
        self.host = fields.get("host")
        self.run_id = fields.get("idempotency-key", "").strip('"')
        self.attempt = int(fields.get("seed-attempt", 0))
        self.planned = fields.get("seed-planned-at")
        self.body_n = body_n
        self.connection = connection


class Talk:
    """One connection as the steps see it."""

    def __init__(self, listener, reader, writer):
        self.listener, self.reader, self.writer = listener, reader, writer
        self.socket = writer.get_extra_info("socket")
        listener.connections += 1
        self.number = listener.connections
        listener.open += 1
        listener.open_most = max(listener.open_most, listener.open)
        self.is_kept = False

    async def read_request(self):
        """None when the service closed instead."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            body = await self.reader.readexactly(sum(length))
        except (asyncio.IncompleteReadError, OSError):
            return None
        request = Request(head[:-4], len(body), self.number)
        self.listener.requests.append(request)
        return request

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    def abort(self):
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


# ---- steps: each makes a coroutine of a Talk ----

def say(*pieces):
    async def step(talk):
        for piece in pieces:
            await talk.write(piece)
    return step


def answer(status, *fields, body=b"", phrase="Scripted"):
    """A well-formed answer with a length, after which the connection is fit for the next request."""
    lines = [f"HTTP/1.1 {status} {phrase}", *fields]
    if status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return say("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def drip(data, pause_s):
    """One byte at a time."""
    async def step(talk):
        for n in range(len(data)):
            await talk.write(data[n:n + 1])
            await asyncio.sleep(pause_s)
    return step


def pour(bytes_n, wrap=lambda piece: piece):
    """Sends so much, as fast as the service takes it, and writes down how much that was."""
    async def step(talk):
        sent = 0
        try:
            # Behind the end of the connection, once it has heard of it, asyncio takes and forgets whatever is written.
            while sent < bytes_n and not talk.reader.at_eof():
                await talk.write(wrap(PIECE))
                await asyncio.sleep(0)
                sent += len(PIECE)
                talk.listener.poured = max(talk.listener.poured, sent)
        except OSError:
            pass
    return step


def wait(seconds):
    async def step(_):
        await asyncio.sleep(seconds)
    return step


def wait_some(most_s):
    async def step(_):
        await asyncio.sleep(random.uniform(0, most_s))
    return step


async def hang(talk):
    """Until the service gives up; whatever else it says is read and forgotten."""
    while await talk.reader.read(65536):
        pass


async def stall(_):
    """Not a byte more is read."""
    await asyncio.Event().wait()


async def reset(talk):
    """RST: nothing that was not yet delivered will be."""
    await asyncio.sleep(0.02)       # what was said before is with the peer's kernel by then
    talk.abort()


async def reset_now(talk):
    """The answer and the RST behind it arrive as one."""
    talk.abort()


async def vanish(talk):
    """FIN without a TLS goodbye, at once."""
    talk.writer.transport.abort()


async def keep(talk):
    talk.is_kept = True


async def begun(talk):
    """The first byte of the request has come."""
    await talk.reader.read(1)


async def unread(_):
    """As the first step: what follows happens before the request is read."""


class Listener:
    """A port with its scripts, and what came of them."""

    def __init__(self, scripts, tls=None):
        self.scripts, self.tls = list(scripts), tls
        self.requests, self.connections, self.open, self.open_most, self.poured = [], 0, 0, 0, 0
        self.server = self.port = None
        self.tasks = set()

    async def start(self, receive_buffer=None):
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        sock.bind(("127.0.0.1", 0))
        self.server = await asyncio.start_server(self.serve, sock=sock, ssl=self.tls, backlog=256)
        self.port = sock.getsockname()[1]

    def next_script(self):
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]

    async def serve(self, reader, writer):
        talk = Talk(self, reader, writer)
        self.tasks.add(asyncio.current_task())
        # With TLS and none at all asyncio would wait for ever, and left to itself it keeps half a mebibyte back.
        writer.transport.set_write_buffer_limits(high=SEND_BUFFER if self.tls else 0)
        try:
            while True:
                talk.is_kept = False
                script = self.scripts[0]
                if script[0] is not unread:
                    if not await talk.read_request():
                        break
                script = self.next_script()
                for step in script:
                    await step(talk)
                if not talk.is_kept:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self.tasks.discard(asyncio.current_task())
            with contextlib.suppress(Exception):
                writer.close()


class Endpoint:
    """The event loop on a thread of its own, its listeners, and the sockets that nobody serves."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)     # broken handshakes and resets are the point here
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.listeners, self.sockets, self.servers = [], [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, coroutine, timeout=30):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def listen(self, *scripts, tls=None, receive_buffer=None):
        listener = Listener(scripts, tls)
        self.call(listener.start(receive_buffer))
        self.listeners.append(listener)
        return listener

    def silent_port(self, backlog=64, address="127.0.0.1", port=0):
        """The kernel accepts, no program ever does."""
        sock = socket.socket()
        sock.bind((address, port))
        sock.listen(backlog)
        self.sockets.append(sock)
        return sock.getsockname()[1]

    def refusing_port(self):
        """Taken, so that nobody else gets it, and not listening: the kernel answers RST."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.sockets.append(sock)
        return sock.getsockname()[1]

    def blackhole_port(self, address="127.0.0.1", port=0):
        """A listener whose backlog is full: the kernel drops every further SYN, which then looks like a host that is off.
        It is filled until a connection does not come about any more."""
        port = self.silent_port(0, address, port)
        for _ in range(16):
            sock = socket.socket()
            sock.settimeout(0.2)
            self.sockets.append(sock)
            try:
                sock.connect((address, port))
            except TimeoutError:
                return port
        raise AssertionError("this kernel takes connections beyond the backlog: no blackhole to be had")

    def handshake_port(self, context):
        """TLS handshakes that are meant to fail, one after the other. A thread with blocking calls does it because asyncio
        keeps the alert that says why to itself."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(64)
        self.sockets.append(sock)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = sock.accept()
                    peer.settimeout(2)
                    with contextlib.suppress(OSError):
                        context.wrap_socket(peer.dup(), server_side=True)
                    with contextlib.suppress(OSError):
                        peer.shutdown(socket.SHUT_WR)
                        while peer.recv(65536):     # what is left unread would turn our FIN into an RST
                            pass
                    peer.close()
        threading.Thread(target=serve, daemon=True).start()
        return sock.getsockname()[1]

    def renegotiating_port(self, certificate):
        """TLS 1.2 that asks for another handshake when it has read a request; by the openssl command, since Python cannot."""
        server = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-cert", certificate, "-key",
                                   certificate], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, errors="replace")
        self.servers.append(server)
        port = next(int(line.rpartition(":")[2]) for line in server.stdout if line.startswith("ACCEPT "))

        def serve():
            with contextlib.suppress(OSError):
                for line in server.stdout:
                    if line.startswith("POST "):
                        server.stdin.write("r\n")
                        server.stdin.flush()
        threading.Thread(target=serve, daemon=True).start()
        return port

    def drop_connections(self):
        """Ends every connection, so that the service's idle ones end as well."""
        async def cancel():
            for listener in self.listeners:
                for task in list(listener.tasks):
                    task.cancel()
        self.call(cancel())

    def close(self):
        async def stop():
            for listener in self.listeners:
                listener.server.close()
        self.call(stop())
        self.drop_connections()
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for server in self.servers:
            server.kill()
            server.wait()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

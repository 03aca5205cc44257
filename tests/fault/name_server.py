# SPDX-License-Identifier: BSD-3-Clause
"""A name server on loopback (RFC 1035, UDP and TCP on one port) that answers each name as its script says.

A script is a function of the question that returns the answer's bytes, or None for silence. Names without one lead to
127.0.0.1.
"""
import asyncio
import socket
import struct

A, CNAME, AAAA = 1, 5, 28
UDP_BYTES_MAX = 512
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


class Question:
    """`turn` counts the lookups of this name from 0: the A questions before this one."""

    def __init__(self, packet):
        self.id, self.flags = struct.unpack("!HH", packet[:4])
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]])
            at += 1 + packet[at]
        self.name = b".".join(labels).decode("latin-1").lower()
        self.kind, = struct.unpack("!H", packet[at + 1:at + 3])
        self.text = packet[12:at + 5]
        self.turn = 0

    def head(self, code=NOERROR, answers_n=0, truncated=False):
        flags = 0x8180 | code | (0x200 if truncated else 0)
        return struct.pack("!HHHHHH", self.id, flags, 1, answers_n, 0, 0) + self.text


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(owner, kind, data):
    return owner + struct.pack("!HHIH", kind, 1, 0, len(data)) + data


def addresses(*texts):
    """The addresses of the family that was asked for; of the other none."""
    def script(question):
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(question.kind)
        ours = [text for text in texts if family and (":" in text) == (family == socket.AF_INET6)]
        data = [socket.inet_pton(family, text) for text in ours]
        return question.head(answers_n=len(data)) + b"".join(record(b"\xc0\x0c", question.kind, one) for one in data)
    return script


def by_turns(*scripts):
    """Another answer each time; the last one repeats."""
    return lambda question: scripts[min(question.turn, len(scripts) - 1)](question)


def code(number):
    return lambda question: question.head(number)


def silence(_):
    return None


def cname_loop(question):
    """The name is another one's alias, and that one is the name's."""
    other = encode("other.endpoint.test")
    return (question.head(answers_n=2) + record(b"\xc0\x0c", CNAME, other) + record(other, CNAME, encode(question.name)))


def pointer_loop(question):
    """A compressed name that points to itself."""
    at = 12 + len(question.text)
    return question.head(answers_n=1) + record(struct.pack("!H", 0xc000 | at), question.kind, b"\x7f\0\0\1")


def foreign_id(question):
    """The right answer to another question: a forger who has not seen ours."""
    forged = addresses("127.0.0.1")(question)
    return struct.pack("!H", question.id ^ 0x5555) + forged[2:]


def noise(question):
    return struct.pack("!H", question.id) + b"\x81\x80" + b"\xff" * 40


class NameServer(asyncio.DatagramProtocol):
    """Runs on the endpoint's loop."""

    def __init__(self, endpoint):
        self.endpoint, self.scripts, self.turns = endpoint, {}, {}
        self.transport = self.tcp = None
        self.port = endpoint.call(self.start())

    async def start(self):
        """A port that is free for both protocols is found by trying."""
        loop = asyncio.get_running_loop()
        for _ in range(50):
            self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
            port = self.transport.get_extra_info("sockname")[1]
            try:
                self.tcp = await asyncio.start_server(self.serve_tcp, "127.0.0.1", port)
                return port
            except OSError:
                self.transport.close()
        raise AssertionError("no port is free for UDP and TCP")

    def respond(self, packet):
        question = Question(packet)
        question.turn = self.turns.get(question.name, 0)
        data = self.scripts.get(question.name, addresses("127.0.0.1"))(question)
        return question, data

    def count(self, question):
        """A question that is asked again by TCP, because it was too large, counts once."""
        if question.kind == A:
            self.turns[question.name] = question.turn + 1

    def datagram_received(self, data, addr):
        question, text = self.respond(data)
        if text is None:
            self.count(question)
        elif len(text) > UDP_BYTES_MAX:
            self.transport.sendto(question.head(truncated=True), addr)
        else:
            self.count(question)
            self.transport.sendto(text, addr)

    async def serve_tcp(self, reader, writer):
        try:
            while True:
                length, = struct.unpack("!H", await reader.readexactly(2))
                question, text = self.respond(await reader.readexactly(length))
                self.count(question)
                if text is None:
                    continue
                writer.write(struct.pack("!H", len(text)) + text)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    def close(self):
        async def stop():
            self.transport.close()
            self.tcp.close()
        self.endpoint.call(stop())

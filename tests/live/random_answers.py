"""Random answers of an upstream: what goes over the wire, and what of it must arrive. Seeded: a number is an answer.

What may differ on the way is listed here, and nothing else may.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from random import Random

from tests.live.bare import Got, Pairs, Played, answer_bytes, chunked

# Answers: dropped are the fields of one connection (RFC 9110 7.6.1), those that `connection` names, cookies of the upstream,
# and whatever poses as ours. Added are `x-proxy-*`, this connection's own two, and `server` and `date` where there were none.
DROPPED = {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
DROPPED |= {"set-cookie", "x-named-by-connection"}
OF_THIS_CONNECTION = {"connection", "transfer-encoding"}

ODD_HEADERS: Pairs = [
    ("x-repeated", "one"),
    ("X-Repeated", "two"),
    ("x-repeated", "one"),
    ("X-ALL-CAPS", "LOUD"),
    ("x_under_score", "kept"),
    ("X-Empty", ""),
    ("X-Latin", "caf\xe9 \xff"),
    ("X-Quoted", 'a="b;c", d=\\"e\\"'),
    ("x-inner-spaces", "a  b\tc"),
    ("X-Long", "v" * 12_000),
    ("Vary", "Accept-Encoding"),
    ("vary", "Origin"),
    ("Server", "cloudflare"),
    ("DATE", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("retry-after", "7"),
    ("request-id", "req_upstream"),
    ("anthropic-ratelimit-unified-status", "allowed"),
    ("Trailers", "a field of this name is none of ours"),
    ("x!#$%&'*+.^`|~", "every character a name may have"),
    ("Set-Cookie", "session=upstream"),
    ("X-Proxy-Provider", "forged"),
    ("Keep-Alive", "timeout=5"),
    ("Connection", "keep-alive, X-Named-By-Connection"),
    ("X-Named-By-Connection", "only for the next hop"),
]
LINES = ["200 OK", "200 Fine, thanks", "200 ", "201 Created", "206 Partial Content", "299 Odd", "302 Found", "400 Bad Request"]
LINES += ["401 Unauthorized", "403 Forbidden", "404 Not Found", "409 caf\xe9", "413 Too Large", "418 I'm a teapot", "451 No"]
EMPTY_LINES = ["204 No Content", "204 Gone quiet", "304 Not Modified"]
EVENTS = [
    b'event: message_start\ndata: {"type":"message_start"}\n\n',
    b": a comment\n\n",
    b'event: never_heard_of\ndata: {"type":"never_heard_of","x":"\xc3\xa9"}\n\n',
    b"data: without a name\n\n",
    b"id: 7\nretry: 10\ndata: two\ndata: lines\n\n",
    b'event: ping\r\ndata: {"type": "ping"}\r\n\r\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]


class Made:
    """One random answer: what goes over the wire, and what of it must arrive."""

    def __init__(self, number: int) -> None:
        random = Random(number)
        self.streamed = random.random() < 0.4
        self.line = "200 OK" if self.streamed else random.choice(LINES + EMPTY_LINES)
        self.bodiless = self.line in EMPTY_LINES
        self.headers = random.sample(ODD_HEADERS, random.randrange(len(ODD_HEADERS)))
        self.body = b"" if self.bodiless else self._events(random) if self.streamed else self._document(random)
        if self.streamed:
            self.headers.append(("Content-Type", "text/event-stream"))
        if self.body[:2] == b"\x1f\x8b":
            self.headers.append(("Content-Encoding", "gzip"))
        framing = random.choice(["chunked", "length", "close"])
        wire = self._interim(random) + self._framed(framing, random)
        self.played = Played(tuple(_cut(wire, random)), "fin" if framing == "close" and not self.bodiless else "keep")
        self.stream = self.streamed or (self.line[0] != "2" and random.random() < 0.5)

    def _events(self, random: Random) -> bytes:
        events = [EVENTS[0], *random.choices(EVENTS[1:-1], k=random.randrange(12)), EVENTS[-1]]
        whole = random.choice([b"", b"", b"\xef\xbb\xbf"]) + b"".join(events)
        crlf = whole.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return random.choice([whole, whole, whole, whole, crlf, gzip.compress(whole)])

    def _document(self, random: Random) -> bytes:
        plain = json.dumps({"n": random.random(), "text": "\u00e9\u2028" * random.randrange(200)}).encode()
        noise = random.randbytes(random.randrange(200_000))
        return random.choice([plain, b" " + plain + b"\n", b"", noise, gzip.compress(plain)])

    def _interim(self, random: Random) -> bytes:
        head = answer_bytes("103 Early Hints", [("Link", "</x>; rel=preload"), ("X-Interim", "1")])
        return random.choice([b"", b"", b"", answer_bytes("100 Continue", []), head, head + head])

    def _framed(self, framing: str, random: Random) -> bytes:
        if self.bodiless:
            return answer_bytes(self.line, self.headers)
        if framing == "chunked":
            trailers = random.choice([b"", b"X-Trailer: 1\r\nx-other: 2\r\n"])
            pieces = chunked(*_cut(self.body, random), trailers=trailers)
            coding = ("transfer-encoding", random.choice(["chunked", "Chunked"]))
            return answer_bytes(self.line, [*self.headers, coding, ("trailer", "x-trailer")], pieces)
        if framing == "length":
            self.headers.append(("content-length", str(len(self.body))))
        return answer_bytes(self.line, self.headers, self.body)

    def differs(self, got: Got) -> str:
        reason = self.line.partition(" ")[2] or "OK"
        if got.line != f"HTTP/1.1 {self.line[:3]} {reason}" or not got.whole:
            return f"{got.line} instead of {self.line}"
        if hashlib.sha256(got.body).digest() != hashlib.sha256(self.body).digest():
            return f"{len(got.body)} bytes of body instead of {len(self.body)}"
        expected = [(name, value) for name, value in self.headers if not _dropped(name, self.headers)]
        received = [(name, value) for name, value in got.headers if not _added(name, expected)]
        return "" if received == expected else f"{received} instead of {expected}"


def _dropped(name: str, headers: Pairs) -> bool:
    lower = name.lower()
    if lower == "x-named-by-connection":
        return any(other == "Connection" for other, _ in headers)
    return lower in DROPPED or lower.startswith("x-proxy-")


def _added(name: str, expected: Pairs) -> bool:
    lower = name.lower()
    given = {other.lower() for other, _ in expected}
    return lower in OF_THIS_CONNECTION or lower.startswith("x-proxy-") or (lower in ("server", "date") and lower not in given)


def _cut(content: bytes, random: Random) -> Iterator[bytes]:
    """In random pieces: byte by byte, a few, or all at once."""
    longest = random.choice([max(1, len(content) // 40), max(1, len(content) // 3), len(content) + 1])
    while content:
        size = random.randint(1, longest)
        yield content[:size]
        content = content[size:]

"""Amazon's event-stream frames, made by hand.

Knows the binary layout (two lengths, checksum of these, headers, payload, checksum of everything before it); refuses
to know what is in a payload. Pure. Invariant: every frame is one that botocore reads, except those made to be wrong.
"""

from __future__ import annotations

import base64
import struct
import zlib

STRING = 7
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CHUNK_HEADERS = ((":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event"))
EXCEPTION_HEADERS = ((":content-type", "application/json"), (":message-type", "exception"))


def frame(headers: tuple[tuple[str, str], ...], payload: bytes) -> bytes:
    """One frame with string headers."""
    encoded = b"".join(_header(name, value) for name, value in headers)
    prelude = struct.pack(">II", 16 + len(encoded) + len(payload), len(encoded))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + encoded + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    written, text = name.encode(), value.encode()
    return struct.pack(">B", len(written)) + written + struct.pack(">BH", STRING, len(text)) + text


def chunk_frame(event: bytes, padding: int) -> bytes:
    """An event of the model: its JSON in base64, padded with letters against reading lengths off the wire."""
    payload = b'{"bytes":"%s","p":"%s"}' % (base64.b64encode(event), ALPHABET[: padding % len(ALPHABET)].encode())
    return frame(CHUNK_HEADERS, payload)


def exception_frame(kind: str, payload: bytes) -> bytes:
    """`kind` is a member of the stream's shape, such as `throttlingException`."""
    return frame(((":exception-type", kind), *EXCEPTION_HEADERS), payload)


def with_wrong_checksum(content: bytes) -> bytes:
    """The same frame with its last checksum off by one bit."""
    return content[:-1] + bytes((content[-1] ^ 1,))

"""Log lines: one JSON object a line on stdout, in the shape of SPEC section 13.

Two doors: `configure_logging` for application and server logs through `logging`, and `AccessLog` for the one line of each
request, written straight to the descriptor. Knows nothing of requests or settings. Invariants: a line is at most
`MOST_LINE_BYTES` long, is valid JSON, and never holds a credential (`redact`); writing one never raises and never waits for
a reader that does not read.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import traceback
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

MOST_LINE_BYTES = 8192

# Whatever level is asked for: below WARNING these tell requests' addresses, headers and parameters, or only their own set-up.
_CHATTY = ("alembic", "boto3", "botocore", "urllib3")
_CUT = "...[cut]..."
_MOST_RAW_CHARS = 200_000
_MOST_HELD_BYTES = 1024 * 1024
# How much of each text stays, tried in this order until the line fits.
_TEXT_CHARS = (3000, 800, 200, 60)
# Everything that lets somebody in, as it looks in prose, in headers, in URLs and inside JSON text. `ak_` and 12 more
# characters is an access key or a piece of one that is longer than the prefix we show.
_SECRETS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"ak(?:_|%5[fF])[0-9A-Za-z]{12,}", "ak_[redacted]"),
        (r"/claim/(?!style\.css|icon\.svg)[^\s/?#\"'\\]+", "/claim/[redacted]"),
        (r"sk-ant-[0-9A-Za-z_\-]+", "sk-ant-[redacted]"),
        (r"ABSK[0-9A-Za-z+/=_\-]{8,}", "ABSK[redacted]"),
        (r"bedrock-api-key-[0-9A-Za-z+/=_%.\-]+", "bedrock-api-key-[redacted]"),
        (
            r"(?i)\b(authorization|x-api-key|x-proxy-key)(['\"\\]*\s*[:=,]\s*(?:b(?='))?['\"\\]*)(?:(?:bearer|basic)\s+)?[^\s'\"\\,;]+",
            r"\1\2[redacted]",
        ),
        (r"(?i)\bbearer(\s+|%20)[^\s\"'\\,;\[][^\s\"'\\,;]*", "Bearer [redacted]"),
        (r"(?i)\b(cookie)(['\"\\]*\s*[:=,]\s*(?:b(?='))?['\"\\]*)[^'\"\\\r\n]+", r"\1\2[redacted]"),
        (r"(\w://[^\s:/@\"']*):[^\s/@\"']+@", r"\1:[redacted]@"),
        (r"eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]+\.[0-9A-Za-z_\-]+", "[redacted token]"),
    )
)
# One of these is in every text that one of the patterns matches; looking for them is some twenty times as fast.
_MARKS = ("/claim/", "ak_", "ak%5f", "sk-ant-", "absk", "bearer", "cookie", "-key", "authorization", "://", "eyj")


def redact(text: str) -> str:
    """The text without credentials. Works on JSON text, too, and leaves it valid."""
    lowered = text.lower()
    for mark in _MARKS:
        if mark in lowered:
            break
    else:
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def utc_stamp(unix_s: float) -> str:
    """`2026-11-23T10:00:00.123Z`."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class JsonFormatter(logging.Formatter):
    """Formats any log record. `extra={"request_id": ..., "context": {...}}` fills the fields of those names."""

    def format(self, record: logging.LogRecord) -> str:
        log = "error" if record.levelno >= logging.ERROR else "app"
        context: dict[str, Any] = {"log": log, "logger": record.name}
        given = getattr(record, "context", None)
        if isinstance(given, Mapping):
            context |= {str(name): value for name, value in given.items()}
        if record.exc_info and record.exc_info[0] is not None:
            context["traceback"] = _cut("".join(traceback.format_exception(*record.exc_info)), _MOST_RAW_CHARS)
        entry = {
            "timestamp": utc_stamp(record.created),
            "level": record.levelname,
            "request_id": str(getattr(record, "request_id", "")),
            "message": _message(record),
            "context": context,
        }
        return _fitted(entry).decode()


class LineWriter:
    """Whole lines to a descriptor that others may share; `open_quietly` makes one that never holds the caller up.

    What a full pipe does not take waits here for the next write, so much and no more. `dropped` counts lines that are lost.
    """

    __slots__ = ("_begun", "_fd", "_held", "_held_bytes", "dropped")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._begun = False  # a line stands there that has no end yet
        self.dropped = 0

    def write(self, line: bytes) -> None:
        """`line` ends with its newline. Never raises."""
        if self._held_bytes + len(line) > _MOST_HELD_BYTES:
            self.dropped += 1
        else:
            whole = b"\n" + line if self._begun and not self._held else line
            self._held.append(whole)
            self._held_bytes += len(whole)
        while self._held and self._push():
            continue

    def _push(self) -> bool:
        """Write the oldest line, or what is left of it. False when nothing more can be written now."""
        line = self._held.popleft()
        self._held_bytes -= len(line)
        try:
            written = os.write(self._fd, line)
        except BlockingIOError:
            written = 0
        except OSError:  # nobody will ever read, or the disk is full
            self.dropped += 1 + len(self._held)
            self._held.clear()
            self._held_bytes = 0
            return False
        if written == len(line):
            self._begun = False
            return True
        self._begun = self._begun or written > 0
        self._held.appendleft(line[written:])
        self._held_bytes += len(line) - written
        return False


def open_quietly(fd: int) -> int:
    """A descriptor of the same pipe or terminal that does not wait for its reader: the whole worker would stand still.

    Opened anew, because whoever shares `fd` (a shell, gunicorn's master) relies on waiting. Where that is not allowed (a pipe
    made by another user) or not possible (a socket), `fd` itself no longer waits. A file never makes anybody wait.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return os.open(f"/dev/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            pass
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        os.set_blocking(fd, False)
    return fd


class AccessLog:
    """The one line of each request. Without `logging`, which would cost more than all the rest of the books."""

    __slots__ = ("_writer",)

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    @property
    def dropped(self) -> int:
        return self._writer.dropped

    def write(self, request_id: str, unix_s: float, context: Mapping[str, Any]) -> None:
        """`context` is flat JSON, small and without credentials by construction; both are checked all the same."""
        entry = {
            "timestamp": utc_stamp(unix_s),
            "level": "INFO",
            "request_id": request_id,
            "message": "request",
            "context": {"log": "access", **context},
        }
        line = _dumped(entry)
        if len(line) >= MOST_LINE_BYTES or _may_hold_secret(line):
            line = _fitted(entry)
        self._writer.write(line + b"\n")


class _LineHandler(logging.Handler):
    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record).encode() + b"\n")
        except Exception:
            self.handleError(record)


def configure_logging(level: str, fd: int = 1) -> LineWriter:
    """All of `logging` goes to `fd` as our lines, in place of whatever was configured before, also for single loggers."""
    writer = LineWriter(open_quietly(fd))
    handler = _LineHandler(writer)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    for name in ("", *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.propagate = True
        for old in logger.handlers[:]:
            logger.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return writer


def _may_hold_secret(line: bytes) -> bool:
    """The marks again, the few that matter in a line whose texts are ours but for names that a client sent."""
    return b"ak_" in line or b"sk-ant-" in line or b"ABSK" in line or b"bedrock-api-key-" in line or b"earer" in line


def _message(record: logging.LogRecord) -> str:
    try:
        return _cut(record.getMessage(), _MOST_RAW_CHARS)
    except Exception:  # arguments that do not fit their format; the line must come out all the same
        return _cut(str(record.msg), _MOST_RAW_CHARS)


def _fitted(entry: dict[str, Any]) -> bytes:
    """The entry as one redacted line, its texts cut until it is short enough. Redacted first: half a key is still a key."""
    line = _redacted(_dumped(entry))
    if len(line) < MOST_LINE_BYTES:
        return line
    redacted = orjson.loads(line)
    for chars in _TEXT_CHARS:
        line = _dumped(_shortened(redacted, chars))
        if len(line) < MOST_LINE_BYTES:
            return line
    context = {"log": redacted["context"]["log"], "cut": True}
    return _dumped(_shortened(redacted | {"context": context}, _TEXT_CHARS[-1]))


def _dumped(entry: Any) -> bytes:
    try:
        return orjson.dumps(entry, default=_as_text, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):  # lone surrogates, circles, integers beyond 64 bits
        return orjson.dumps(_plain(entry, 6))


def _redacted(line: bytes) -> bytes:
    text = line.decode()
    cleaned = redact(text)
    return line if cleaned is text else cleaned.encode()


def _as_text(value: object) -> str:
    try:
        return str(value).encode("utf-8", "replace").decode()
    except Exception:
        return f"<{type(value).__name__}>"


def _plain(value: Any, depth: int) -> Any:
    """The same, of what JSON has and no deeper than `depth`."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**53) < value < 2**53:
        return value
    if depth and isinstance(value, Mapping):
        return {_as_text(name): _plain(inner, depth - 1) for name, inner in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_plain(inner, depth - 1) for inner in value]
    return _as_text(value)


def _shortened(value: Any, chars: int) -> Any:
    if isinstance(value, str):
        return _cut(value, chars)
    if isinstance(value, dict):
        return {_cut(name, chars): _shortened(inner, chars) for name, inner in value.items()}
    if isinstance(value, list):
        kept = [_shortened(inner, chars) for inner in value[: chars // 10]]
        return [*kept, _CUT] if len(kept) < len(value) else kept
    return value


def _cut(text: str, chars: int) -> str:
    """Out of the middle: a traceback begins with the edge it was caught at and ends with what happened."""
    if len(text) <= chars:
        return text
    half = (chars - len(_CUT)) // 2
    return text[:half] + _CUT + text[-half:]

"""What Bedrock says when it does not answer, and what the client is told instead.

Pure. Two tables decide: `_RULES` turns type, status and wording into a `Kind`; `ANSWERS` (error_answers.py) turns a kind into
Anthropic's status and error type. Sources: facts on Bedrock sections 2 and 6. Invariant: whatever AWS sends, there is a kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from proxy_app.bedrock.error_answers import ANSWERS, Kind, client_words, fault_of

__all__ = [
    "BedrockFault", "Kind", "fault_of", "from_event", "from_frame", "from_http", "lasting_offenders", "named_offenders",
    "refuses_betas",
]  # fmt: skip

LONGEST_DETAIL = 2000


class BedrockFault(Exception):
    """Bedrock's refusal. `status`, `error_type`, `message` and `headers` are for the client, in Anthropic's words.

    `detail` is Bedrock's own text (it may name an AWS account: for administrators only, never logged with a prompt's words
    in mind), `raw_type` its exception name. From a stream: `first_frame` says that nothing had been translated before it,
    `before` holds the bytes translated in the same feed.
    """

    def __init__(self, kind: Kind, *, detail: str = "", raw_type: str = "") -> None:
        answer = ANSWERS[kind]
        super().__init__(f"{kind.value} ({raw_type or 'unnamed'})")
        self.kind = kind
        self.detail = detail[:LONGEST_DETAIL]
        self.raw_type = raw_type
        self.status = answer.status
        self.error_type = answer.error_type
        self.headers = answer.headers
        self.message = answer.message or client_words(kind, self.detail)
        self.first_frame = False
        self.before = b""


@dataclass(frozen=True, slots=True)
class _Rule:
    """First match wins. Empty `types` and `statuses` match all; `words` is searched in the message."""

    kind: Kind
    types: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    words: re.Pattern[str] | None = None

    def matches(self, name: str, status: int, message: str) -> bool:
        if (self.types or self.statuses) and name not in self.types and status not in self.statuses:
            return False
        return self.words is None or self.words.search(message) is not None


def _rule(kind: Kind, types: str = "", statuses: tuple[int, ...] = (), words: str = "") -> _Rule:
    pattern = re.compile(words, re.IGNORECASE) if words else None
    return _Rule(kind, frozenset(types.split()), frozenset(statuses), pattern)


# Types are compared without case and without "Exception" ("ThrottlingException" is "throttling").
_RULES = (
    _rule(Kind.USE_CASE_FORM, words=r"use case details"),
    _rule(Kind.USE_CASE_FORM, "ftuformnotfilled"),
    _rule(Kind.DATA_RETENTION, words=r"data retention mode"),
    _rule(Kind.ON_DEMAND, words=r"on-demand throughput isn.?t supported"),
    _rule(Kind.INVALID_IDENTIFIER, words=r"model identifier is invalid|reached the end of its life"),
    _rule(
        Kind.AUTH,
        "invalidclienttokenid unrecognizedclient expiredtoken notauthorized requestexpired authentication_error"
        " missingauthenticationtoken incompletesignature invalidsignature",
        (401,),
    ),
    _rule(Kind.AUTH, "accessdenied", (403,), r"api key|bearer ?token|security token|authorization header|authentication"),
    _rule(Kind.NOT_ENTITLED, "accessdenied mpagreementbeingcreated permission_error", (403,)),
    _rule(Kind.QUOTA_DAY, "servicequotaexceeded"),
    _rule(Kind.QUOTA_DAY, "throttling rate_limit_error", (429,), r"per day|daily"),
    _rule(Kind.THROTTLED, "throttling modelnotready rate_limit_error toomanyrequests", (429,)),
    _rule(Kind.OVERLOADED, "serviceunavailable overloaded_error", (503, 529)),
    _rule(Kind.TIMEOUT, "modeltimeout timeout_error", (408, 504)),
    _rule(Kind.TOO_LARGE, "request_too_large requestentitytoolarge", (413,)),
    _rule(Kind.INVALID_IDENTIFIER, "resourcenotfound not_found_error", (404,)),
    _rule(
        Kind.INTERNAL,
        "internalserver internalservererror internalfailure modelerror modelstreamerror api_error unknownoperation",
        (424, 500, 502),
    ),
    _rule(Kind.TOO_LONG, words=r"input is too long|prompt is too long|exceed context limit|too many input tokens"),
    _rule(
        Kind.BETA_OR_FIELD,
        words=r"invalid beta flag|unexpected value\(s\)|extra inputs are not permitted|does not match any of the expected tags"
        r"|is deprecated for this model|not supported (?:for|on|by) this model|does not support the effort"
        r"|thinking\.\w+\.display: input should be|role: input should be",
    ),
    _rule(Kind.THINKING, words=r"signature|thinking.*(?:block|bound|modified)|expected .?thinking"),
)

_OVERLOADED_ORIGINS = frozenset((429, 503, 529))


def from_http(status: int, headers: Mapping[str, str], body: bytes) -> BedrockFault:
    """An HTTP answer that is not a message, of any status. `headers` have lower-case names. Never raises."""
    name, said, wrapped = _unwrapped(body)
    typed = headers.get("x-amzn-errortype", "")
    message = _text(said, *_MESSAGE_KEYS) or headers.get("x-amzn-errormessage", "")
    return _fault(name if name and (wrapped or not typed) else typed, status, message, said)


def from_frame(headers: Mapping[str, Any], payload: bytes, *, first_frame: bool = False) -> BedrockFault:
    """An exception or error frame, or an event frame that carries an exception's name. Never raises."""
    inner, said, wrapped = _unwrapped(payload)
    names = (headers.get(key) for key in (":exception-type", ":error-code", ":event-type"))
    name = inner if wrapped and inner else next((str(name) for name in names if name), "")
    message = _text(said, *_MESSAGE_KEYS) or str(headers.get(":error-message", ""))
    return _streamed(_fault(name, 0, message, said), first_frame)


def from_event(event: Mapping[str, Any], *, first_frame: bool = False) -> BedrockFault:
    """Anthropic's own `error` event inside a chunk. Never raises."""
    error = event.get("error")
    inner = error if isinstance(error, dict) else {}
    return _streamed(_fault(_text(inner, "type"), 0, _text(inner, "message"), inner), first_frame)


_MESSAGE_KEYS = ("message", "Message", "errorMessage")


def _unwrapped(body: bytes) -> tuple[str, dict[str, Any], bool]:
    """Type and fields of an error; whether they were in Anthropic's envelope or in the wrapping of unknown operations."""
    outer = _object(body)
    inner = outer.get("error") if outer.get("type") == "error" else outer.get("Output")
    if isinstance(inner, dict):
        return _text(inner, "type", "__type"), inner, True
    return _text(outer, "__type", "code", "Code"), outer, False


def _streamed(fault: BedrockFault, first_frame: bool) -> BedrockFault:
    fault.first_frame = first_frame
    if not first_frame and fault.kind in (Kind.THROTTLED, Kind.QUOTA_DAY):
        # In mid-stream a rate limit reads like the developer's own limit; what happened is that capacity ran out.
        fault.status, fault.error_type = 529, "overloaded_error"
    return fault


def _fault(raw_type: str, status: int, message: str, body: Mapping[str, Any]) -> BedrockFault:
    name = _short_name(raw_type)
    origin = body.get("originalStatusCode")
    message = (message or _text(body, "originalMessage")).removeprefix("The model returned the following errors: ")
    if isinstance(origin, int) and origin in _OVERLOADED_ORIGINS:
        return BedrockFault(Kind.OVERLOADED, detail=message, raw_type=name)
    bare = name.lower().removesuffix("exception")
    kind = next((rule.kind for rule in _RULES if rule.matches(bare, status, message)), None)
    return BedrockFault(kind or (Kind.INTERNAL if status >= 500 else Kind.VALIDATION), detail=message, raw_type=name)


def _short_name(raw_type: str) -> str:
    """`ThrottlingException:http://...` and `com.amazon#ThrottlingException` are both `ThrottlingException`."""
    return raw_type.partition(":")[0].rpartition("#")[2].strip()[:80]


# What a 400 names.
_BETA_TEXT = re.compile(
    r"unexpected value\(s\)(?P<names>.{1,600}?)for the .?anthropic-beta|invalid beta flag:?(?P<flag>.{0,120})", re.I | re.S
)
_BETA_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*-20\d\d-?\d\d-?\d\d")
_PATH = re.compile(r"(?P<path>[a-z_0-9]+(?:\.[a-z_0-9]+)*): extra inputs are not permitted", re.I)
# Parts of a path that say where, not what.
_PLACES = frozenset(("custom", "ephemeral", "adaptive", "enabled", "disabled", "content", "tool_result", "text", "tool_use"))
_NAMED_FIELDS = (
    (re.compile(r"(temperature|top_p|top_k).{0,40}(?:deprecated|not supported)", re.I), "sampling"),
    (re.compile(r"(temperature|top_p|top_k).{0,40}(?:deprecated|not supported)", re.I), "sampling.default"),
    (re.compile(r"tool_choice.{0,40}not supported", re.I), "tool_choice.forced"),
    (re.compile(r"thinking\.type\.enabled.{0,4}is not supported", re.I), "thinking.enabled"),
    (re.compile(r"adaptive thinking is not supported|input tag 'adaptive'", re.I), "thinking.adaptive"),
    (re.compile(r"thinking\.type\.disabled.{0,4}is not supported|input tag 'disabled'", re.I), "thinking.disabled"),
    (re.compile(r"does not support the effort", re.I), "output_config.effort"),
    (re.compile(r"thinking\.\w+\.display: input should be", re.I), "thinking.display.updates"),
    (re.compile(r"input tag 'tool_(?:addition|removal)'", re.I), "messages.tool_changes"),
    (re.compile(r"input tag 'tool_definition'", re.I), "messages.tool_definitions"),
    (re.compile(r"input tag 'tool_reference'|tool_search_tool.{0,60}not supported", re.I), "tools.defer_loading"),
    (re.compile(r"messages\.\d+\.role: input should be|role .?system", re.I), "messages.system"),
)


_QUOTES = "'\"`"
_FIRST_ROLE = "messages.0.role:"  # no conversation begins with a system message, whatever the model


def refuses_betas(message: str) -> bool:
    """Whether a 400 is about the betas as such, named or not."""
    return re.search(r"invalid beta flag|unexpected value\(s\)", message[:LONGEST_DETAIL], re.IGNORECASE) is not None


def named_offenders(message: str) -> Iterator[tuple[str, str]]:
    """All of them, in the order of the text's own kind: betas first."""
    return (offender for offender, _ in _offenders(message[:LONGEST_DETAIL]))


def lasting_offenders(message: str) -> Iterator[tuple[str, str]]:
    """Those that Bedrock names in its own words. A text may quote what the client wrote, and anybody can write anything."""
    message = message[:LONGEST_DETAIL]
    return (offender for offender, start in _offenders(message) if _speaks(message[:start], message[start:]))


def _offenders(message: str) -> Iterator[tuple[tuple[str, str], int]]:
    """Each with the place of its first word."""
    for found in _BETA_TEXT.finditer(message):
        for name in _BETA_NAME.findall(found["names"] or found["flag"] or ""):
            yield ("beta", name), found.start()
    for found in _PATH.finditer(message):
        yield ("field", _feature(found["path"])), found.start()
    for pattern, name in _NAMED_FIELDS:
        if named := pattern.search(message):
            yield ("field", name), named.start()


def _speaks(before: str, said: str) -> bool:
    """Whether what is said there is Bedrock's: nothing is quoted before it, and it is not about an odd place alone."""
    own = before.rstrip(_QUOTES)
    if any(quote in own for quote in _QUOTES) or not (own == before or not own or own.endswith(": ")):
        return False
    return "tool_result" not in own and not said.lower().startswith(_FIRST_ROLE)


def _feature(path: str) -> str:
    """`messages.1.output_config` -> `messages.output_config`; `tools.11.custom.defer_loading` -> `tools.defer_loading`."""
    parts = [part for part in path.split(".") if not part.isdigit() and part not in _PLACES]
    if "cache_control" in parts:
        parts = parts[parts.index("cache_control") :]
    return ".".join(parts)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(body: Mapping[str, Any], *keys: str) -> str:
    return next((body[key] for key in keys if isinstance(body.get(key), str)), "")

"""The pretended Bedrock runtime: routes, credentials, models behind ids, and answers as frames.

Knows InvokeModel, InvokeModelWithResponseStream and CountTokens as AWS documents them; refuses to know sockets.
Invariant: a request is answered only if the real service would take it from this account in this region.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import orjson

from sandbox.allow_sets import part_of
from sandbox.bedrock_errors import ServiceError, authenticate, error_answer, exception_of
from sandbox.bedrock_models import COUNTING_REGIONS, Addressed, Model, addressed
from sandbox.bedrock_refusals import SIGNATURE_PREFIX, Submission, dropped_thinking, refuse
from sandbox.conversation import Invalid
from sandbox.frames import chunk_frame, exception_frame
from sandbox.http import Request
from sandbox.script import Answer, Headers, Send
from sandbox.speech import Speaker, Speech, compose, count_of, events_of, message_of
from sandbox.upstream import Asked, credential_of, json_answer, json_object

ROUTE = re.compile(r"(?:/([a-z]{2}(?:-[a-z]+)+-\d))?/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens)")
SIGNED_REGION = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]+)/bedrock/aws4_request")
MOST_BODY_BYTES = 20_000_000
ACCOUNTS = frozenset({"no-global", "no-retention", "no-form", "old-binding"})
LATENCY_MS = 1180


@dataclass(frozen=True, slots=True)
class Bedrock:
    """`region` None: every profile a model has; a region in the path or in the signature wins.

    `account`: no-global (a policy denies `global.`), no-retention (no opt-in for Fable), no-form (use case not told),
    old-binding (moved thinking is dropped instead of refused). `accepted_seed` leaves each model a random part of its
    betas.
    """

    text: str = "Hello from Bedrock, the second upstream of this sandbox."
    region: str | None = None
    account: frozenset[str] = frozenset()
    accepted_seed: str | None = None

    @property
    def _speaker(self) -> Speaker:
        return Speaker(self.text, infix="bdrk_", signature_prefix=SIGNATURE_PREFIX, usage_in_delta=False)

    def read(self, request: Request) -> Asked:
        route = ROUTE.fullmatch(request.path)
        if route is None:
            return Asked(request, False, "", credential_of(request), None)
        found = addressed(unquote(route[2]), None)
        model = found.model.name if found else unquote(route[2])
        generates = request.method == "POST" and route[3] != "count-tokens"
        return Asked(request, generates, model, credential_of(request), json_object(request.body))

    def answer(self, asked: Asked, deltas: int = 0) -> Answer:
        route = ROUTE.fullmatch(asked.request.path)
        if route is None or asked.request.method != "POST":  # observed: a wrong route is answered with a 200
            unknown = {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"}
            return json_answer(200, _base_headers(), unknown)
        try:
            authenticate(asked.request)
            if route[3] == "count-tokens":
                return self._counted(asked, route)
            return self._invoked(asked, route, deltas)
        except ServiceError as error:
            return error_answer(error, _base_headers())

    def refusal(self, status: int, kind: str, message: str) -> Answer:
        return error_answer(exception_of(kind, message, status), _base_headers())

    def stream_of(self, asked: Asked, pieces: tuple[Send, ...]) -> Answer:
        headers = (
            ("Content-Type", "application/vnd.amazon.eventstream"),
            ("X-Amzn-Bedrock-Content-Type", "application/json"),
            *_base_headers(),
        )
        return Answer(200, headers, pieces, streamed=True)

    def broken(self, kind: str, message: str) -> Send:
        error = exception_of(kind, message, 0)
        return Send(exception_frame(error.member, orjson.dumps({"message": message} | error.details)))

    def _invoked(self, asked: Asked, route: re.Match[str], deltas: int) -> Answer:
        found = self._find(asked.request, route)
        if len(asked.request.body) > MOST_BODY_BYTES:
            raise ServiceError(413, "RequestEntityTooLargeException", "Request body exceeds the maximum size of 20 MB")
        if asked.body is None:
            raise ServiceError(400, "ValidationException", "Malformed input request, please reformat your input and try again.")
        submission = self._submission(found, asked.body)
        _refuse(submission)
        speech = compose(self._speaker, found.model.name, asked.body, asked.request.digest, deltas)
        controlled = submission.opened("thinking-binding-controls-2026-08-01")
        changes = {"input_transformations": dropped_thinking(submission)} if controlled else {}
        if route[3] == "invoke":
            content = orjson.dumps(message_of(speech) | {key: value for key, value in changes.items() if value})
            answer = json_answer(200, (*_base_headers(), *_count_headers(speech)), None)
            return Answer(200, answer.headers, (Send(content, speech.tokens),))
        return self.stream_of(asked, tuple(self._frames(speech, asked.request.digest, changes)))

    def _frames(self, speech: Speech, digest: bytes, changes: dict[str, Any]) -> list[Send]:
        pieces = []
        for index, (event, known) in enumerate(events_of(speech, self._speaker)):
            if event["type"] == "message_start" and any(changes.values()):
                event = event | {"message": event["message"] | changes}
            if event["type"] == "message_stop":
                event = event | {"amazon-bedrock-invocationMetrics": _metrics(speech)}
            padding = digest[index % len(digest)]
            pieces.append(Send(chunk_frame(orjson.dumps(event), padding), known))
        return pieces

    def _counted(self, asked: Asked, route: re.Match[str]) -> Answer:
        model_id, region = unquote(route[2]), self._region(asked.request, route)
        found = addressed(model_id, region)
        counts = found is not None and not found.prefix and found.model.counts_tokens
        if found is None or not counts or (region is not None and region not in COUNTING_REGIONS):
            raise ServiceError(400, "ValidationException", "The provided model doesn't support counting tokens.")
        body = _inner_body(asked.body)
        _refuse(self._submission(found, body))
        return json_answer(200, _base_headers(), {"inputTokens": count_of(orjson.dumps(body))})

    def _find(self, request: Request, route: re.Match[str]) -> Addressed:
        model_id = unquote(route[2])
        found = addressed(model_id, self._region(request, route))
        if found is None:
            raise ServiceError(400, "ValidationException", "The provided model identifier is invalid.")
        if not found.prefix and found.model.needs_profile:
            raise ServiceError(
                400,
                "ValidationException",
                f"Invocation of model ID {model_id} with on-demand throughput isn\u2019t supported. Retry your request "
                "with the ID or ARN of an inference profile that contains this model.",
            )
        self._check_account(found)
        return found

    def _check_account(self, found: Addressed) -> None:
        if found.prefix == "global" and "no-global" in self.account:
            raise ServiceError(
                403,
                "AccessDeniedException",
                "User: arn:aws:iam::123456789012:user/sandbox is not authorized to perform: bedrock:InvokeModel on resource: "
                f"arn:aws:bedrock:::foundation-model/{found.model.base_id} with an explicit deny in a service control policy",
            )
        if "no-form" in self.account:
            raise ServiceError(
                404,
                "ResourceNotFoundException",
                "Model use case details have not been submitted for this account. Fill out the Anthropic use case details form "
                "before using the model. If you have already filled out the form, try again in 15 minutes.",
            )
        if found.model.needs_retention_opt_in and "no-retention" in self.account:
            raise ServiceError(400, "ValidationException", "data retention mode 'default' is not available for this model")

    def _submission(self, found: Addressed, body: dict[str, Any]) -> Submission:
        errors = "old-binding" not in self.account
        model = self.accepted(found.model)
        return Submission(model, body, found.prefix, model.betas, errors)

    def accepted(self, model: Model) -> Model:
        """The model, or the part of what it accepts that the seed leaves; the same part for every request."""
        return part_of(model, self.accepted_seed)

    def _region(self, request: Request, route: re.Match[str]) -> str | None:
        signed = SIGNED_REGION.search(request.fields.get("authorization", ""))
        return route[1] or (signed[1] if signed else self.region)


def _refuse(submission: Submission) -> None:
    """Validation errors are worded by the model's generation."""
    try:
        refuse(submission)
    except Invalid as error:
        raise ServiceError(400, "ValidationException", str(error), wording=submission.model.errors) from error


def _inner_body(body: dict[str, Any] | None) -> dict[str, Any]:
    """CountTokens wraps an Invoke body as base64 in JSON."""
    try:
        encoded = (body or {})["input"]["invokeModel"]["body"]
        inner = json_object(base64.b64decode(encoded, validate=True))
    except (KeyError, TypeError, binascii.Error):
        inner = None
    if inner is None:
        raise ServiceError(400, "ValidationException", "Malformed input request, please reformat your input and try again.")
    return inner


def _base_headers() -> Headers:
    return (
        ("Date", formatdate(usegmt=True)),
        ("Connection", "keep-alive"),
        ("x-amzn-RequestId", secrets.token_hex(16)),
        ("X-Amzn-Bedrock-Service-Tier", "default"),
    )


def _count_headers(speech: Speech) -> Headers:
    tokens = speech.tokens
    counts = (
        ("Invocation-Latency", LATENCY_MS),
        ("Input-Token-Count", tokens.input),
        ("Output-Token-Count", tokens.output),
        ("Cache-Read-Input-Token-Count", tokens.cache_read),
        ("Cache-Write-Input-Token-Count", tokens.cache_write_5m + tokens.cache_write_1h),
    )
    return tuple((f"X-Amzn-Bedrock-{name}", str(count)) for name, count in counts)


def _metrics(speech: Speech) -> dict[str, int]:
    tokens = speech.tokens
    return {
        "inputTokenCount": tokens.input,
        "outputTokenCount": tokens.output,
        "invocationLatency": LATENCY_MS,
        "firstByteLatency": LATENCY_MS // 2,
        "cacheReadInputTokenCount": tokens.cache_read,
        "cacheWriteInputTokenCount": tokens.cache_write_5m + tokens.cache_write_1h,
    }

"""Bedrock's errors: names, statuses, bodies, and who is let in.

Knows the exception shapes of the service and the refusals of its front door; refuses to know models and routes. Pure.
Invariant: the type of an error is in the `x-amzn-ErrorType` header, with the suffix that real answers carry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.http import Request
from sandbox.script import Answer, Headers
from sandbox.upstream import json_answer

Wording = Literal["bare", "preamble", "envelope", "door"]
TYPE_SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"
PREAMBLE = "The model returned the following errors: "
STATUSES = {
    "ValidationException": 400, "ServiceQuotaExceededException": 400, "AccessDeniedException": 403,
    "ResourceNotFoundException": 404, "ModelTimeoutException": 408, "ModelErrorException": 424,
    "ModelStreamErrorException": 424, "ThrottlingException": 429,
    "ModelNotReadyException": 429, "InternalServerException": 500, "ServiceUnavailableException": 503,
}  # fmt: skip
ANTHROPIC_KINDS = {
    "invalid_request_error": "ValidationException", "authentication_error": "AccessDeniedException",
    "permission_error": "AccessDeniedException", "not_found_error": "ResourceNotFoundException",
    "rate_limit_error": "ThrottlingException", "timeout_error": "ModelTimeoutException", "api_error": "InternalServerException",
    "overloaded_error": "ServiceUnavailableException",
}  # fmt: skip
KIND_OF_STATUS = {status: kind for kind, status in reversed(STATUSES.items())}


class ServiceError(Exception):
    def __init__(self, status: int, kind: str, message: str, wording: Wording = "bare") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.wording = wording


@dataclass(frozen=True, slots=True)
class StreamError:
    """`member` is the exception's name inside a stream (`throttlingException`)."""

    member: str
    status: int
    kind: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


def exception_of(kind: str, message: str, status: int) -> StreamError:
    """An exception by Bedrock's name, by the stream member's name, or by Anthropic's type; else by the status."""
    capital = kind[:1].upper() + kind[1:]
    fallback = "ValidationException" if 400 <= status < 500 else "InternalServerException"
    name = capital if capital in STATUSES else ANTHROPIC_KINDS.get(kind) or KIND_OF_STATUS.get(status, fallback)
    details = {"originalStatusCode": 529, "originalMessage": message} if name == "ModelStreamErrorException" else {}
    return StreamError(name[0].lower() + name[1:], status or STATUSES[name], name, message, details)


def error_answer(error: ServiceError | StreamError, headers: Headers) -> Answer:
    typed = (("x-amzn-ErrorType", f"{error.kind}{TYPE_SUFFIX}"), *headers)
    if isinstance(error, StreamError):
        return json_answer(error.status, typed, {"message": error.message} | error.details)
    return json_answer(error.status, typed, _body(error))


def _body(error: ServiceError) -> dict[str, Any]:
    message = str(error)
    if error.wording == "envelope":  # models since 4.7 answer in Anthropic's own shape
        return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    if error.wording == "door":
        return {"Message": message}
    return {"message": PREAMBLE + message if error.wording == "preamble" else message}


def authenticate(request: Request) -> None:
    """A bearer key or a signature, neither verified. Raises ServiceError.

    Keys that say so are refused: `expired`, `malformed`, `bad`, each with the words seen in the wild.
    """
    scheme, _, rest = request.fields.get("authorization", "").partition(" ")
    if scheme == "AWS4-HMAC-SHA256" and "Credential=" in rest and "Signature=" in rest:
        return
    if scheme.lower() != "bearer" or not rest.strip():
        raise ServiceError(403, "MissingAuthenticationTokenException", "Missing Authentication Token", "bare")
    if "expired" in rest:
        raise ServiceError(403, "AccessDeniedException", "Bearer Token has expired", "door")
    if "malformed" in rest:
        raise ServiceError(403, "AccessDeniedException", "Invalid API Key format: Must start with pre-defined prefix", "door")
    if "bad" in rest:
        message = "Authentication failed: Please make sure your API Key is valid."
        raise ServiceError(403, "AccessDeniedException", message, "door")

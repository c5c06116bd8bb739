"""Faults that only Bedrock plays: exceptions by HTTP and as frames, and frames that are broken.

Knows the service's words for each; refuses to know sockets. Invariant: a frame is wrong only where the fault says so.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.faults import Arguments, Fault, Scene, http_error
from sandbox.frames import with_wrong_checksum
from sandbox.script import LAST_CHUNK, Script, Send, chunk, opening, script_of

TOO_MANY = "Too many requests, please wait before trying again."
MESSAGES = {
    "throttlingException": TOO_MANY,
    "validationException": "Input is too long for requested model.",
    "modelStreamErrorException": "The model is overloaded, please try again.",
    "serviceUnavailableException": "Bedrock is unable to process your request.",
    "modelTimeoutException": "Model has timed out in processing the request. Try your request again.",
}
FAILED = "The system encountered an unexpected error during processing. Try your request again."
DENIED = "You don't have access to the model with the specified model ID."


def _exception_first_frame(scene: Scene, args: Arguments) -> Script:
    """A 200 whose first frame is an exception; without a stream the same exception by HTTP."""
    kind = args.text("type", "throttlingException")
    return _first_frame(scene, kind, args.text("message", MESSAGES.get(kind, FAILED)))


def _throttling_first_frame(scene: Scene, args: Arguments) -> Script:
    return _first_frame(scene, "throttlingException", TOO_MANY)


def _first_frame(scene: Scene, kind: str, message: str) -> Script:
    honest = scene.honest()
    if honest.status == 200 and not honest.streamed:
        return script_of(scene.upstream.refusal(0, kind, message))
    if honest.status != 200:
        return script_of(honest)
    return script_of(scene.upstream.stream_of(scene.asked, (scene.upstream.broken(kind, message),)))


def _exception_midstream(scene: Scene, args: Arguments) -> Script:
    honest, after = scene.honest(), args.count("after", 3)
    kind = args.text("type", "modelStreamErrorException")
    message = args.text("message", MESSAGES.get(kind, FAILED))
    if not honest.streamed:
        return script_of(scene.upstream.refusal(0, kind, message))
    return script_of(replace(honest, pieces=(*honest.pieces[:after], scene.upstream.broken(kind, message))))


def _wrong_crc(scene: Scene, args: Arguments) -> Script:
    """Event number `after` (from 0) has a wrong checksum."""
    honest, after = scene.honest(), args.count("after", 3)
    if not honest.streamed:
        return script_of(honest)
    pieces = list(honest.pieces)
    at = min(after, len(pieces) - 1)
    pieces[at] = replace(pieces[at], content=with_wrong_checksum(pieces[at].content), known=None)
    return script_of(replace(honest, pieces=tuple(pieces)))


def _truncated_frame(scene: Scene, args: Arguments) -> Script:
    """The body ends in good order, in the middle of a frame."""
    honest, after = scene.honest(), args.count("after", 3)
    if not honest.streamed:
        yield from script_of(honest)
        return
    yield Send(opening(honest))
    for piece in honest.pieces[:after]:
        yield replace(piece, content=chunk(piece.content))
    half = honest.pieces[min(after, len(honest.pieces) - 1)].content
    yield Send(chunk(half[: len(half) // 2]) + LAST_CHUNK)


BEDROCK: dict[str, Fault] = {
    "throttle": http_error(429, "ThrottlingException", TOO_MANY),
    "throttling_http": http_error(429, "ThrottlingException", TOO_MANY),
    "throttling_first_frame": Fault(_throttling_first_frame),
    "exception_first_frame": Fault(_exception_first_frame, ("type", "message")),
    "exception_midstream": Fault(_exception_midstream, ("type", "after", "message")),
    "quota_day": http_error(429, "ThrottlingException", "Too many tokens per day, please wait before trying again."),
    "access_denied": http_error(403, "AccessDeniedException", DENIED),
    "validation": http_error(400, "ValidationException", "Input is too long for requested model."),
    "wrong_crc": Fault(_wrong_crc, ("after",)),
    "truncated_frame": Fault(_truncated_frame, ("after",)),
    "not_ready": http_error(429, "ModelNotReadyException", "The model is not ready for inference. Try again later."),
    "service_unavailable": http_error(503, "ServiceUnavailableException", MESSAGES["serviceUnavailableException"]),
    "overloaded": http_error(503, "ServiceUnavailableException", MESSAGES["serviceUnavailableException"]),
    "internal": http_error(500, "InternalServerException", FAILED),
    "model_error_424": http_error(424, "ModelErrorException", "The request failed due to an error while processing the model."),
    "model_timeout": http_error(408, "ModelTimeoutException", MESSAGES["modelTimeoutException"]),
    "quota_exceeded": http_error(400, "ServiceQuotaExceededException", "You have exceeded a service quota."),
}

"""What Bedrock's refusals mean, and what the client is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_app.bedrock.errors import BedrockFault, Kind, fault_of, from_frame, from_http, named_offenders
from proxy_app.faults import Fault

FORM = "Model use case details have not been submitted for this account. Fill out the Anthropic use case details form."
ON_DEMAND = (
    "Invocation of model ID anthropic.claude-x with on-demand throughput isn\u2019t supported. Retry your request with a profile."
)
RETENTION = "data retention mode 'default' is not available for this model"
BAD_KEY = "Authentication failed: Please make sure your API Key is valid."
NO_ACTION = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: bedrock:CallWithBearerToken on resource: y"
NO_MODEL = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: bedrock:InvokeModel with an explicit deny"


def refusal(status: int, name: str, message: str, key: str = "message") -> BedrockFault:
    header = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/x/"} if name else {}
    return from_http(status, header, json.dumps({key: message}).encode())


@pytest.mark.parametrize(
    ("status", "name", "message", "kind"),
    [
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", Kind.THROTTLED),
        (429, "", "Too many tokens, please wait before trying again.", Kind.THROTTLED),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", Kind.QUOTA_DAY),
        (429, "ModelNotReadyException", "Model is not ready", Kind.THROTTLED),
        (400, "ServiceQuotaExceededException", "quota", Kind.QUOTA_DAY),
        (503, "ServiceUnavailableException", "", Kind.OVERLOADED),
        (500, "InternalServerException", "", Kind.INTERNAL),
        (424, "ModelErrorException", "boom", Kind.INTERNAL),
        (424, "ModelStreamErrorException", "boom", Kind.INTERNAL),
        (502, "", "", Kind.INTERNAL),
        (599, "", "", Kind.INTERNAL),
        (408, "ModelTimeoutException", "", Kind.TIMEOUT),
        (504, "", "", Kind.TIMEOUT),
        (403, "AccessDeniedException", BAD_KEY, Kind.AUTH),
        (403, "", "Invalid API Key format: Must start with pre-defined prefix", Kind.AUTH),
        (403, "AccessDeniedException", "Bearer Token has expired", Kind.AUTH),
        (403, "AccessDeniedException", NO_ACTION, Kind.AUTH),
        (401, "", NO_ACTION, Kind.AUTH),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid", Kind.AUTH),
        (403, "ExpiredTokenException", "", Kind.AUTH),
        (400, "RequestExpired", "", Kind.AUTH),
        (403, "AccessDeniedException", NO_MODEL, Kind.NOT_ENTITLED),
        (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", Kind.NOT_ENTITLED),
        (403, "MPAgreementBeingCreated", "", Kind.NOT_ENTITLED),
        (404, "ResourceNotFoundException", FORM, Kind.USE_CASE_FORM),
        (404, "FTUFormNotFilled", "", Kind.USE_CASE_FORM),
        (404, "ResourceNotFoundException", "Could not resolve the foundation model", Kind.INVALID_IDENTIFIER),
        (400, "ValidationException", "The provided model identifier is invalid.", Kind.INVALID_IDENTIFIER),
        (400, "ValidationException", ON_DEMAND, Kind.ON_DEMAND),
        (400, "ValidationException", RETENTION, Kind.DATA_RETENTION),
        (400, "ValidationException", "Input is too long for requested model.", Kind.TOO_LONG),
        (400, "ValidationException", "invalid beta flag", Kind.BETA_OR_FIELD),
        (400, "ValidationException", "thinking.block_binding: Extra inputs are not permitted", Kind.BETA_OR_FIELD),
        (400, "ValidationException", "messages.1.content.0: Invalid `signature` in `thinking` block.", Kind.THINKING),
        (400, "ValidationException", "Expected `thinking` or `redacted_thinking`, but found `tool_use`", Kind.THINKING),
        (400, "ValidationException", "messages.0.content.0.thinking.signature: Field required", Kind.THINKING),
        (400, "ValidationException", "messages: at least one message is required", Kind.VALIDATION),
        (400, "ValidationException", "prompt is too long: 5 tokens > 4 maximum", Kind.TOO_LONG),
        (
            400,
            "ValidationException",
            "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
            Kind.THINKING,
        ),
        (400, "ValidationException", "Invalid `signature`. The block is bound to a different conversation.", Kind.THINKING),
        (429, "ThrottlingException", "Too many requests per day", Kind.QUOTA_DAY),
        (403, "InvalidClientTokenId", "", Kind.AUTH),
        (400, "NotAuthorized", "", Kind.AUTH),
        (403, "IncompleteSignature", "", Kind.AUTH),
        (404, "", "", Kind.INVALID_IDENTIFIER),
        (529, "", "", Kind.OVERLOADED),
        (413, "", "", Kind.TOO_LARGE),
        (200, "UnknownOperationException", "", Kind.INTERNAL),
    ],
)
def test_a_refusal_over_http_has_its_kind(status: int, name: str, message: str, kind: Kind) -> None:
    assert refusal(status, name, message).kind is kind


@pytest.mark.parametrize("key", ["message", "Message", "errorMessage"])
def test_the_message_is_found_under_every_key(key: str) -> None:
    assert refusal(400, "ValidationException", "nope", key).message == "nope"


def test_the_type_is_found_in_the_body_too() -> None:
    fault = from_http(400, {}, b'{"__type":"com.amazon.coral#ThrottlingException","message":"m"}')
    assert (fault.kind, fault.raw_type) == (Kind.THROTTLED, "ThrottlingException")


def test_the_message_is_found_in_a_header_of_an_empty_answer() -> None:
    assert from_http(400, {"x-amzn-errormessage": "invalid beta flag"}, b"").kind is Kind.BETA_OR_FIELD


ENVELOPE = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'


def test_anthropics_own_envelope_is_understood() -> None:
    assert from_http(400, {}, ENVELOPE).kind is Kind.OVERLOADED
    assert from_http(400, {"x-amzn-errortype": "ValidationException:http://x/"}, ENVELOPE).kind is Kind.OVERLOADED
    assert from_frame({":message-type": "exception", ":exception-type": "validationException"}, ENVELOPE).kind is Kind.OVERLOADED


def test_an_unknown_operation_is_named_though_it_comes_wrapped() -> None:
    fault = from_http(502, {}, b'{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}')
    assert (fault.kind, fault.raw_type) == (Kind.INTERNAL, "UnknownOperationException")


def test_the_account_is_taken_out_of_every_text_that_a_client_gets() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc could not be found"
    fault = refusal(404, "ResourceNotFoundException", arn)
    assert ("123456789012" in fault.message, "123456789012" in fault.detail) == (False, True)


def test_the_models_preface_is_taken_off() -> None:
    assert refusal(400, "", "The model returned the following errors: prompt is too long: 5 tokens > 4 maximum").message == (
        "prompt is too long: 5 tokens > 4 maximum"
    )


def test_too_long_is_worded_as_claude_code_expects() -> None:
    fault = refusal(400, "ValidationException", "Input is too long for requested model.")
    assert fault.message.startswith("prompt is too long: ")
    assert (fault.status, fault.error_type) == (400, "invalid_request_error")


def test_a_limit_of_input_and_output_together_keeps_its_wording() -> None:
    words = "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000"
    assert refusal(400, "ValidationException", words).message == words


@pytest.mark.parametrize("message", [BAD_KEY, NO_ACTION, NO_MODEL])
def test_a_client_never_sees_a_403_nor_the_account(message: str) -> None:
    fault = refusal(403, "AccessDeniedException", message)
    assert (fault.status, fault.error_type) == (529, "overloaded_error")
    assert "123456789012" not in fault.message
    assert fault.message.startswith("claude-code-proxy:")
    assert fault.detail == message


REFUSED, LIMITED = (400, "invalid_request_error"), (429, "rate_limit_error")
PER_DAY = "Too many tokens per day, please wait"

# The table of the facts, section 2: name in the stream, what it carries, and what the client gets as the first frame and later.
FRAMES = [
    ("internalServerException", {"message": "x"}, Kind.INTERNAL, (500, "api_error"), "api_error"),
    ("modelStreamErrorException", {"message": "x"}, Kind.INTERNAL, (500, "api_error"), "api_error"),
    *(
        ("modelStreamErrorException", {"originalStatusCode": status, "originalMessage": "x"}, kind, first, first[1])
        for status, kind, first in [
            (500, Kind.INTERNAL, (500, "api_error")),
            (429, Kind.OVERLOADED, (529, "overloaded_error")),
            (503, Kind.OVERLOADED, (529, "overloaded_error")),
            (529, Kind.OVERLOADED, (529, "overloaded_error")),
        ]
    ),
    ("validationException", {"message": "x"}, Kind.VALIDATION, REFUSED, "invalid_request_error"),
    (
        "validationException",
        {"message": "Input is too long"},
        Kind.TOO_LONG,
        (400, "invalid_request_error"),
        "invalid_request_error",
    ),
    ("throttlingException", {"message": "x"}, Kind.THROTTLED, LIMITED, "overloaded_error"),
    (
        "throttlingException",
        {"message": PER_DAY},
        Kind.QUOTA_DAY,
        (429, "rate_limit_error"),
        "overloaded_error",
    ),
    ("modelTimeoutException", {"message": "x"}, Kind.TIMEOUT, (504, "timeout_error"), "timeout_error"),
    ("modelNotReadyException", {"message": "x"}, Kind.THROTTLED, LIMITED, "overloaded_error"),
    ("serviceUnavailableException", {"message": "x"}, Kind.OVERLOADED, (529, "overloaded_error"), "overloaded_error"),
    ("accessDeniedException", {"message": BAD_KEY}, Kind.AUTH, (529, "overloaded_error"), "overloaded_error"),
    ("accessDeniedException", {"message": NO_MODEL}, Kind.NOT_ENTITLED, (529, "overloaded_error"), "overloaded_error"),
    ("serviceQuotaExceededException", {"message": "x"}, Kind.QUOTA_DAY, LIMITED, "overloaded_error"),
    ("nobodyKnowsException", {"message": "x"}, Kind.VALIDATION, REFUSED, "invalid_request_error"),
]
GUISES = [
    pytest.param(lambda name: {":message-type": "exception", ":exception-type": name}, id="exception"),
    pytest.param(lambda name: {":message-type": "event", ":event-type": name}, id="named as an event"),
    pytest.param(lambda name: {":message-type": "error", ":error-code": f"{name[0].upper()}{name[1:]}"}, id="error"),
]


@pytest.mark.parametrize("guise", GUISES)
@pytest.mark.parametrize(("name", "payload", "kind", "first", "later"), FRAMES)
def test_an_exception_frame_has_its_kind_and_its_answer(
    guise: Any, name: str, payload: dict[str, object], kind: Kind, first: tuple[int, str], later: str
) -> None:
    headers, content = guise(name), json.dumps(payload).encode()
    begun, mid = from_frame(headers, content, first_frame=True), from_frame(headers, content)
    assert (begun.kind, begun.status, begun.error_type) == (kind, *first)
    assert (mid.kind, mid.error_type) == (kind, later)


def test_an_error_frame_says_its_message_in_a_header() -> None:
    headers = {":message-type": "error", ":error-code": "ThrottlingException", ":error-message": "slow down"}
    assert (from_frame(headers, b"").kind, from_frame(headers, b"").message) == (Kind.THROTTLED, "slow down")


def test_every_kind_has_a_fault_and_an_answer() -> None:
    assert {fault_of(kind).value.split("_")[0] for kind in Kind} == {"bedrock", "rejected"}
    assert not {BedrockFault(kind).status for kind in Kind} & {401, 403}
    assert fault_of(Kind.QUOTA_DAY) is Fault.BEDROCK_QUOTA


@settings(max_examples=100, deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=200), name=st.text(max_size=40))
def test_no_answer_is_beyond_understanding(status: int, body: bytes, name: str) -> None:
    fault = from_http(status, {"x-amzn-errortype": name}, body)
    assert fault.message
    assert fault.status not in (401, 403)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("Unexpected value(s) `afk-mode-2026-01-31` for the `anthropic-beta` header. Please", ("beta", "afk-mode-2026-01-31")),
        ("invalid beta flag: claude-code-20250219", ("beta", "claude-code-20250219")),
        ("invalid beta flag", None),
        ("context_management: Extra inputs are not permitted", ("field", "context_management")),
        ("messages.1.output_config: Extra inputs are not permitted", ("field", "messages.output_config")),
        ("output_config.format: Extra inputs are not permitted", ("field", "output_config.format")),
        ("tools.11.custom.defer_loading: Extra inputs are not permitted", ("field", "tools.defer_loading")),
        ("tools.0.custom.strict: Extra inputs are not permitted", ("field", "tools.strict")),
        ("system.1.cache_control.ephemeral.ttl: Extra inputs are not permitted", ("field", "cache_control.ttl")),
        ("messages.0.content.1.cache_control.ephemeral.ttl: Extra inputs are not permitted", ("field", "cache_control.ttl")),
        ("thinking.adaptive.block_binding: Extra inputs are not permitted", ("field", "thinking.block_binding")),
        ("thinking.adaptive.display: Input should be 'summarized','omitted'", ("field", "thinking.display.updates")),
        (
            "Input tag 'tool_addition' found using 'type' does not match any of the expected tags",
            ("field", "messages.tool_changes"),
        ),
        ('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive"', ("field", "thinking.enabled")),
        ("adaptive thinking is not supported on this model", ("field", "thinking.adaptive")),
        ("This model does not support the effort parameter", ("field", "output_config.effort")),
        ("temperature is deprecated for this model", ("field", "sampling")),
        ("messages.1.role: Input should be 'user' or 'assistant'", ("field", "messages.system")),
        ("messages: at least one message is required", None),
    ],
)
def test_a_400_names_its_offender(message: str, named: tuple[str, str] | None) -> None:
    assert next(named_offenders(message), None) == named


def test_a_400_may_name_several_betas() -> None:
    message = "Unexpected value(s) `afk-mode-2026-01-31`, `compact-2026-01-12` for the `anthropic-beta` header."
    assert list(named_offenders(message)) == [("beta", "afk-mode-2026-01-31"), ("beta", "compact-2026-01-12")]

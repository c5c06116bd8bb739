"""What the public Anthropic API refuses of a request.

Knows credentials, versions, and which beta header opens which body field, so that a gateway that loses one half of a
pair is caught; refuses to know headers of answers and faults. Pure.
Invariant: a credential is asked for before anything else is looked at.
"""

from __future__ import annotations

import re

from sandbox.anthropic_limits import is_plan
from sandbox.conversation import EXTRA, Invalid, Json, check_messages, check_required, check_system, check_tools
from sandbox.kept_thinking import check_kept_thinking, check_signatures
from sandbox.upstream import Asked

SIGNATURE_PREFIX = "anthropic-"
VERSIONS = frozenset({"2023-01-01", "2023-06-01", "2026-10-21"})
BETA = re.compile(r"[a-z0-9][a-z0-9-]*-20\d{2}-?\d{2}-?\d{2}")
OAUTH_BETA = "oauth-2025-04-20"
FIELDS = frozenset({
    "model", "messages", "max_tokens", "system", "tools", "tool_choice", "metadata", "stream", "stop_sequences", "temperature",
    "top_p", "top_k", "thinking", "output_config", "output_format", "service_tier", "container", "inference_geo", "cache_control",
    "diagnostics", "fallbacks", "user_profile_id",
})  # fmt: skip
OPENED_FIELDS = {
    "context_management": ("context-management-", "compact-"),
    "safeguards": ("dangerous-tool-use-",),
    "speed": ("fast-mode-",),
    "mcp_servers": ("mcp-client-",),
}
TURN_BETAS = ("per-turn-control-", "mid-conversation-output-config-")
MOST_BODY_BYTES = 32_000_000


class NotServed(Exception):
    """A refusal with a status of its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def refuse(asked: Asked, endpoint: str) -> None:
    """Raises Invalid or NotServed when the API would not serve this request."""
    request = asked.request
    if not endpoint:
        raise NotServed(404, "Not Found")
    betas = _betas(asked)
    _check_credential(asked, betas)
    version = request.fields.get("anthropic-version")
    if not endpoint.startswith("/v1/models"):  # Claude Code asks for models without a version
        if version is None:
            raise Invalid("anthropic-version: header is required")
        if version not in VERSIONS:
            raise Invalid(f'anthropic-version: "{version}" is not a valid version')
    expected = "GET" if endpoint.startswith("/v1/models") else "POST"
    if request.method != expected:
        raise NotServed(404, "Not Found")
    if expected == "POST":
        _check_body(asked, betas, counting=endpoint.endswith("count_tokens"))


def _betas(asked: Asked) -> tuple[str, ...]:
    values = [value for name, value in asked.request.headers if name.lower() == "anthropic-beta"]
    return tuple(flag.strip() for value in values for flag in value.split(",") if flag.strip())


def _check_credential(asked: Asked, betas: tuple[str, ...]) -> None:
    if not asked.credential:
        raise NotServed(401, "x-api-key header is required")
    if is_plan(asked.credential) and OAUTH_BETA not in betas:
        raise NotServed(401, "OAuth authentication is currently not supported.")


def _check_body(asked: Asked, betas: tuple[str, ...], counting: bool) -> None:
    body = asked.body
    if len(asked.request.body) > MOST_BODY_BYTES:
        raise NotServed(413, "Request exceeds the maximum size")
    if body is None:
        raise Invalid("The request body is not valid JSON: expected a JSON object")
    strange = [flag for flag in betas if not BETA.fullmatch(flag)]
    if strange:
        raise Invalid(f"Unexpected value(s) `{strange[0]}` for the `anthropic-beta` header.")
    check_required({"max_tokens": 1, **body} if counting else body, ("model", "max_tokens", "messages"))
    if not isinstance(body["model"], str) or not body["model"].startswith("claude-"):
        raise NotServed(404, f"model: {body['model']}")
    if not isinstance(body.get("stream", False), bool):
        raise Invalid("stream: Input should be a valid boolean")
    _check_fields(body, betas)
    check_messages(body["messages"], ("user", "assistant", "system"), silent_settings=True)
    check_system(body.get("system"))
    check_tools(body.get("tools"))
    for index, message in enumerate(body["messages"]):
        if "output_config" in message and not _opened(TURN_BETAS, betas):
            raise Invalid(f"messages.{index}.output_config: {EXTRA}")
    if not counting:
        check_signatures(body["messages"], SIGNATURE_PREFIX)
        check_kept_thinking(body)


def _check_fields(body: Json, betas: tuple[str, ...]) -> None:
    for name in body:
        if name not in FIELDS and not _opened(OPENED_FIELDS.get(name, ()), betas):
            raise Invalid(f"{name}: {EXTRA}")


def _opened(starts: tuple[str, ...], betas: tuple[str, ...]) -> bool:
    return any(flag.startswith(starts) for flag in betas) if starts else False

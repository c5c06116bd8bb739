"""The models that the pretended Bedrock has, and what each accepts: the data half of its refusals.

One row a model, written from vendor documentation and kept apart from the product's own table on purpose, so that
the two cannot agree by mistake. Knows model ids, profiles and abilities; refuses to know requests. Pure data.
Invariant: an ability that is not granted in a row is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

EFFORTS = ("low", "medium", "high", "max", "xhigh")
GEO_OF_REGION = (
    ("us-gov-", "us-gov"), ("us-", "us"), ("ca-central-1", "us"), ("eu-", "eu"), ("ap-northeast-1", "jp"),
    ("ap-northeast-3", "jp"), ("ap-southeast-2", "au"), ("ap-southeast-4", "au"), ("ap-south-", "in"),
)  # fmt: skip
COUNTING_REGIONS = frozenset({
    "us-east-1", "us-east-2", "us-west-2", "ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "eu-central-1",
    "eu-central-2", "eu-west-1", "eu-west-2", "sa-east-1",
})  # fmt: skip
PREFIXES = ("global", "us-gov", "us", "eu", "jp", "au", "apac", "in")

# Flags that one era accepts. A single flag outside its set refuses the whole request.
TOOL_BETAS = frozenset({"tool-search-tool-2025-10-19", "tool-examples-2025-10-29", "computer-use-2025-11-24"})
ELDER_BETAS = frozenset({
    "interleaved-thinking-2025-05-14", "computer-use-2024-10-22", "computer-use-2025-01-24", "context-1m-2025-08-07",
    "fine-grained-tool-streaming-2025-05-14", "output-128k-2025-02-19", "token-efficient-tools-2025-02-19",
    "dev-full-thinking-2025-05-14", "mcp-client-2025-04-04", "mcp-client-2025-11-20", "pdfs-2024-09-25",
    "model-context-window-exceeded-2025-08-26", "search-results-2025-06-09", "token-counting-2024-11-01", "web-search-2025-03-05",
})  # fmt: skip
ELDEST_BETAS = ELDER_BETAS - {"interleaved-thinking-2025-05-14", "computer-use-2025-01-24", "dev-full-thinking-2025-05-14"}
BETAS_4_5 = ELDER_BETAS | TOOL_BETAS | {"claude-code-20250219", "context-management-2025-06-27", "structured-outputs-2025-12-15"}
BETAS_OPUS_4_5 = BETAS_4_5 | {"effort-2025-11-24"}
BETAS_4_6 = BETAS_OPUS_4_5 | {"compact-2026-01-12"}
BETAS_4_7 = TOOL_BETAS | {"context-management-2025-06-27", "compact-2026-01-12", "effort-2025-11-24"}
BETAS_4_8 = (BETAS_4_6 - {"computer-use-2025-01-24"}) | {
    "thinking-token-count-2026-05-13", "mid-conversation-system-2026-04-07",
}  # fmt: skip
BETAS_5 = BETAS_4_8 | {
    "mid-conversation-tool-changes-2026-07-01", "dangerous-tool-use-2026-09-03",
    "afk-mode-2026-01-31", "thinking-binding-controls-2026-08-01", "inline-tools-2026-09-15",
    "thinking-display-updates-2026-08-18", "fallback-credit-2026-06-01", "fallback-credit-2026-07-01",
}  # fmt: skip
BETAS_5_5 = BETAS_5 | {"per-turn-control-2026-07-01", "mid-conversation-output-config-2026-07-01"}


@dataclass(frozen=True, slots=True)
class Model:
    """`errors`: how validation errors are worded (bare; with Bedrock's preamble; in Anthropic's envelope)."""

    name: str
    base_id: str
    prefixes: tuple[str, ...]
    betas: frozenset[str]
    errors: Literal["bare", "preamble", "envelope"] = "bare"
    needs_profile: bool = True
    counts_tokens: bool = True
    most_output: int = 64_000
    thinking: tuple[str, ...] = ("enabled", "disabled")
    disabled_up_to_high: bool = False
    sampling: bool = True
    prefill: bool = True
    efforts: tuple[str, ...] = ()
    effort_needs_beta: bool = False
    structured_output: bool = False
    strict_tools: bool = False
    tool_search: Literal["no", "beta", "yes"] = "no"
    eager_tool_input: bool = False
    cache_ttl: bool = False
    thinking_display: bool = False
    top_level_cache_control: bool = False
    role_system: bool = False
    message_output_config: bool = False
    forced_tool_choice: bool = True
    latest_version: bool = False
    binds_prefix: bool = False
    binds_model: bool = False
    needs_retention_opt_in: bool = False

    @property
    def newer_wording(self) -> bool:
        return self.errors == "envelope"


def _elder(name: str, suffix: str, prefixes: tuple[str, ...]) -> Model:
    return Model(name, f"anthropic.{name}{suffix}", prefixes, ELDER_BETAS)


def _like(model: Model, name: str, prefixes: str, **changes: Any) -> Model:
    return replace(model, name=name, base_id=f"anthropic.{name}", prefixes=tuple(prefixes.split()), **changes)


ELDEST = replace(
    _elder("claude-3-5-haiku-20241022", "-v1:0", ("us", "eu")), thinking=("disabled",), betas=ELDEST_BETAS,
    most_output=8192,
)  # fmt: skip
EVERYWHERE = "global us eu jp au apac"
SONNET_4_5 = replace(
    _elder("claude-sonnet-4-5-20250929", "-v1:0", ("global", "us", "eu", "jp", "au", "us-gov")),
    betas=BETAS_4_5, errors="preamble", structured_output=True, strict_tools=True, tool_search="beta", cache_ttl=True,
    thinking_display=True,
)  # fmt: skip
HAIKU_4_5 = replace(
    SONNET_4_5,
    name="claude-haiku-4-5-20251001",
    base_id="anthropic.claude-haiku-4-5-20251001-v1:0",
    prefixes=("global", "us", "eu", "jp", "au", "apac", "in"),
)
OPUS_4_5 = replace(
    SONNET_4_5, name="claude-opus-4-5-20251101", base_id="anthropic.claude-opus-4-5-20251101-v1:0",
    prefixes=("global", "us", "eu"), betas=BETAS_OPUS_4_5, efforts=("low", "medium", "high"), effort_needs_beta=True,
)  # fmt: skip
SONNET_4_6 = replace(
    SONNET_4_5, name="claude-sonnet-4-6", base_id="anthropic.claude-sonnet-4-6", prefixes=tuple(EVERYWHERE.split()),
    betas=BETAS_4_6, thinking=("enabled", "adaptive", "disabled"), prefill=False, efforts=EFFORTS, strict_tools=False,
)  # fmt: skip
OPUS_4_6 = replace(
    SONNET_4_6, name="claude-opus-4-6", base_id="anthropic.claude-opus-4-6-v1", prefixes=("global", "us", "eu", "au"),
    efforts=("low", "medium", "high", "max"), most_output=128_000,
)  # fmt: skip
OPUS_4_7 = replace(
    SONNET_4_6, name="claude-opus-4-7", base_id="anthropic.claude-opus-4-7", betas=BETAS_4_7, errors="envelope",
    counts_tokens=False, thinking=("adaptive", "disabled"), sampling=False, structured_output=False,
    top_level_cache_control=True, latest_version=True, most_output=128_000,
)  # fmt: skip
OPUS_4_8 = _like(
    OPUS_4_7, "claude-opus-4-8", EVERYWHERE + " us-gov", betas=BETAS_4_8, tool_search="yes", role_system=True,
)  # fmt: skip
SONNET_5 = _like(OPUS_4_8, "claude-sonnet-5", EVERYWHERE + " us-gov in", betas=BETAS_5, eager_tool_input=True)
OPUS_5 = _like(SONNET_5, "claude-opus-5", EVERYWHERE + " us-gov in", disabled_up_to_high=True)
OPUS_5_5 = _like(
    SONNET_5, "claude-opus-5-5", EVERYWHERE + " us-gov", thinking=("adaptive",), message_output_config=True,
    forced_tool_choice=False, binds_prefix=True, binds_model=True, betas=BETAS_5_5,
)  # fmt: skip
SONNET_5_5 = _like(OPUS_5_5, "claude-sonnet-5-5", EVERYWHERE + " us-gov", thinking=("adaptive", "between_tools"))
HAIKU_5_5 = _like(SONNET_5, "claude-haiku-5-5", EVERYWHERE + " us-gov", binds_model=True)
FABLE_5_1 = _like(
    OPUS_5_5,
    "claude-fable-5-1",
    "global us eu us-gov",
    tool_search="no",
    betas=BETAS_5,
    message_output_config=False,
    needs_retention_opt_in=True,
)
FABLE_5 = _like(
    FABLE_5_1, "claude-fable-5", "global us eu au apac", forced_tool_choice=True, binds_prefix=False, binds_model=False
)

MODELS = {
    model.base_id: model
    for model in (
        replace(
            _elder("claude-3-haiku-20240307", "-v1:0", ("us", "eu", "apac")),
            needs_profile=False, counts_tokens=False, thinking=("disabled",), betas=ELDEST_BETAS, most_output=4096,
        ),
        replace(
            ELDEST, name="claude-3-5-sonnet-20240620", base_id="anthropic.claude-3-5-sonnet-20240620-v1:0",
            needs_profile=False, most_output=4096,
        ),
        replace(ELDEST, name="claude-3-5-sonnet-20241022", base_id="anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ELDEST,
        _elder("claude-3-7-sonnet-20250219", "-v1:0", ("us", "eu")),
        _elder("claude-sonnet-4-20250514", "-v1:0", ("global", "us", "eu", "apac")),
        replace(_elder("claude-opus-4-20250514", "-v1:0", ("us", "eu")), most_output=32_000),
        replace(_elder("claude-opus-4-1-20250805", "-v1:0", ("us", "eu")), most_output=32_000),
        SONNET_4_5, HAIKU_4_5, OPUS_4_5, SONNET_4_6, OPUS_4_6, OPUS_4_7, OPUS_4_8, SONNET_5, OPUS_5, OPUS_5_5, SONNET_5_5,
        HAIKU_5_5, FABLE_5, FABLE_5_1,
        _like(FABLE_5, "claude-mythos-5", "us"), _like(FABLE_5_1, "claude-mythos-5-1", "global us"),
    )
}  # fmt: skip
APPLICATION_PROFILE = re.compile(r"arn:aws[\w-]*:bedrock:[\w-]+:\d{12}:application-inference-profile/[a-z0-9]+")
ARN = re.compile(r"arn:aws[\w-]*:bedrock:([\w-]+):\d{0,12}:(?:inference-profile|foundation-model)/(.+)")


@dataclass(frozen=True, slots=True)
class Addressed:
    """What a model id in a URL means. `prefix` is empty for a foundation model's own id."""

    model: Model
    prefix: str


def addressed(model_id: str, region: str | None) -> Addressed | None:
    """The model behind an id, as far as it exists in that region (None: a region without limits)."""
    if APPLICATION_PROFILE.fullmatch(model_id):
        return Addressed(SONNET_5, "application")  # nothing in such an id tells the model
    arn = ARN.fullmatch(model_id)
    name = arn[2] if arn else model_id
    prefix = next((known for known in PREFIXES if name.startswith(f"{known}.")), "")
    model = MODELS.get(name.removeprefix(f"{prefix}.") if prefix else name)
    if model is None or (prefix and prefix not in model.prefixes) or not _reachable(model, prefix, region):
        return None
    return Addressed(model, prefix)


def _reachable(model: Model, prefix: str, region: str | None) -> bool:
    if region is None or not prefix:
        return True
    if prefix == "global":
        return not region.startswith("us-gov-")
    if prefix == "apac":
        return region.startswith("ap-") and not model.cache_ttl  # since 4.5 the geographies are jp, au and in
    return prefix == next((geo for start, geo in GEO_OF_REGION if region.startswith(start)), None)

"""Faults that only Anthropic plays: its limits, and its judgement of thinking from elsewhere.

Knows the 429s that Claude Code tells apart; refuses to know sockets. Invariant: a limit of one model family leaves the
others served.
"""

from __future__ import annotations

from sandbox import anthropic_limits as limits
from sandbox.conversation import blocks_of
from sandbox.faults import Arguments, Fault, Scene, http_error, retry_advice
from sandbox.script import Answer, Script, script_of

FOREIGN_SIGNATURE = "bedrock-"
EXHAUSTED = "This request would exceed your account's rate limit. Please try again later."


def _exhausted(scene: Scene, args: Arguments, claim: str) -> Answer:
    """A plan's window is used up. Arguments: claim, reset (seconds from now)."""
    reset_s = args.number("reset", 3600)
    answer = scene.upstream.refusal(429, "rate_limit_error", EXHAUSTED)
    rejected = limits.rejected_headers(scene.now, args.text("claim", claim), reset_s)
    return answer.with_headers(("retry-after", str(max(0, int(reset_s)))), ("x-should-retry", "true"), *rejected)


def _plan_exhausted(scene: Scene, args: Arguments) -> Script:
    return script_of(_exhausted(scene, args, "five_hour"))


def _plan_exhausted_model(scene: Scene, args: Arguments) -> Script:
    if args.text("family", "opus") not in scene.asked.model:
        return script_of(scene.honest())
    return script_of(_exhausted(scene, args, f"seven_day_{args.text('family', 'opus')}"))


def _overage(scene: Scene, args: Arguments) -> Script:
    return script_of(scene.honest().with_headers(*limits.overage_headers(scene.now)))


def _long_context(scene: Scene, args: Arguments) -> Script:
    answer = scene.upstream.refusal(429, "rate_limit_error", "Extra usage is required for long context requests.")
    unified = args.text("unified", "")
    headers = limits.plan_headers(scene.now) if unified == "allowed" else ()
    return script_of(retry_advice(answer, args).with_headers(*headers))


def _strict_thinking(scene: Scene, args: Arguments) -> Script:
    honest = scene.honest()
    if honest.status != 200 or scene.asked.body is None or not scene.asked.generates:
        return script_of(honest)
    for path, block in blocks_of(scene.asked.body["messages"]):
        if block["type"] == "thinking" and str(block.get("signature", "")).startswith(FOREIGN_SIGNATURE):
            message = f"{path}: Invalid `signature` in `thinking` block"
            return script_of(scene.upstream.refusal(400, "invalid_request_error", message))
    return script_of(honest)


ANTHROPIC: dict[str, Fault] = {
    "plan_exhausted": Fault(_plan_exhausted, ("claim", "reset")),
    "plan_exhausted_model": Fault(_plan_exhausted_model, ("claim", "reset", "family")),
    "overage_200": Fault(_overage),
    "long_context": Fault(_long_context, ("unified", "retry_after", "should_retry")),
    "throttle": http_error(429, "rate_limit_error", "Error"),
    "overloaded": http_error(529, "overloaded_error", "Overloaded"),
    "strict_thinking": Fault(_strict_thinking),
}

"""Requests that Bedrock takes as they are: grown part by part from a random request, each part kept if the sandbox takes it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from sandbox.bedrock_models import Model
from sandbox.bedrock_refusals import Submission, refuse
from sandbox.conversation import Invalid
from tests.proxy_app.bedrock.parts import Json, Request

Path = tuple[str | int, ...]
APPEND = -1


def refusal(model: Model, body: Json, prefix: str = "us") -> str:
    """Bedrock's words, or an empty string when it serves this body."""
    try:
        refuse(Submission(model, body, prefix, model.betas))
    except Invalid as error:
        return str(error)
    return ""


def grown(model: Model, request: Request) -> Json:
    """As much of the request as the model takes, as a Bedrock body."""
    body: Json = {
        "max_tokens": min(request.body["max_tokens"], model.most_output),
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": [flag for flag in request.betas if flag in model.betas],
    }
    for group in _groups(request):
        for path, value in group:
            changed = _with(body, path, value)
            if changed is not None and not refusal(model, changed):
                body = changed
    return body


def _groups(request: Request) -> Iterator[list[tuple[Path, Any]]]:
    """Parts that may stand or fall alone, in an order in which each finds what it needs."""
    body = request.body
    for number, tool in enumerate(body.get("tools", ())):
        least = {"input_schema": {"type": "object"}} if tool.get("type", "custom") == "custom" else {"type": tool["type"]}
        yield [(("tools", APPEND), {"name": tool["name"], **least})]
        yield [(("tools", number, name), value) for name, value in tool.items() if name not in ("name", "input_schema", "type")]
    for block in body["messages"][0]["content"] if isinstance(body["messages"][0]["content"], list) else ():
        yield [(("messages", 0, "content", APPEND), block)]
    yield from ([(("messages", APPEND), exchange)] for exchange in _exchanges(body["messages"][1:]))
    for name, value in body.items():
        if name == "context_management" and value is not None:
            yield [((name,), {"edits": []}), *(((name, "edits", APPEND), edit) for edit in value["edits"])]
        elif isinstance(value, dict) and name != "cache_control":
            yield [((name,), {key: value[key] for key in ("type", "budget_tokens", "name") if key in value})]
            yield [((name, key), inner) for key, inner in value.items()]
        elif name not in ("messages", "tools", "max_tokens"):
            yield [((name,), value)]


def _exchanges(messages: list[Json]) -> Iterator[list[Json]]:
    """From one message of the assistant to the next: calls and their results are taken together."""
    starts = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for number, start in enumerate(starts):
        yield messages[start : [*starts, len(messages)][number + 1]]


def _with(body: Json, path: Path, value: Any) -> Json | None:
    """None when the place is not there."""
    changed = copy.deepcopy(body)
    holder: Any = changed
    for step in path[:-1]:
        if len(path) == 2 and path[-1] == APPEND:
            changed.setdefault(str(step), [])
        try:
            holder = holder[step]
        except (KeyError, IndexError):
            return None
    if path[-1] != APPEND:
        holder[path[-1]] = value
    elif isinstance(value, list):
        holder.extend(value)
    else:
        holder.append(value)
    return changed

"""The spellings of a model's name: brackets, dates, prefixes, ARNs, and what is left without them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.model_ids import ARN, PROFILE_ID

FAMILIES = ("opus", "sonnet", "haiku", "fable", "mythos")
LONGEST_FAMILY = 60

_BRACKETS = re.compile(r"\s*\[[^\]]*\]\s*$")  # "[1m]", "[200k]"
_WINDOW = re.compile(r":\d+k$")  # ":51k", seen from Claude Code
_DATE = re.compile(r"-20\d{6}$")
_VERSION = re.compile(r"-v\d+(?::\d+)?(?::\d+k)?$")
_LONGEST_NAME = 400  # what is longer names no model; bounds the work on hostile input


def stripped(model: str) -> str:
    """Without brackets, window and vendor; an ARN stays one, in its own case."""
    text = model[:_LONGEST_NAME].strip()
    while _BRACKETS.search(text):
        text = _BRACKETS.sub("", text)
    return _WINDOW.sub("", text).removeprefix("anthropic/")


def bare(model: str) -> str:
    """The id without brackets, case, ARN, profile prefix, vendor and Bedrock's version."""
    text = stripped(model).lower()
    arn = ARN.fullmatch(text)
    text = (arn["name"] if arn else text).replace("@", "-")
    full = PROFILE_ID.fullmatch(text)
    return _VERSION.sub("", full["base"].removeprefix("anthropic.")) if full else text


def spellings(model: str) -> Iterator[str]:
    """The names under which a model may be known, the exact one first: as it is, without `-latest`, without a date."""
    name = bare(model)
    yield name
    yield name.removesuffix("-latest")
    yield _DATE.sub("", name)


def family_of(model: str) -> str:
    """The name under which circuits count this model."""
    name = bare(model)
    words = re.split(r"[^a-z0-9]+", name)
    return next((family for family in FAMILIES if family in words), name[:LONGEST_FAMILY])

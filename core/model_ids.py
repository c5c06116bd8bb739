"""What the ids of models look like: Bedrock's, as ARN or with the prefix of an inference profile, and the client's.

Shapes only, and the words in which a model is added: it knows no model. Invariant: what one of these patterns matches whole
has no character that could lead a request to another host or another path than it was meant for, once `/` is quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
ARN: Final = re.compile(
    r"arn:aws(?:-[a-z]+)*:bedrock:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)?:(?:\d{12})?:"
    r"(?P<kind>inference-profile|application-inference-profile|foundation-model|provisioned-model|custom-model-deployment"
    r"|imported-model|default-prompt-router|prompt-router)/(?P<name>[A-Za-z0-9._:-]{1,200})"
)
PROFILE_ID: Final = re.compile(
    r"(?:(?P<prefix>[a-z]{2,8}(?:-[a-z]{2,8})?)\.)?(?P<base>anthropic\.claude-[a-z0-9][a-z0-9.:-]{0,100})"
)
PREFIXES: Final = ("global", "us", "eu", "jp", "au", "in", "apac", "us-gov")
CLIENT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,119}")  # an admin's own name for a model, too
OPAQUE_KINDS: Final = frozenset({"application-inference-profile", "default-prompt-router", "prompt-router"})  # lead anywhere
ON_DEMAND: Final = "none"  # in place of prefixes: the foundation model itself is asked, through no inference profile


@dataclass(frozen=True, slots=True)
class NewModel:
    """`bedrock` is a base id (`anthropic.claude-...`) or an ARN; no `prefixes`: every one that the key's region has.

    `like` is the known model whose capabilities it has; `bedrock_key_id` None: it holds for every key.
    """

    model: str
    bedrock: str
    like: str
    prefixes: tuple[str, ...] = ()
    context_window: int | None = None
    max_output: int | None = None
    bedrock_key_id: str | None = None


def is_region(text: str) -> bool:
    """Whether this may stand in a host name as an AWS region: anything else would choose where a key is sent."""
    return len(text) <= 30 and REGION.fullmatch(text) is not None

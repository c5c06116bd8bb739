"""What follows from Bedrock's refusals: another model id, another key, or a word to the administrators.

Pure. Knows the kinds of refusal; refuses to know HTTP, circuits and the database. Invariant: only a refusal of the key itself
takes a key out of use; one that is about a model says so of that model and leaves the key to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from proxy_app.bedrock.errors import BedrockFault, Kind

_NEXT_MODEL_ID = frozenset({Kind.THROTTLED, Kind.QUOTA_DAY, Kind.INVALID_IDENTIFIER, Kind.ON_DEMAND, Kind.NOT_ENTITLED})
_NEXT_KEY = _NEXT_MODEL_ID | {
    Kind.AUTH, Kind.OVERLOADED, Kind.INTERNAL, Kind.USE_CASE_FORM, Kind.DATA_RETENTION,
}  # fmt: skip
_ABOUT_A_MODEL = frozenset({Kind.NOT_ENTITLED, Kind.USE_CASE_FORM, Kind.DATA_RETENTION})
LASTING = frozenset({Kind.INVALID_IDENTIFIER, Kind.ON_DEMAND, Kind.NOT_ENTITLED, Kind.AUTH})


_WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.AUTH: "AWS refused the key; `bedrock-key test` shows its words",
        Kind.NOT_ENTITLED: "AWS denies the key this model; `bedrock-key test` shows its words",
        Kind.USE_CASE_FORM: "Anthropic's use case form has not been filled in for this AWS account",
        Kind.DATA_RETENTION: "this AWS account has not opted in to the data retention that the model asks for",
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One model id was asked for with a key, and refused."""

    model_id: str
    fault: BedrockFault

    @property
    def kind(self) -> Kind:
        return self.fault.kind


@dataclass(frozen=True, slots=True)
class KeyTrouble:
    """What an administrator must mend. `unusable`: AWS refused the key itself, not one model."""

    key_id: str
    model_id: str
    kind: Kind
    unusable: bool

    @property
    def reason(self) -> str:
        """For people, who see it with the key. In our words: a text of AWS may repeat what was sent, and this is stored."""
        return f"{self.model_id}: {_WORDS.get(self.kind, self.kind.value)}"


KeyRefused = Callable[[KeyTrouble], None]


def another_id_may_serve(refusal: Refusal) -> bool:
    """A 403 on a `global.` profile may be the account's policy against leaving the geography: the next id tells."""
    return refusal.kind in _NEXT_MODEL_ID or (refusal.kind is Kind.AUTH and refusal.model_id.startswith("global."))


def another_key_may_serve(refusal: Refusal) -> bool:
    return refusal.kind in _NEXT_KEY


def will_be_the_same(refusals: Sequence[Refusal]) -> bool:
    """Whether the id that served after these is the first to try next time. A throttled one is not passed over for good."""
    return any(refusal.kind in LASTING for refusal in refusals)


def trouble_of(key_id: str, refusals: Sequence[Refusal]) -> KeyTrouble | None:
    """What these refusals of one key, in which no id served, mean for it; None when administrators cannot help.

    The last id asked tells of the key: one that gets further than the door under any id is a good key.
    """
    final = refusals[-1]
    is_refused = final.kind is Kind.AUTH
    told = final if is_refused else next((each for each in reversed(refusals) if each.kind in _ABOUT_A_MODEL), None)
    if told is None:
        return None
    return KeyTrouble(key_id, told.model_id, told.kind, is_refused)

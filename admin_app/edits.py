"""A form that shows what there is, is changed by somebody, and comes back: what of it they changed, and whether somebody else
changed the same meanwhile.

Pure. Knows texts as forms hold them, no noun. The form carries what it showed, in fields `was_NAME`. Invariants: what somebody
left as it was is not written, so that two who change different things lose nothing; what both changed is refused and shown,
and written only by who saves again having seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.access import Refused

_WAS = "was_"


class ChangedMeanwhile(Refused):
    """`problems`: field -> a sentence with what it is by now."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("somebody else changed this meanwhile; look at the marked fields, and save again to overwrite them")
        self.problems = {"": str(self), **problems}


@dataclass(frozen=True, slots=True)
class Edit:
    """`fields`: what is to be written; `was`: what the form showed of it."""

    fields: dict[str, str]
    was: dict[str, str] = field(default_factory=dict)

    def check(self, now: Mapping[str, str]) -> None:
        """`now`: what there is, as the form would show it. Raises ChangedMeanwhile."""
        told = {name: (was, now[name]) for name, was in self.was.items() if name in now}  # a form made by hand may say more
        moved = {name: text for name, (was, text) in told.items() if text not in (was, self.fields[name])}
        if moved:
            raise ChangedMeanwhile({name: _sentence(text) for name, text in moved.items()})

    def shown_again(self, now: Mapping[str, str], is_seen: bool) -> dict[str, str]:
        """The fields `was_NAME` of a form that was refused. `is_seen`: it shows what the others wrote."""
        return {**now, **({} if is_seen else self.was)}


def edit_of(form: Mapping[str, str]) -> Edit:
    """Of a form that does not say what it showed, everything is to be written."""
    was = {name.removeprefix(_WAS): _plain(text) for name, text in form.items() if name.startswith(_WAS)}
    typed = {name: _plain(text) for name, text in form.items() if not name.startswith(_WAS)}
    fields = {name: text for name, text in typed.items() if name not in was or not _is_same(text, was[name])}
    return Edit(fields, {name: text for name, text in was.items() if name in fields})


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """As a form shows them."""
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}"
    return "" if value is None else _plain(str(value))


def _plain(text: str) -> str:
    """Browsers send a text of several lines with CRLF."""
    return text.replace("\r\n", "\n").strip()


def _is_same(text: str, was: str) -> bool:
    """Browsers leave whole minutes without their seconds."""
    return text == was or f"{text}:00" == was


def _sentence(text: str) -> str:
    return f"is “{text}” by now" if text else "is empty by now"

"""Texts put wherever the product takes one: each text field of each declared operation, and each field of each form.

Which there are is read from the declarations and from the pages; only what else a form must hold to be taken is said here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urljoin

import msgspec
from falcon.testing import Result

from admin_app.fields import _parts
from admin_app.operation import Offer, Operation
from admin_app.secret_fields import secret_fields
from core.actor import Role
from core.api_tokens import delete_all
from tests.core.office import NOW
from tests.furnished import LIKE
from tests.security.house import House, Visitor
from tests.security.markup import Form, Markup

API = "/admin/api/v1"
FEW = 3
# What the fields of an operation must hold besides the text that is tried. An operation that takes texts and is not served
# with these fails the test, by name.
SOUND: Mapping[str, Any] = {
    "name": "sound",
    "username": "sound-name",
    "email": "sound@example.com",
    "role": "viewer",
    "model": "claude-sound",
    "bedrock": "anthropic.claude-sound",
    "input": "5",
    "output": "25",
    "secret": "bedrock-x",
    "region": "us-east-1",
    "residency": "global",
    "expires_at": (NOW + timedelta(days=30)).isoformat(),
}
OF_OTHERS = {"user_id", "key_id", "access_key_id", "bedrock_key_id", "admin_id", "claim_id"}  # ids in bodies


@dataclass(frozen=True)
class Field:
    offer: Offer
    name: str

    def __str__(self) -> str:
        return f"{self.offer.operation.name}.{self.name}"


def text_names(operation: Operation) -> list[str]:
    """Fields that take text of any kind, but what is secret and is shown to nobody."""
    takes = operation.takes
    each = [one for one in msgspec.structs.fields(takes) if str in {one.type, *_parts(one.type)}]
    hidden = secret_fields(takes)
    return [one.encode_name for one in each if one.encode_name not in hidden]


def declared_fields(house: House) -> list[Field]:
    return [Field(offer, name) for offer in house.app.offers for name in text_names(offer.operation)]


@dataclass
class Programme:
    """Whoever asks the API with an owner's token."""

    house: House
    token: str

    def ask(self, offer: Offer, values: Mapping[str, Any]) -> Result:
        known = {**self.house.furnished.ids, **values}
        path = re.sub(r"\{(\w+)\}", lambda part: str(known.get(part[1], "none")), offer.path)
        sent = {name: value for name, value in values.items() if f"{{{name}}}" not in offer.path}
        headers = {"authorization": f"Bearer {self.token}"}
        if offer.method in ("GET", "DELETE"):
            return Visitor().send(self.house.app, offer.method, f"{API}{path}?{urlencode(sent)}", None, headers)
        typed = {**headers, "content-type": "application/json"}
        return Visitor().send(self.house.app, offer.method, API + path, msgspec.json.encode(sent).decode(), typed)

    def sound(self, offer: Offer) -> dict[str, Any]:
        """As few fields as it takes, with values that it takes."""
        known = {**SOUND, **{name: self.house.furnished.ids[name] for name in OF_OTHERS if name in self.house.furnished.ids}}
        fields = msgspec.structs.fields(offer.operation.takes)
        wanted = {each.encode_name: known.get(each.encode_name, "") for each in fields if each.required}
        return {**wanted, "like": LIKE} if offer.operation.name == "addModel" else wanted

    def fill(self, offer: Offer, texts: Sequence[str]) -> list[int]:
        """Each text in all fields at once that take any; and where they do not, the first few alone, also as a mail address."""
        sound, names = self.sound(offer), [name for name in text_names(offer.operation) if f"{{{name}}}" not in offer.path]
        alone = {name: [self._tried(offer, sound, name, each) for each in texts[:FEW]] for name in names}
        free = [name for name, codes in alone.items() if any(code < 300 for code in codes) and name not in OF_OTHERS]
        mails = [each.replace(" ", "/") + "@example.com" for each in texts]
        whole = [
            self.ask(offer, {**sound, **dict.fromkeys(free, each), **({"email": mail} if "email" in names else {})}).status_code
            for each, mail in zip(texts, mails, strict=True)
            if free
        ]
        return [*whole, *(code for codes in alone.values() for code in codes)]

    def _tried(self, offer: Offer, sound: Mapping[str, Any], name: str, value: str) -> int:
        if offer.operation.name == "createApiToken":
            self.house.database.run(lambda c: delete_all(c, self.house.admins[Role.OWNER]))  # there are twenty at most
        return self.ask(offer, {**sound, name: value}).status_code


@dataclass
class Reader:
    """An owner with a browser; every page they see is looked into."""

    house: House
    visitor: Visitor
    pages: int = 0
    breaches: dict[str, list[str]] = field(default_factory=dict)

    def see(self, path: str, form: Mapping[str, str] | None = None) -> Markup | None:
        answer = self.visitor.ask(self.house.app, "GET" if form is None else "POST", path, form)
        return self.look(path, answer)

    def look(self, path: str, answer: Result) -> Markup | None:
        if answer.status_code == 303:
            return self.see(urljoin(path, answer.headers["location"]))
        if answer.status_code >= 500:
            self._note(path, [f"status {answer.status_code}"])
        if not answer.headers.get("content-type", "").startswith("text/html"):
            return None
        self.pages += 1
        found = Markup(answer.text)
        self._note(path, found.breaches)
        return found

    def send(self, path: str, form: Form, texts: Mapping[str, str]) -> Markup | None:
        fields = {**form.fields, **texts, **({"csrf_token": self.visitor.token} if form.method == "POST" else {})}
        where = urljoin(path, form.action) if form.action else path
        return self.see(where, fields) if form.method == "POST" else self.see(f"{where.partition('?')[0]}?{urlencode(fields)}")

    def forms(self, paths: list[str]) -> Iterator[tuple[str, Form]]:
        """Each once, with a field that somebody could fill."""
        known: set[tuple[str, ...]] = set()
        for path in paths:
            page = self.see(path)
            for form in page.forms if page else ():
                kind = (form.method, urljoin(path, form.action), *sorted(form.texts))
                if form.texts and kind not in known and not kind[1].endswith("/logout"):
                    known.add(kind)
                    yield path, form

    def _note(self, path: str, found: list[str]) -> None:
        if found:
            self.breaches[path] = found

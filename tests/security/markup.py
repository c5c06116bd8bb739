"""What a page is made of, as a browser would read it, held against what our templates can write: whatever else is in it was
brought by somebody's text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
_TAG, _ATTRIBUTE = re.compile(r"<([a-z][\w-]*)"), re.compile(r"""([\w:-]+)=["'{]""")
# Charts and QR codes come from libraries.
_OF_DRAWINGS = ("svg", "path", "g", "rect", "line", "text", "desc", "title", "circle", "defs", "polyline")
_DRAWN = (
    *("xmlns", "xmlns:xlink", "viewbox", "version", "transform", "d", "x", "y", "dx", "dy", "x1", "y1", "x2", "y2", "rx", "ry"),
    *("points", "fill", "stroke", "stroke-width", "preserveaspectratio", "id", "class", "width", "height"),
)
_BARE = (
    *("autofocus", "checked", "disabled", "hidden", "multiple", "novalidate", "open", "required", "selected", "defer"),
    *("readonly", "data-copy", "step"),
)
_ADDRESSES = ("href", "src", "action", "formaction", "xlink:href", "data", "hx-get", "hx-post", "data-href", "poster")
_OURS = re.compile(r"(|/admin([/?].*)?|/claim/.*|[?#].*)")


@cache
def ours() -> tuple[frozenset[str], frozenset[str]]:
    """Elements and attributes that stand in a template's source."""
    source = "\n".join(path.read_text() for path in sorted(TEMPLATES.rglob("*.html")))
    attributes = {name.lower() for name in _ATTRIBUTE.findall(source)}
    return frozenset({*_TAG.findall(source), *_OF_DRAWINGS}), frozenset({*attributes, *_DRAWN, *_BARE})


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


class Markup(HTMLParser):
    """`breaches`: what is in the page that none of our templates wrote. `texts`: what is to be read, and what is in fields."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.breaches: list[str] = []
        self.texts: list[str] = []
        self.forms: list[Form] = []
        self.links: list[str] = []
        self._open = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        tags, names = ours()
        if tag not in tags:
            self.breaches.append(f"<{tag}>")
        for name, value in attrs:
            self._look_at(tag, name, value or "", names)
        given = {name: value or "" for name, value in attrs}
        if tag == "script" and not given.get("src"):
            self.breaches.append("<script> without an address")
        self._note(tag, given)

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.breaches.append(f"<{self._open}> with {data[:60]!r}")
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.breaches.append(f"<!--{data[:60]}-->")

    def _look_at(self, tag: str, name: str, value: str, names: frozenset[str]) -> None:
        if name not in names or name.startswith("on") or name == "style":
            self.breaches.append(f"<{tag} {name}=...>")
        if name in _ADDRESSES and tag != "path":
            parts = urlsplit(value)
            if parts.scheme or parts.netloc or not _OURS.fullmatch(value) or set(value) & set("<>\"'"):
                self.breaches.append(f"<{tag} {name}={value!r}>")
        self.texts.append(value)

    def _note(self, tag: str, given: dict[str, str]) -> None:
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").upper()))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("input", "textarea", "select") and self.forms and given.get("name"):
            form, name = self.forms[-1], given["name"]
            form.fields[name] = given.get("value", "")
            if name != "csrf_token":
                form.texts.append(name)

    def holds(self, text: str) -> bool:
        return any(text in each for each in self.texts)

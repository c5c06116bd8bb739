"""Templates into HTML: the one door to Jinja, and how numbers, money and times are written for people.

Knows no database and no request. Invariants: everything is escaped unless a template says otherwise (none does); a name that a
template misses is an error, not a gap; times are UTC.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.compiled_templates import CompiledTemplates
from core.numerals import count, many
from core.threads import behind_others

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
NOTHING = "–"
_SCRIPT = "text/javascript; charset=utf-8"
_FIXED = (("style.css", "text/css; charset=utf-8"), ("icon.svg", "image/svg+xml"), ("admin.js", _SCRIPT))
_HTMX = Path("static", "django_htmx", "htmx-2.min.js")  # inside the django-htmx wheel, of which nothing else is used
_AT_A_TIME = 32  # pieces of a page: a few tenths of a millisecond
# The first that fits: Edge names Chrome, too, and Chrome Safari.
_BROWSERS = (
    ("Edge", r"Edg[A-Za-z]*/(\d+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/(\d+)"),
    ("Chrome", r"(?:HeadlessChrome|Chrome|CriOS)/(\d+)"),
    ("Safari", r"Version/(\d+)[\d.]* .*Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("macOS", "Mac OS X"),
    ("Windows", "Windows"),
    ("Linux", "Linux"),
)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)[\d:.]*(?:Z|\+00:00)")
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class FixedFile:
    """What pages link to. `tag` changes with the content."""

    name: str
    media_type: str
    content: bytes
    tag: str


_LENGTHS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"))


class Pages:
    """Renders `templates/<name>`. Templates are read once each: in a server all of them at its start, by `prepared`."""

    def __init__(self, version: str, folder: Path = TEMPLATES) -> None:
        self._turns = behind_others()
        self.files = [*(_fixed_file(folder / name, media_type) for name, media_type in _FIXED), _htmx()]
        environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=CompiledTemplates(folder, Path(__file__)),
        )
        numbers = (
            count,
            many,
            compact,
            money,
            fine_money,
            dollars,
            small_dollars,
            rate,
            share_of,
            percent_of,
            duration,
            fine_duration,
            lasted,
        )
        times = (day_and_time, time_of_day, machine_time, ago, ahead)
        filters = (*numbers, *times, short_model, browser, plainly, words, with_query)
        environment.filters |= {each.__name__: each for each in filters}
        tags = {file.name: file.tag for file in self.files}
        environment.globals |= {"version": version, "tags": tags, "nothing": NOTHING}
        environment.globals["m"] = environment.get_template("_macros.html").module  # in every template, and in its blocks alone
        self._environment = environment

    def prepared(self) -> Pages:
        """These pages, with every template read: to compile a large one would hold the event loop for 50 ms."""
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)
        return self

    def render(self, name: str, block: str = "", **values: Any) -> str:
        """The whole page, or one block of it where the template has a block of that name.

        One page at a time, and what else goes on in the process goes on between its pieces.
        """
        template = self._environment.get_template(name)
        is_part = block in template.blocks
        pieces = template.blocks[block](template.new_context(values)) if is_part else template.generate(values)
        written = list[str]()
        with self._turns.take() as rest:
            while some := list(islice(pieces, _AT_A_TIME)):
                written += some
                rest()
        return "".join(written)


def _fixed_file(path: Path, media_type: str) -> FixedFile:
    content = path.read_bytes()
    return FixedFile(path.name, media_type, content, hashlib.sha256(content).hexdigest()[:12])


def _htmx() -> FixedFile:
    package = find_spec("django_htmx")
    if package is None or package.origin is None:
        raise FileNotFoundError("htmx is missing: pip install --no-deps --require-hashes -r requirements-assets.txt")
    content = (Path(package.origin).parent / _HTMX).read_bytes()
    return FixedFile("htmx.js", _SCRIPT, content, hashlib.sha256(content).hexdigest()[:12])


def compact(number: int) -> str:
    """999, 12.3 k, 4.56 M: three digits that matter, and a space that no line breaks at."""
    if number < 1000:
        return str(number)
    value, unit = number / 1000, "k"
    for bigger in ("M", "G", "T"):
        if value < 999.5:
            break
        value, unit = value / 1000, bigger
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}\N{NO-BREAK SPACE}{unit}"


def money(micros: int) -> str:
    """$12.34: as `dollars`, for sums."""
    return dollars(Decimal(micros) / 1_000_000)


def fine_money(micros: int) -> str:
    """As `small_dollars`, for what one request cost."""
    return small_dollars(Decimal(micros) / 1_000_000)


def dollars(amount: Decimal) -> str:
    """$1,234.50: whole cents, rounded up so that what is spent never looks less."""
    return f"${amount.quantize(Decimal('0.01'), ROUND_UP):,}"


def small_dollars(amount: Decimal) -> str:
    """As `dollars`, and below a dollar four decimals, to tell something from nothing."""
    return f"${amount.quantize(Decimal('0.0001'), ROUND_UP)}" if 0 < abs(amount) < 1 else dollars(amount)


def rate(amount: Decimal) -> str:
    """$3.00, $0.30, $0.0125: at least cents, more where there is more."""
    cents = amount.quantize(Decimal("0.01"))
    return f"${cents:,}" if cents == amount else f"${amount.normalize():f}"


def share_of(part: Decimal, whole: Decimal) -> int:
    """Whole per cent, rounded down; of nothing, all is used."""
    return 100 if whole <= 0 else int(part * 100 / whole)


def percent_of(part: int, whole: int) -> str:
    """12 %, and below ten with a decimal; empty of nothing."""
    if whole <= 0:
        return ""
    percent = part * 100 / whole
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{max(percent, 0.1):.1f} %"


def duration(ms: float) -> str:
    """85 ms, 1.24 s, 3.5 min"""
    if ms < 999.5:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.2f} s" if ms < 60_000 else f"{ms / 60_000:.1f} min"


def fine_duration(ms: float) -> str:
    """As `duration`, with a decimal below ten milliseconds: 1.4 ms"""
    return f"{ms:.1f} ms" if ms < 9.95 else duration(ms)


def lasted(seconds: int) -> str:
    """21 s, 13 min, 2 h 5 min, 3 d 4 h: two units that matter."""
    for length, unit, smaller, below in _LENGTHS:
        if seconds >= length:
            rest = seconds % length // smaller
            return f"{seconds // length} {unit} {rest} {below}" if rest else f"{seconds // length} {unit}"
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"


def day_and_time(moment: datetime | None) -> str:
    return NOTHING if moment is None else moment.strftime("%Y-%m-%d %H:%M")


def time_of_day(moment: datetime, now: datetime) -> str:
    """With the day where it is another one."""
    return moment.strftime("%H:%M:%S" if moment.date() == now.date() else "%m-%d %H:%M:%S")


def machine_time(moment: datetime) -> str:
    """For `<time datetime=...>`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(moment: datetime, now: datetime) -> str:
    return f"{_span(now - moment)} ago"


def ahead(moment: datetime, now: datetime) -> str:
    return f"in {_span(moment - now)}" if moment > now else "due"


def short_model(model: str) -> str:
    """Without the place and the vendor that Bedrock puts before a name."""
    return model.rpartition("anthropic.")[2]


def browser(user_agent: str) -> str:
    """Chrome 156 on Linux; of what is no browser's, the text as it came."""
    name = next((f"{name} {found[1]}" for name, mark in _BROWSERS if (found := re.search(mark, user_agent))), "")
    system = next((name for name, mark in _SYSTEMS if mark in user_agent), "")
    return f"{name} on {system}" if name and system else name or user_agent


def plainly(value: Any) -> str:
    """A value of a document as people write it: yes and no, moments without what is below a minute, a list with commas."""
    if value is None or value in ("", []):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(plainly, value))
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    return f"{found[1]} {found[2]} UTC" if found else str(value)


def words(name: str) -> str:
    """plan_first -> plan first"""
    return name.replace("_", " ")


def with_query(query: Mapping[str, str], **changed: str) -> str:
    """?a=1&b=2, with some fields changed and empty ones left out; empty where nothing is left."""
    fields = {name: text for name, text in {**query, **changed}.items() if text}
    return f"?{urlencode(fields)}" if fields else ""


def _span(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"

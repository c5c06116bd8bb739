"""Lines over time as SVG that stands in a page: the one door to pygal.

Pure. Knows no noun. Invariants: a drawing has no style, no script and no address of its own (style.css has its colours), so
that it passes the pages' policy; it is an image with a name, and whoever shows it puts the figures beside it as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element, tostring

from pygal import XY  # type: ignore[import-untyped]
from pygal.config import Config  # type: ignore[import-untyped]

from core.threads import breathe

_WIDTH, _HEIGHT = 420, 160
_SVG = "http://www.w3.org/2000/svg"
_DROPPED = ("defs", "title")
_OVERLAYS = ("titles", "plot overlay", "plot text-overlay", "plot tooltip-overlay")

Points = Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """An SVG element, safe to be put into a page as it is: a template need not say so."""

    svg: str

    def __html__(self) -> str:
        return self.svg


def percent_lines(title: str, lines: Mapping[str, Points], since: datetime, until: datetime) -> Drawing:
    """Per cent over days, a line for each name, in the colours `series serie-0`, `serie-1` and so on of the style sheet."""
    days = _midnights(since, until)
    most = max((value for points in lines.values() for _, value in points), default=0.0)
    chart = XY(
        Config(
            css=[],
            js=[],
            width=_WIDTH,
            height=_HEIGHT,
            margin=6,
            show_legend=False,
            show_dots=False,
            range=(0, max(100, most)),
            xrange=(since.timestamp(), until.timestamp()),
            x_labels=[day.timestamp() for day in days],
            y_labels=[0, 50, 100],
            x_value_formatter=lambda at: f"{datetime.fromtimestamp(at, since.tzinfo):%d %b}",
            value_formatter=lambda value: f"{value:.0f} %",
        )
    )
    for name, points in lines.items():
        chart.add(name, [(at.timestamp(), value) for at, value in points])
    breathe()
    drawn = chart.render_tree()
    breathe()
    return Drawing(_plain(drawn, title))


def _midnights(since: datetime, until: datetime) -> list[datetime]:
    day = since.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [day + timedelta(days=number) for number in range((until - day).days + 1)]
    return [each for each in days if each >= since]


def _plain(drawn: Any, title: str) -> str:
    """What pygal drew, without all that it adds for pages of its own, and with a name."""
    root = _kept(drawn)
    root.attrib = {"xmlns": _SVG, "viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "class": "chart", "role": "img", "aria-label": title}
    return tostring(root, encoding="unicode")


def _kept(drawn: Any) -> Element:
    tag = drawn.tag.rpartition("}")[2]
    kept = Element(tag, {name: value for name, value in drawn.attrib.items() if name not in ("style", "id")})
    kept.text = drawn.text
    for child in drawn:
        if not isinstance(child.tag, str):  # a comment
            continue
        name = child.tag.rpartition("}")[2]
        if name not in _DROPPED and child.get("class") not in _OVERLAYS:
            kept.append(_kept(child))
    return kept

"""Text into a QR code that a template can draw: the one door to segno.

Pure. Refuses to know SVG's styling: the page's policy allows no inline style, so a code is a path and its size.
"""

from __future__ import annotations

from dataclasses import dataclass

import segno

_BORDER = 4  # modules; less, and some cameras do not find it


@dataclass(frozen=True, slots=True)
class QrCode:
    """`path` draws the dark modules in a square of `size` units, quiet zone included."""

    size: int
    path: str


def qr_code(text: str) -> QrCode:
    code = segno.make(text, error="m", micro=False)
    rows = list(code.matrix_iter(border=_BORDER))
    dark = [f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark]
    return QrCode(len(rows), "".join(dark))

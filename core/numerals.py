"""How a number of things is said, on pages and by commands alike. Pure. Invariant: one thing is never several."""

from __future__ import annotations


def count(number: int) -> str:
    """12,345"""
    return f"{number:,}"


def many(number: int, name: str, plural: str = "") -> str:
    """1 error, 12 errors; 1 entry, 12 entries"""
    return f"{count(number)} {name if number == 1 else plural or f'{name}s'}"

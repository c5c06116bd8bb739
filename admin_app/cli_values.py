"""How values are written on the command line: amounts, days, limits. Pure.

Invariant: what cannot be read is a wrong call (exit 2) with the form it should have.
"""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from core.types import Strategy

NONE = "none"


def or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """`none` takes a value away."""

    def value(text: str) -> Any:
        return None if text == NONE else read(text)

    return value


def usd(text: str) -> int:
    """US dollars into micro-dollars, exactly."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError("must be US dollars, for example 50 or 12.50") from None
    micros = amount * 1_000_000 if amount.is_finite() else Decimal(-1)
    if not 0 <= micros <= 10**15 or micros != micros.to_integral_value():
        raise ArgumentTypeError("must be 0 to 1,000,000,000 US dollars, down to the millionth")
    return int(micros)


def days(text: str) -> float:
    number = _number(text)
    if not 0 < number <= 36_500:
        raise ArgumentTypeError("must be a number of days above 0")
    return number


def seconds(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 86_400:
        raise ArgumentTypeError("must be 0 to 86400 seconds")
    return number


def moment(text: str) -> datetime:
    """UTC unless it says otherwise."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("must be like 2026-01-31 or 2026-01-31T12:00") from None
    if not 2000 <= found.year < 9999:
        raise ArgumentTypeError("must be of a year from 2000 to 9998")
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError("must be a whole number")
    return int(text)


def strategy(text: str) -> Strategy:
    try:
        return Strategy(text)
    except ValueError:
        raise ArgumentTypeError(f"must be one of {', '.join(Strategy)}") from None


def optional(parser: ArgumentParser, name: str, dest: str, read: Callable[[str], Any], **more: Any) -> None:
    """An option that leaves no trace in the arguments where it is not given."""
    parser.add_argument(name, dest=dest, type=read, default=SUPPRESS, **more)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError("must be a number") from None

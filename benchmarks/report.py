"""Sections as text for people and as JSON for machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.figures import Cell, Section, short
from benchmarks.machine import Machine


def heading(machine: Machine, *, two_cores: bool, quick: bool) -> str:
    lines = [f"Machine: {machine}"]
    if two_cores:
        lines.append("Proxy and nginx are pinned to one core, load generator and upstream to another; loopback, plain HTTP.")
    else:
        lines.append("ONE CORE ONLY: proxy, load generator and upstream share it; added times are far too high.")
    lines.append("Medians of interleaved rounds [least..greatest]; 'foreign' is the measured core's time that others took.")
    if quick:
        lines.append("A QUICK RUN: it shows that everything works, its figures mean nothing.")
    return "\n".join(lines)


def as_text(section: Section) -> str:
    lines = [f"{section.name}: {section.title}", *_table(section.columns, section.rows)]
    if section.foreign_percent is not None:
        lines.append(f"foreign: {section.foreign_percent:.0f} %")
    lines += [f"-> {bar}" for bar in section.bars]
    lines += section.notes
    lines += [f"FAULT {fault}" for fault in section.faults]
    return "\n".join(lines)


def as_json(machine: Machine, sections: Iterable[Section], *, two_cores: bool, quick: bool) -> dict[str, object]:
    return {
        "machine": machine.as_json(),
        "two_cores": two_cores,
        "quick": quick,
        "sections": {section.name: section.as_json() for section in sections},
    }


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    texts = [list(columns), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return short(cell) if isinstance(cell, float) else str(cell)

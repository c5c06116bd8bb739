"""`--help`, which a new administrator asks first: it must answer everywhere, and say what a command does."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from admin_app.cli import run
from admin_app.cli_desk import Outside
from tests.admin_app.desk import Probe

OPERATIONS = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"^\| `python -m admin_app ([a-z-]+(?: [a-z][a-z-]+)?)(?= |`)", OPERATIONS, re.MULTILINE)))
NOUNS = sorted({command.partition(" ")[0] for command in COMMANDS})


def helped(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    outside = Outside(
        environ={},
        stdin=io.StringIO(),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        now=lambda: datetime(2026, 5, 1, tzinfo=UTC),
        build_probe=lambda _: Probe(),
        serve=lambda _settings, _first_run: 0,
        known_models=frozenset,
    )
    with pytest.raises(SystemExit) as ended:
        run([*words.split(), "--help"], outside)
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", ["", *NOUNS])
def test_help_of_a_noun_lists_what_can_be_done(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"usage: python -m admin_app {words}".strip() in helped(words, capsys)


@pytest.mark.parametrize("words", COMMANDS)
def test_help_of_a_command_says_in_a_sentence_what_it_does(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    usage, sentence, *_ = helped(words, capsys).split("\n\n")

    assert usage.startswith(f"usage: python -m admin_app {words} ")
    assert re.fullmatch(r"[A-Z][^%]*( % [^%]*)?\.", sentence, re.DOTALL)

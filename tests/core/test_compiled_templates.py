"""Templates are compiled once for all processes, and read once in each, before anybody asks for a page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.compiled_templates import CompiledTemplates
from core.pages import TEMPLATES, Pages

MESSAGE = {"home": "/admin", "status": "404", "title": "Not found", "text": "There is no such page."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates"
    shutil.copytree(TEMPLATES, made, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def compiled(folder: Path) -> dict[str, int]:
    """Each file, and when it was written."""
    return {file.name: file.stat().st_mtime_ns for file in (folder / "__pycache__").iterdir()}


def test_a_prepared_server_reads_no_template_while_it_serves(folder: Path) -> None:
    pages = Pages("1.0", folder).prepared()
    shutil.rmtree(folder)

    assert "There is no such page." in pages.render("message.html", **MESSAGE)


def test_the_next_process_compiles_nothing(folder: Path) -> None:
    Pages("1.0", folder).prepared()
    before = compiled(folder)
    Pages("1.0", folder).prepared()

    assert len(before) == len(list(folder.rglob("*.html")))
    assert compiled(folder) == before


def test_a_template_that_changed_is_compiled_again(folder: Path) -> None:
    Pages("1.0", folder).prepared()
    (folder / "message.html").write_text("changed: {{ text }}")

    assert Pages("1.0", folder).render("message.html", **MESSAGE) == "changed: There is no such page."


def test_other_code_of_ours_does_not_use_what_was_compiled(tmp_path: Path) -> None:
    (tmp_path / "before.py").write_text("trim_blocks = True")
    (tmp_path / "after.py").write_text("trim_blocks = False")
    before, after = (CompiledTemplates(tmp_path, tmp_path / name) for name in ("before.py", "after.py"))

    assert before.get_source_checksum("{{ text }}") != after.get_source_checksum("{{ text }}")


@pytest.mark.parametrize("content", [b"", b"j2", b"no bytecode at all"])
def test_a_compiled_file_that_is_broken_is_made_anew(folder: Path, content: bytes) -> None:
    whole = Pages("1.0", folder).render("message.html", **MESSAGE)
    [file] = (folder / "__pycache__").glob("message.html.*")
    file.write_bytes(content)

    assert Pages("1.0", folder).render("message.html", **MESSAGE) == whole
    assert file.read_bytes() != content


def test_a_compiled_file_that_ends_early_is_made_anew(folder: Path) -> None:
    whole = Pages("1.0", folder).render("message.html", **MESSAGE)
    [file] = (folder / "__pycache__").glob("message.html.*")
    content = file.read_bytes()
    file.write_bytes(content[:40])

    assert Pages("1.0", folder).render("message.html", **MESSAGE) == whole
    assert file.read_bytes() == content


def test_a_folder_that_cannot_be_written_to_is_no_trouble(folder: Path) -> None:
    (folder / "__pycache__").write_text("in the way")

    assert "There is no such page." in Pages("1.0", folder).render("message.html", **MESSAGE)

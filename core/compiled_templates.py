"""Compiled templates, kept beside their sources as Python keeps those of its modules: to compile all of them takes a second of
a worker's start, to read them a thirtieth of that.

Knows no page. Invariant: what was compiled from another text, by another Jinja or by other code of ours is never used.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket, BytecodeCache

_FOLDER = "__pycache__"


class CompiledTemplates(BytecodeCache):
    """Of the templates in `folder`. `maker`: the file whose code they are compiled by, with its options and filters.

    A folder that cannot be written to is like one that is empty. Safe between processes.
    """

    def __init__(self, folder: Path, maker: Path) -> None:
        self._folder = folder / _FOLDER
        self._maker = hashlib.sha256(jinja2.__version__.encode() + maker.read_bytes()).hexdigest()

    def get_cache_key(self, name: str, _filename: str | None = None) -> str:
        return f"{name.replace('/', '.')}.{sys.implementation.cache_tag}"

    def get_source_checksum(self, source: str) -> str:
        return hashlib.sha256(f"{self._maker}{source}".encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError, EOFError, pickle.UnpicklingError):
            bucket.bytecode_from_string((self._folder / bucket.key).read_bytes())

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Whole or not at all: others read at the same time."""
        if sys.dont_write_bytecode:
            return
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as made:
                file = Path(made) / bucket.key
                file.write_bytes(bucket.bytecode_to_string())
                file.replace(self._folder / bucket.key)

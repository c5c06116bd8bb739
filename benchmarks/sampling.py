"""Where the worker's CPU time goes: py-spy beside a load, and its stacks summed up by function and by library.

Summing up is pure. Sampling slows the worker a little, so no other figure is ever taken from a sampled load.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.jobs import Job
from benchmarks.targets import Target

SAMPLED_LOAD_S = 13.0
_SAMPLED_S = 10
_RATE = 400
_TOP = 25
_IDLE = ("acquire_with_timeout",)  # gevent's threads waiting for work, which py-spy takes for busy
_OWN = ("proxy_app", "core", "admin_app", "wsgi.py", "gunicorn.conf.py")
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+?)(?::(?P<line>\d+))?\)")


@dataclass(frozen=True, slots=True)
class Stacks:
    """Samples by the innermost function, by that function and all it calls, and by library."""

    samples: int
    own: Counter[str]
    total: Counter[str]
    libraries: Counter[str]
    lines: dict[str, Counter[str]]


def sampled(bench: Bench, target: Target, job: Job, output: Path) -> tuple[str, ...]:
    """Run the job with py-spy on the target's worker; the lines to print. The raw stacks stay in `output`."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if program is None:
        return ("py-spy is not installed: no profile",)
    output.parent.mkdir(parents=True, exist_ok=True)
    bench.generator.start(job)
    arguments = [program, "record", "-d", str(_SAMPLED_S), "-r", str(_RATE), "--format", "raw", "-o", str(output)]
    process = bench.stage.start([*arguments, "--pid", str(target.worker)], bench.stage.other, stderr=subprocess.STDOUT)
    try:
        said, _ = process.communicate(timeout=_SAMPLED_S * 4)
    except subprocess.TimeoutExpired:
        process.kill()
        said = b"it did not end"
    bench.generator.result()
    if process.returncode != 0 or not output.exists():
        return (f"py-spy failed: {said.decode(errors='replace').strip()[-300:]}",)
    return describe(sum_up(output.read_text()))


def sum_up(raw: str) -> Stacks:
    """py-spy's raw format: a line holds `outermost;...;innermost count`, a frame `function (file:line)`."""
    own, total, libraries = Counter[str](), Counter[str](), Counter[str]()
    lines: dict[str, Counter[str]] = {}
    samples = 0
    for row in raw.splitlines():
        stack, _, text = row.rpartition(" ")
        frames = [each for each in map(_FRAME.fullmatch, stack.split(";")) if each is not None]
        if not frames or not text.isdigit() or frames[-1]["function"] in _IDLE:
            continue
        count = int(text)
        samples += count
        names = [f"{frame['function']} ({frame['file']})" for frame in frames]
        own[names[-1]] += count
        total.update(dict.fromkeys(names, count))
        libraries[library_of(frames[-1]["file"])] += count
        lines.setdefault(names[-1], Counter())[frames[-1]["line"] or "?"] += count
    return Stacks(samples, own, total, libraries, lines)


def library_of(file: str) -> str:
    """The package a file belongs to; the standard library's files have no folder of their own in py-spy's short names."""
    folder, separator, _ = file.removeprefix("./").partition("/")
    if file.startswith(_OWN) or not separator:
        return folder if file.startswith(_OWN) else "standard library"
    return folder


def describe(stacks: Stacks) -> tuple[str, ...]:
    lines = [f"profile of the worker: {stacks.samples} samples; own time by library:"]
    lines += [f"  {_share(count, stacks):5.1f} %  {name}" for name, count in stacks.libraries.most_common(12)]
    lines.append("  own %  with callees %  function, its hottest lines")
    for name, count in stacks.own.most_common(_TOP):
        hottest = ", ".join(f":{line} {_share(hits, stacks):.1f}" for line, hits in stacks.lines[name].most_common(3))
        lines.append(f"  {_share(count, stacks):5.1f}  {_share(stacks.total[name], stacks):5.1f}  {name}  {hottest}")
    return tuple(lines)


def _share(count: int, stacks: Stacks) -> float:
    return 100 * count / stacks.samples if stacks.samples else 0.0

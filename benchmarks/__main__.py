"""`make bench`: the product against a direct call and against nginx, on this machine, in one run (SPEC section 17).

Starts everything, runs the parts, prints their tables, ends everything. Exit status 1 when an answer was not as it should
be or something did not start; a missed bar is printed but is no failure, since it may be the machine's.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, MappingProxyType

import orjson

from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.figures import Section
from benchmarks.generator import Generator, start_upstream
from benchmarks.machine import this_machine
from benchmarks.nginx import find_nginx, start_nginx
from benchmarks.parts import events, fallback, large, latency, loaded, memory, throughput
from benchmarks.processes import DidNotStart, Stage
from benchmarks.proxy import start_proxy
from benchmarks.report import as_json, as_text, heading
from benchmarks.targets import Name, Target

Part = Callable[[Bench], Section]

# Memory comes first, while the worker is fresh.
PARTS: Mapping[str, Part] = MappingProxyType(
    {part.NAME: part.run for part in (memory, latency, throughput, events, loaded, fallback, large)}
)


class OutOfTime(Exception):
    """The whole run took longer than it may."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(options.limit)
    _allow_many_files()
    try:
        sections = _run(options)
    except DidNotStart as error:
        print(error, file=sys.stderr)
        return 1
    except OutOfTime:
        print(f"not done after {options.limit} s: ended", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        signal.alarm(0)
    return 1 if any(section.faults for section in sections) else 0


def _run(options: argparse.Namespace) -> list[Section]:
    machine = this_machine()
    sections = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Stage() as stage:
        print(heading(machine, two_cores=stage.has_two_cores, quick=options.quick), flush=True)
        bench = _set_up(options, stage, Path(folder))
        for name in options.only or PARTS:
            section = PARTS[name](bench)
            sections.append(section)
            print(f"\n{as_text(section)}", flush=True)
    if options.json is not None:
        report = as_json(machine, sections, two_cores=len(os.sched_getaffinity(0)) > 1, quick=options.quick)
        options.json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    return sections


def _set_up(options: argparse.Namespace, stage: Stage, folder: Path) -> Bench:
    _, upstream = start_upstream(stage)
    targets = [Target(Name.DIRECT, upstream)]
    missing = {}
    if Name.NGINX in options.targets:
        program = find_nginx(options.nginx)
        if program is None:
            missing[Name.NGINX] = "not installed"
        else:
            targets.append(start_nginx(stage, program, folder / "nginx", upstream))
    if Name.PROXY in options.targets:
        targets.append(start_proxy(stage, folder / "proxy", upstream))
    scale = QUICK if options.quick else FULL
    return Bench(stage, Generator(stage), upstream, tuple(targets), scale, missing, options.profile)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The product against a direct call and nginx.")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part alone; may be repeated")
    parser.add_argument("--targets", type=_targets, default=tuple(Name), help="of direct,nginx,proxy; direct is always measured")
    parser.add_argument("--nginx", default="nginx", metavar="PROGRAM", help="which nginx to compare with")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, to see that everything works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="sample the worker with py-spy in throughput and events")
    parser.add_argument("--limit", type=int, default=600, metavar="S", help="end the whole run after so many seconds")
    return parser.parse_args(arguments)


def _targets(text: str) -> tuple[Name, ...]:
    return tuple(Name(part.strip()) for part in text.split(","))


def _allow_many_files() -> None:
    """Two sockets a stream and a thousand streams: more than the usual 1024 open files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _out_of_time(_number: int, _frame: FrameType | None) -> None:
    raise OutOfTime


if __name__ == "__main__":
    sys.exit(main())

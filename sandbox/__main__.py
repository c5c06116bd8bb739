from gevent import monkey; monkey.patch_all()  # noqa: E702, I001  # fmt: skip

# `python -m sandbox anthropic|bedrock --port P`: starts one stand-in, prints one JSON line with its addresses, serves.
# `python -m sandbox demo`: both of them with the product in front, see sandbox/demo.py.
# Knows the command line and puts the parts together; refuses to know the inside of any.
# Invariant: stdout holds that one line and nothing else.
import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

import gevent
from gevent.event import Event

from sandbox.anthropic import Anthropic
from sandbox.anthropic_faults import ANTHROPIC
from sandbox.bedrock import ACCOUNTS, Bedrock
from sandbox.bedrock_faults import BEDROCK
from sandbox.control import REFUSE, Control
from sandbox.door import Door
from sandbox.faults import COMMON, UnknownFault
from sandbox.journal import Journal
from sandbox.orders import Orders
from sandbox.recorded import Answers
from sandbox.stage import Stage, serve_control
from sandbox.upstream import Upstream

PARENT_CHECK_S = 1.0


def main(arguments: list[str]) -> int:
    parent = os.getppid()
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    try:
        doors = start(options)
    except UnknownFault as error:
        parser().error(str(error))
    print(json.dumps({name: door.url for name, door in doors.items()}), flush=True)
    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if options.with_parent:
        gevent.spawn(watch_parent, parent, ended.set)
    ended.wait()
    for door in doors.values():
        door.shut()
    return 0


def parser() -> argparse.ArgumentParser:
    wanted = argparse.ArgumentParser(prog="sandbox", description="A strict stand-in for an upstream, on a loopback port.")
    wanted.add_argument("upstream", choices=("anthropic", "bedrock"))
    wanted.add_argument("--port", type=int, default=0, help="0: a free one")
    wanted.add_argument("--control-port", type=int, help="a port for /_sandbox/ that stays up when the first is shut")
    wanted.add_argument("--idle-close", type=float, metavar="S", help="close connections that are idle for so long")
    wanted.add_argument("--text", help="what the model says")
    wanted.add_argument("--fault", default="ok", metavar="NAME[;ARG=VALUE]", help="for requests without another order")
    wanted.add_argument("--keep-bodies", action="store_true", help="show request bodies in /_sandbox/requests")
    wanted.add_argument("--with-parent", action="store_true", help="end when the process that started this one ends")
    wanted.add_argument("--prefix", help="anthropic: the path that must stand before /v1 (default: any)")
    wanted.add_argument("--region", help="bedrock: the region, which limits profiles (default: no limits)")
    wanted.add_argument(
        "--account", action="append", default=[], choices=sorted(ACCOUNTS), help="bedrock: what the account lacks"
    )
    wanted.add_argument("--allow-sets", metavar="SEED", help="bedrock: accept only a random part of the betas")
    return wanted


def start(options: argparse.Namespace) -> dict[str, Door]:
    """Open the ports, by the names under which they are printed. Raises UnknownFault."""
    refusing = options.fault == REFUSE
    if refusing and options.control_port is None:
        raise UnknownFault("refuse needs --control-port")
    catalogue = COMMON | (ANTHROPIC if options.upstream == "anthropic" else BEDROCK)
    orders = Orders(catalogue, "ok" if refusing else options.fault)
    answers, journal = Answers(), Journal(options.keep_bodies)
    control = Control(orders, answers, journal, apart=options.control_port is not None)
    stage = Stage(upstream_of(options), orders, answers, journal, control.answer, options.idle_close)
    door = Door(options.port, stage.serve)
    control.door = door
    doors = {"listening": door}
    if options.control_port is not None:
        doors["control"] = Door(options.control_port, partial(serve_control, control=control.answer))
    if refusing:
        door.shut()
    return doors


def upstream_of(options: argparse.Namespace) -> Upstream:
    said = {"text": options.text} if options.text else {}
    if options.upstream == "anthropic":
        return Anthropic(prefix=options.prefix, **said)
    return Bedrock(region=options.region, account=frozenset(options.account), accepted_seed=options.allow_sets, **said)


def watch_parent(parent: int, end: Callable[[], object]) -> None:
    """A killed test run must not leave servers behind."""
    while os.getppid() == parent:
        gevent.sleep(PARENT_CHECK_S)
    end()


if __name__ == "__main__":
    if sys.argv[1:2] == ["demo"]:
        from sandbox.demo import run_demo

        sys.exit(run_demo(sys.argv[2:]))
    sys.exit(main(sys.argv[1:]))

"""`make demo`: the product with both stand-ins behind it and developers at work, without any account.

Tells what happens while it happens: the plan answers, is used up, Bedrock takes over, the circuit keeps the plan out of the
way, the plan comes back. Then goes on with live traffic until it is interrupted. Knows the product only from outside.
"""

from __future__ import annotations

import argparse
import random
import signal
import socket
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import bcrypt

from sandbox.client import Sandbox
from sandbox.demo_desk import Desk
from sandbox.demo_team import OTHERS, STARS, Member, Set, change_things, hire_admins, set_up
from sandbox.demo_work import BETAS_OF_BEDROCK, Answered, Turn, ask, turns_of
from sandbox.product import Product, free_port, temporary_product

PORT = 8080
PASSWORD = "demo"
RESET_S = 12
_GREETING = Turn()
BAD_MOMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("overloaded", {}),
    ("plan_exhausted", {"reset": 20}),
    ("error_500", {}),
    ("cut_midstream", {"after": 6}),
)


def run_demo(arguments: list[str]) -> int:
    wanted = argparse.ArgumentParser(prog="sandbox demo", description="The product with stand-ins for both upstreams.")
    wanted.add_argument("--port", type=int, default=PORT, help=f"of the proxy (default {PORT}; another if that is taken)")
    wanted.add_argument("--once", action="store_true", help="end after the story instead of going on with live traffic")
    options = wanted.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside, it still takes its servers with it
    with Sandbox("anthropic") as anthropic, Sandbox("bedrock", BETAS_OF_BEDROCK) as bedrock:
        settings = {
            "PROXY_PLAN_URL": anthropic.url,
            "PROXY_BEDROCK_URL": bedrock.url,
            "PROXY_ADMIN_PASSWORD_HASH": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(),
        }
        with temporary_product(settings, _usable(options.port)) as product:
            return Demo(anthropic, product).run(once=options.once)


class Demo:
    """The story and the traffic after it."""

    def __init__(self, anthropic: Sandbox, product: Product) -> None:
        self._anthropic = anthropic
        self._product = product
        self._owner = Desk(product.url, "admin", PASSWORD)
        self._team: dict[str, Set] = {}

    def run(self, *, once: bool) -> int:
        say("Setting up developers with access keys, Bedrock keys and a month behind them ...")
        self._product.start()
        self._join(self._owner, STARS)
        say(f"\n  Admin:      {self._product.url}/admin   (user name admin, password {PASSWORD})")
        say(f"  Developer:  export ANTHROPIC_BASE_URL={self._product.base_url(self._team['ada'].access_key)}\n")
        if not once:
            Thread(target=self._others_join, daemon=True).start()
        try:
            told = self._story()
            if not once:
                self._live_traffic()
        except KeyboardInterrupt:
            say("\nEnded.")
            return 0
        return 0 if told else 1

    def _story(self) -> bool:
        """Whether every chapter went as told."""
        self._anthropic.clear_faults()
        went = [self._chapter("The plan has room: it answers.", "plan", "")]
        self._anthropic.fault("plan_exhausted", reset=RESET_S)
        went.append(self._chapter("The plan's 5-hour window is used up (429): Bedrock answers the same request.", "bedrock"))
        before = len(self._anthropic.requests())
        went.append(self._chapter("The next request does not even ask the plan: the circuit is open.", "bedrock"))
        asked = len(self._anthropic.requests()) - before
        say(f"      requests that reached the plan meanwhile: {asked}")
        self._anthropic.clear_faults()
        say(f"\n   {RESET_S} s later the window has been reset ...")
        back = _await(lambda: self._ask("ada").provider == "plan", RESET_S + 20)
        went.append(back and self._chapter("One probe found the plan well, the circuit is closed.", "plan", ""))
        self._anthropic.fault("overloaded", times=1)
        went.append(self._chapter("An overloaded plan (529) is not noticed either.", "bedrock", "plan_overloaded"))
        return all(went) and asked == 0

    def _chapter(self, text: str, provider: str, fallback: str | None = None) -> bool:
        say(f"\n-- {text}")
        answered = self._ask("ada")
        why = f", because of {answered.fallback}" if answered.fallback else ""
        say(f'      HTTP {answered.status} from {answered.provider}{why}: "{answered.text}"')
        return answered.provider == provider and fallback in (None, answered.fallback)

    def _live_traffic(self) -> None:
        self._anthropic.fault("plan_exhausted", match={"credential": "used-100"}, reset=9000)
        say("\n-- Live traffic goes on, with a fault now and then. Ctrl-C ends it.")
        for each in STARS:
            Thread(target=self._work, args=(each,), daemon=True).start()
        dice = random.Random(1)
        while True:
            time.sleep(45)
            fault, arguments = dice.choice(BAD_MOMENTS)
            self._anthropic.fault(fault, times=3, **arguments)
            say(f"   {time.strftime('%H:%M:%S')} the plan has a bad moment: {fault}")

    def _others_join(self) -> None:
        """The rest of the team and the other admins, while everything runs; they work at their leisure."""
        owner, editor = hire_admins(self._owner, self._product.url)
        self._join(editor, OTHERS)
        change_things(owner, editor, self._team)
        for each in OTHERS:
            Thread(target=self._work, args=(each, 5.0), daemon=True).start()

    def _join(self, desk: Desk, members: tuple[Member, ...]) -> None:
        self._team |= {each.member.name: each for each in set_up(self._product, desk, members)}

    def _work(self, member: Member, leisure: float = 1.0) -> None:
        dice = random.Random(member.name)
        for turn in turns_of(dice, is_newer=member.used >= 100):
            self._ask(member.name, turn, member.used)
            time.sleep(dice.uniform(0.5, 3) * leisure)

    def _ask(self, name: str, turn: Turn = _GREETING, used: int = 31) -> Answered:
        return ask(self._product.base_url(self._team[name].access_key), f"sk-ant-oat01-demo-used-{used}", turn)


def say(text: str) -> None:
    print(text, flush=True)


def _await(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(1)
    return False


def _usable(port: int) -> int:
    """The port that was asked for, or a free one when somebody else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port

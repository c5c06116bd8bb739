"""A port of the loopback that is nobody else's while it is held, whether somebody listens there or not.

A port that was only found to be free may be another's before a server has started, or between two lives of one. This one is
bound and never listens: who connects is refused, nobody is given it, and a server that allows reuse (all of ours do) may bind
it beside. Refuses to know who does. Invariant: held from the call until its socket is closed.
"""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def hold_port(port: int = 0) -> socket.socket:
    """Port 0: any free one. `port_of` tells which."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
    except OSError:
        held.close()
        raise
    return held


def port_of(held: socket.socket) -> int:
    return int(held.getsockname()[1])

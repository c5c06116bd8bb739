"""Python imports this first, in every process of a product that a test starts with this folder on its path: each host that is
looked up or connected to is written down, and what is not this machine is refused before a byte leaves."""

import os
import sys


def _is_here(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    return text in ("", "None", "localhost", "0.0.0.0", "::1") or text.startswith("127.")


def _saw(event: str, arguments: tuple[object, ...]) -> None:
    if event not in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        return
    address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    if event in ("socket.connect", "socket.sendto") and not isinstance(address, tuple):
        return  # a socket file
    host = address[0] if isinstance(address, tuple) else address
    with open(os.environ["HOSTS_SEEN"], "a") as seen:
        seen.write(f"{host}\n")
    if not _is_here(host):
        raise ConnectionRefusedError(f"{host} is not this machine")


if os.environ.get("HOSTS_SEEN"):
    sys.addaudithook(_saw)

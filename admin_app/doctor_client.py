"""The doctor's look at a developer's side: how Claude Code is set up, and whether the proxy takes what it will send.

Knows the variables of Claude Code and the proxy's own paths. Invariant: an access key is in no finding, nor is any other value
of a variable; only names are told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from admin_app.finding import Finding, place, problem, warning, well
from core.crypto import is_wellformed
from core.http import NotReached, Way, Why, look

_URL, _HEADERS = "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS"
_IN_THE_WAY = {
    "ANTHROPIC_API_KEY": "it is used instead of your plan, and billed",
    "ANTHROPIC_AUTH_TOKEN": "it is sent instead of your plan's login",
    "CLAUDE_CODE_USE_BEDROCK": "Claude Code then passes the proxy by",
    "CLAUDE_CODE_USE_VERTEX": "Claude Code then passes the proxy by",
    "CLAUDE_CODE_USE_FOUNDRY": "Claude Code then passes the proxy by",
}
_MEND = {
    Why.NAME: "Check the host in the address; are you in the right network, or is a VPN off?",
    Why.REFUSED: "Check host and port of the address; ask your administrator whether the proxy runs.",
    Why.TLS: "If your company opens TLS, put its certificate into a file and set NODE_EXTRA_CA_CERTS to it.",
    Why.TIMEOUT: "A firewall may be in between, or a VPN off.",
    Why.PROXY: "Check HTTPS_PROXY, or add the host to NO_PROXY.",
    Why.OTHER: "Check the address.",
}


class BadClient(Exception):
    """What the client's configuration is read from cannot be read."""


@dataclass(frozen=True, slots=True)
class Client:
    """What Claude Code would run with: variables, and whether its settings name a helper for API keys."""

    environ: Mapping[str, str] = field(repr=False)
    has_key_helper: bool = False
    key: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        return self.environ.get(_URL, "").strip()

    @property
    def access_key(self) -> str:
        """As given, in the address, or in the header."""
        in_path = urlsplit(self.url).path.partition("/ak/")[2].partition("/")[0]
        pairs = (line.partition(":") for line in self.environ.get(_HEADERS, "").splitlines())
        in_header = next((value.strip() for name, _, value in pairs if name.strip().lower() == "x-proxy-key"), "")
        return self.key or in_path or in_header


def client_of(environ: Mapping[str, str], settings_file: str = "", url: str = "", key: str = "") -> Client:
    """The settings' `env` wins over the environment, as in Claude Code; what is given wins over both. Raises BadClient."""
    document: object = {}
    if settings_file:
        try:
            document = json.loads(Path(settings_file).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadClient(f"{settings_file} cannot be read as JSON ({type(error).__name__})") from None
    if not isinstance(document, dict) or not isinstance(document.get("env", {}), dict):
        raise BadClient(f"{settings_file} must hold an object, with an object in `env`")
    named = {str(name): str(value) for name, value in document.get("env", {}).items()}
    told = {_URL: url} if url else {}
    return Client({**environ, **named, **told}, bool(document.get("apiKeyHelper")), key)


def look_at_client(client: Client) -> Iterator[Finding]:
    if not client.url:
        yield problem("address", f"{_URL} is not set", "Set it to the address from your administrator: https://HOST/ak/YOUR-KEY")
        return
    shape = _shape(client.url)
    yield shape
    yield _key(client)
    yield from _in_the_way(client)
    yield from _proxies(client)
    if shape.health != "problem":
        yield from _reached(client)


def _shape(url: str) -> Finding:
    form = "It looks like https://HOST/ak/YOUR-KEY, or https://HOST with the key in a header."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return problem("address", "is no address", form)
    if parts.scheme not in ("http", "https") or not host:
        return problem("address", "must begin with https:// (or http:// on your own machine)", form)
    if parts.query or parts.fragment or parts.username:
        return problem("address", "holds a query, a fragment or a login", form)
    path = parts.path.rstrip("/")
    if path.endswith("/v1") or "/v1/" in path:
        return problem("address", "ends in /v1, which Claude Code adds itself", "Take /v1 off its end.")
    if path and not (path.startswith("/ak/") and path.count("/") == 2):
        return problem("address", "has a path that is none of the proxy's", form)
    if parts.scheme == "http" and not _is_loopback(host):
        return warning("address", "is plain http: your key and your prompts can be read on the way", "Use https.")
    return well("address", place(url))


def _key(client: Client) -> Finding:
    key = client.access_key
    if not key:
        return problem("access key", "is neither in the address nor in a header", "Add /ak/YOUR-KEY to the address.")
    if not is_wellformed(key):
        return problem("access key", "is mistyped or cut off", "Copy it again, whole: ak_ and 44 characters.")
    return well("access key", "is written right")


def _in_the_way(client: Client) -> Iterator[Finding]:
    names = [name for name in _IN_THE_WAY if client.environ.get(name, "") not in ("", "0", "false")]
    for name in names:
        yield problem("variables", f"{name} is set: {_IN_THE_WAY[name]}", f"unset {name}, also in your shell's start-up file.")
    if client.has_key_helper:
        yield problem("variables", "apiKeyHelper is set: its key is used instead of your plan", "Take it out of the settings.")
    if client.environ.get("NODE_TLS_REJECT_UNAUTHORIZED") == "0":
        yield problem("variables", "NODE_TLS_REJECT_UNAUTHORIZED=0: anybody on the way can read all", "Use NODE_EXTRA_CA_CERTS.")
    if not names and not client.has_key_helper:
        yield well("variables", "nothing gets in the way of your plan's login")


def _proxies(client: Client) -> Iterator[Finding]:
    proxy, host = _proxy(client), urlsplit(client.url).hostname or ""
    if not proxy:
        yield well("proxy", "none on the way")
    elif _is_loopback(host):
        yield problem("proxy", f"requests to this machine would go through {place(proxy)}", f"Add {host} to NO_PROXY.")
    else:
        mend = f"If answers come in one piece and not bit by bit, add {host} to NO_PROXY."
        yield warning("proxy", f"requests go through {place(proxy)}", mend)


def _reached(client: Client) -> Iterator[Finding]:
    root, key = place(client.url), client.access_key
    ca_file = client.environ.get("NODE_EXTRA_CA_CERTS", "")
    try:
        health = look(f"{root}/health", Way(proxy=_proxy(client), ca_file=ca_file if Path(ca_file).is_file() else ""))
    except NotReached as error:
        yield problem("proxy reached", str(error), _MEND[error.why])
        return
    if health.status != 200:
        mend = "Is this the proxy's address, or that of something in front of it?"
        yield problem("proxy reached", f"{root}/health answers {health.status}", mend)
        return
    yield well("proxy reached", f"within {health.took_ms:.0f} ms")
    if is_wellformed(key):
        yield _accepted(root, Way({"x-proxy-key": key}, proxy=_proxy(client), ca_file=ca_file if Path(ca_file).is_file() else ""))


def _accepted(root: str, way: Way) -> Finding:
    try:
        status = look(f"{root}/statusline", way).status
    except NotReached as error:
        return problem("key accepted", str(error), _MEND[error.why])
    if status == 200:
        return well("key accepted", "the proxy knows it")
    if status == 401:
        return problem("key accepted", "the proxy refuses it", "It is revoked, expired or of another proxy; ask for a new one.")
    return problem("key accepted", f"the proxy answers {status}", "Try again in a minute, then ask your administrator.")


def _proxy(client: Client) -> str:
    """By the variables of the environment, as the most programs read them."""
    parts = urlsplit(client.url)
    names = {name.lower(): value for name, value in client.environ.items() if name.lower().endswith("_proxy") and value}
    excepted = [each.strip() for each in names.get("no_proxy", "").split(",") if each.strip()]
    host = parts.hostname or ""
    if any(each == "*" or host == each.lstrip(".") or host.endswith(f".{each.lstrip('.')}") for each in excepted):
        return ""
    return names.get(f"{parts.scheme}_proxy", "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

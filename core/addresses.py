"""Who a client is behind proxies, and whether an allowlist lets it in (SPEC section 11).

Pure: addresses in, addresses out. Invariant: what a client can write itself is believed only where a trusted proxy wrote
the next hop behind it, so the answer is always an address that some machine of ours, or the kernel, has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from core.setting_values import Network

Address = IPv4Address | IPv6Address

_IPV6_SITE_BITS = 64


def client_address(peer: str, forwarded_for: Iterable[str], trusted: Sequence[Network]) -> Address | None:
    """The right-most address that is no trusted proxy's, or None when what stands there is no address.

    `peer` is the other end of the connection, `forwarded_for` the values of every `x-forwarded-for` field in the order
    received. Pass only fields of exactly that name: servers fold `X_Forwarded_For` into it, and no proxy cleans that one.
    """
    address = parse_address(peer)
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    while hops and address is not None and is_within(address, trusted):
        address = parse_address(hops.pop())
    return address


def is_within(address: Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def parse_address(text: str) -> Address | None:
    """Also with a port behind it, in brackets, or IPv4 in IPv6's clothes."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def site_of(address: Address | None) -> str:
    """What belongs to one client for counting: an IPv4 address, or the /64 network of an IPv6 one."""
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(IPv6Address(int(address) >> _IPV6_SITE_BITS << _IPV6_SITE_BITS))

"""Whose address counts behind proxies: never one that the client could have written itself."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from core.addresses import client_address, is_within, parse_address, site_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def shown(peer: str, *forwarded_for: str) -> str:
    return str(client_address(peer, forwarded_for, PROXIES))


def test_a_peer_that_is_no_trusted_proxy_is_the_client_whatever_it_claims() -> None:
    assert shown("203.0.113.9", "10.1.1.1, 192.0.2.1") == "203.0.113.9"


def test_behind_a_trusted_proxy_the_last_hop_counts() -> None:
    assert shown("10.0.0.1", "198.51.100.7") == "198.51.100.7"


def test_what_a_client_puts_before_the_last_hop_is_not_believed() -> None:
    assert shown("10.0.0.1", "192.0.2.1, 198.51.100.7") == "198.51.100.7"


def test_trusted_proxies_in_a_row_are_walked_through_from_the_right() -> None:
    assert shown("10.0.0.1", "192.0.2.1, 198.51.100.7, 10.0.0.3", "10.0.0.2") == "198.51.100.7"


def test_of_several_fields_the_last_one_is_nearest() -> None:
    assert shown("10.0.0.1", "192.0.2.1", "198.51.100.7") == "198.51.100.7"


def test_without_the_field_a_trusted_proxy_is_itself_the_client() -> None:
    assert shown("10.0.0.1") == "10.0.0.1"


@pytest.mark.parametrize("nonsense", ["", "unknown", "198.51.100.7, ", "999.1.1.1", "10.0.0.1; drop", "_hidden"])
def test_a_last_hop_that_is_no_address_is_nobody(nonsense: str) -> None:
    assert client_address("10.0.0.1", [nonsense], PROXIES) is None


def test_nobody_is_in_no_network() -> None:
    assert not is_within(None, [ip_network("0.0.0.0/0"), ip_network("::/0")])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("  198.51.100.7 ", "198.51.100.7"),
    ],
)
def test_ports_brackets_and_mapped_addresses_are_understood(text: str, meant: str) -> None:
    assert parse_address(text) == ip_address(meant)


def test_an_ipv6_client_is_counted_by_its_network_and_an_ipv4_client_by_itself() -> None:
    assert site_of(ip_address("2001:db8:1:2:3:4:5:6")) == site_of(ip_address("2001:db8:1:2::9")) == "2001:db8:1:2::"
    assert site_of(ip_address("198.51.100.7")) == "198.51.100.7"

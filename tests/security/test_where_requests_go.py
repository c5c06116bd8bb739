"""Fields that could choose where the product connects to: regions, models, ARNs, and the host that a request claims to be for.

The product runs without a stand-in for Bedrock, so that a region does choose a host; a witness in its processes writes every
host down that is looked up or connected to, and lets nothing leave this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from admin_app.api_routes import OFFERS
from tests.browser.town import Town, open_town
from tests.live.test_admin import dialogue
from tests.live.wire import CLOSE
from tests.security.texts import text_names

WITNESS = Path(__file__).parent / "witness"
PLACES = (
    "us-east-1.evil",
    "us-east-1.evil.example",
    "evil.example/us-east-1",
    "us-east-1@evil.example",
    "us-east-1#evil",
    "us-east-1?x=evil",
    "us-east-1/../evil",
    "../",
    "..%2f",
    "169.254.169.254",
    "[::1]",
    "localhost",
    "127.0.0.1:1",
    "http://evil.example",
    "us-east-1\\evil",
    "us-east-1%00evil",
    "us-east-1 evil",
    "US-EAST-1",
    "us-east-1\u3002evil",
    "-us-east-1",
)
MODELS = (
    "../../evil",
    "anthropic.claude-x/../../evil",
    "http://evil.example/model",
    "//evil.example",
    "anthropic.claude-x?y=1",
    "anthropic.claude-x#y",
    "anthropic.claude-x@evil.example",
    "arn:aws:s3:::bucket/object",
    "arn:aws:bedrock:us-east-1.evil:123456789012:inference-profile/x",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/../x",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x@evil.example",
    "169.254.169.254",
    "anthropic.claude-x\r\nhost: evil.example",
)


@dataclass
class Watched:
    town: Town
    seen: Path

    def hosts(self) -> set[str]:
        return set(self.seen.read_text().split("\n")) - {""} if self.seen.exists() else set()

    def forget(self) -> None:
        self.seen.write_text("")


@pytest.fixture(scope="module")
def watched(upstreams: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    seen = tmp_path_factory.mktemp("witness") / "hosts"
    own = {"PROXY_BEDROCK_URL": "", "PYTHONPATH": str(WITNESS), "HOSTS_SEEN": str(seen)}
    with open_town(*upstreams, **own) as town:
        town.furnish()
        yield Watched(town, seen)


def is_elsewhere(host: str) -> bool:
    return not (host.startswith("127.") or host in ("localhost", "None", "::1"))


def attach(watched: Watched, region: str) -> int:
    client, user = watched.town.client(), watched.town.furnished.ids["user_id"]
    client.get(f"/admin/users/{user}/bedrock-keys/new")
    return client.post(f"/admin/users/{user}/bedrock-keys/new", secret="bedrock-x", region=region, residency="global").status


def test_the_witness_sees_where_a_sound_region_leads(watched: Watched) -> None:
    """Or what follows would prove nothing. The key is kept; its test cannot leave this machine."""
    watched.forget()

    assert attach(watched, "eu-west-1") == 303
    assert {host for host in watched.hosts() if is_elsewhere(host)} == {"bedrock-runtime.eu-west-1.amazonaws.com"}


@pytest.mark.parametrize("region", PLACES)
def test_a_region_that_is_none_leads_nowhere(watched: Watched, region: str) -> None:
    watched.forget()
    before = watched.town.dump().count(b'INSERT INTO "bedrock_keys"')

    assert attach(watched, region) in (409, 422)
    assert {host for host in watched.hosts() if is_elsewhere(host)} == set()
    assert watched.town.dump().count(b'INSERT INTO "bedrock_keys"') == before


@pytest.mark.parametrize("bedrock", MODELS)
def test_a_model_that_is_none_is_not_added(watched: Watched, bedrock: str) -> None:
    watched.forget()
    client = watched.town.client()
    client.get("/admin/models/new")

    status = client.post("/admin/models/new", model="claude-evil", bedrock=bedrock, like="claude-opus-5-5").status

    assert status in (409, 422)
    assert "claude-evil" not in client.get("/admin/models").text
    assert {host for host in watched.hosts() if is_elsewhere(host)} == set()


@pytest.mark.parametrize("prefix", ["evil.", "us/../", "us@evil", "http://evil.example", "us#"])
def test_a_profile_prefix_that_is_none_is_not_added(watched: Watched, prefix: str) -> None:
    client = watched.town.client()
    client.get("/admin/models/new")

    status = client.post(
        "/admin/models/new", model="claude-evil", bedrock="anthropic.claude-x", like="claude-opus-5-5", prefixes=prefix
    ).status

    assert status in (409, 422)


@pytest.mark.parametrize("field", ["host", "x-forwarded-host", "forwarded", "x-original-url", "x-rewrite-url"])
def test_a_host_that_a_request_claims_is_in_no_page_and_no_redirect(watched: Watched, field: str) -> None:
    """Links and snippets come from PROXY_PUBLIC_URL alone: a key must not be pointed at somebody else's server."""
    cookie, user = watched.town.session(), watched.town.furnished.ids["user_id"]
    claimed = f"{field}: evil.example\r\n" if field == "host" else f"Host: x\r\n{field}: evil.example\r\n"
    asked = [
        f"GET {path} HTTP/1.1\r\n{claimed}Cookie: session={cookie}\r\n"
        for path in ("/admin", f"/admin/users/{user}", "/admin/system", "/admin/keys", "/")
    ]

    answers = [dialogue(watched.town.url, each.encode() + CLOSE + b"\r\n") for each in asked]

    assert all(answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 303")) for answer in answers)
    assert not any(b"evil.example" in answer for answer in answers)


# Texts of operations that become part of an address, tried above; and those that never do.
LEADING = {"region", "model", "bedrock", "prefixes", "like"}
NEVER_LEADING = {
    *("name", "email", "note", "search", "cursor", "username", "zone", "user", "provider", "fault", "status", "action", "target"),
    *("user_id", "key_id", "access_key_id", "bedrock_key_id", "claim_id", "admin_id", "session_id", "token_id", "request_id"),
    *("circuit_id", "price_id", "model_id", "repair_id", "answered"),
}


def test_no_text_of_any_operation_was_forgotten_here() -> None:
    """A new one is in neither list: whoever declares it says here whether it can lead somewhere, and tries it above if so."""
    declared = {name for offer in OFFERS for name in text_names(offer.operation)}

    assert declared == LEADING | NEVER_LEADING


def test_no_operation_takes_an_address() -> None:
    """`url`, `host` and the like would need an allowlist of their own."""
    names = {each.name for offer in OFFERS for each in msgspec.structs.fields(offer.operation.takes)}

    assert [
        name for name in names if any(word in name for word in ("url", "uri", "host", "endpoint", "callback", "webhook"))
    ] == []

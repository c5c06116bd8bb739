"""A key's life at a running server: taken with a link, limited, seen."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.live.asking import CREDENTIAL, ask, await_true, exchange, get, line_of, post, question


@pytest.fixture(scope="module")
def product_settings() -> dict[str, str]:
    return {"PROXY_TRUSTED_PROXIES": "127.0.0.0/8", "PROXY_ADMIN_ALLOWED_CIDRS": "203.0.113.0/24"}


class At:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url


@pytest.fixture
def limited(stack: Any) -> Any:
    """A developer whose key may send two messages a minute."""
    developer = stack.developer()
    stack.product.cli("key", "set", developer.access_key_id, "--requests-per-minute", "2")
    return developer


def test_a_link_gives_a_key_that_works_at_once_and_then_has_ended(stack: Any) -> None:
    developer = stack.developer()
    url = stack.product.cli("key", "link", "--user", developer.user_id)["url"]
    form = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
    assert b"Show my key" in exchange(url, "GET", None, {}).body

    page, again = exchange(url, "POST", b"", form), exchange(url, "POST", b"", form)
    [base_url, *_] = re.findall(r"http://[^\s&]*/ak/ak_[0-9A-Za-z]{44}", page.body.decode())
    assert ask(At(base_url)).came_from_plan
    assert (again.status, b"ak_" in again.body) == (404, False)
    assert urlsplit(url).path not in stack.product.log_path.read_text()


@pytest.mark.parametrize("stream", [True, False])
def test_a_message_over_the_limit_gets_429_in_our_words_and_reaches_no_upstream(stack: Any, limited: Any, stream: bool) -> None:
    assert [ask(limited, stream=stream).status for _ in range(2)] == [200, 200]
    asked = len(stack.plan_posts()) + len(stack.bedrock_posts())
    answer = ask(limited, stream=stream)

    assert (answer.status, answer.error_type, answer.headers["x-should-retry"]) == (429, "rate_limit_error", "true")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert [name for name in answer.headers if name.startswith("anthropic-")] == []
    assert answer.json["error"]["message"].startswith("claude-code-proxy: this access key may send 2 messages a minute")
    assert len(stack.plan_posts()) + len(stack.bedrock_posts()) == asked
    assert line_of(stack, answer)["error_type"] == "rate_limit_error"


def test_counting_tokens_and_asking_for_models_know_no_limit(stack: Any, limited: Any) -> None:
    counted = [post(limited, "/v1/messages/count_tokens", question(stream=False)).status for _ in range(27)]

    assert set(counted) == {200}
    assert {get(limited, "/v1/models").status for _ in range(5)} == {200}
    assert ask(limited).status == 200


def test_a_key_is_seen_with_the_address_behind_the_proxy_in_front(stack: Any) -> None:
    developer = stack.developer()
    ask(developer, credential=CREDENTIAL, headers={"x-forwarded-for": "6.6.6.6, 198.51.100.7"})

    def row() -> dict[str, Any]:
        [found] = stack.product.cli("key", "list", "--user", developer.user_id)
        return dict(found)

    assert await_true(lambda: row()["last_seen_at"])
    assert row()["last_seen_address"] == "198.51.100.7"

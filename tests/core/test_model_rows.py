"""Models that administrators add: what is taken, what is refused and why, and that workers hear of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core import model_rows
from core.access import Invalid, LimitReached, NameTaken, NotFound
from core.db import Database
from core.model_ids import NewModel
from core.model_rows import ModelRow
from core.revision import current
from tests.core.office import NOW, Office

KNOWN = frozenset({"claude-opus-5-5"})
NEW = NewModel("claude-opus-6", "anthropic.claude-opus-6", "claude-opus-5-5", ("global", "us"), 2_000_000, 64_000)
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


def add(database: Database, new: NewModel = NEW) -> ModelRow:
    return database.run(lambda connection: model_rows.add_model(connection, new, KNOWN, NOW))


def test_a_row_is_read_as_it_was_added(database: Database) -> None:
    added = [add(database), add(database, replace(NEW, model="team", bedrock=ARN, prefixes=(), context_window=None))]
    assert database.read(model_rows.list_models) == added


def test_every_change_is_told_and_one_that_failed_is_not(database: Database) -> None:
    before = database.read(current)["models"]
    row = add(database)
    with pytest.raises(NameTaken, match=row.id):
        add(database)
    database.run(lambda connection: model_rows.remove_model(connection, row.id))
    assert (database.read(current)["models"], database.read(model_rows.list_models)) == (before + 2, [])


def test_what_is_removed_can_be_added_again_and_what_is_not_there_cannot_be_removed(database: Database) -> None:
    row = add(database)
    database.run(lambda connection: model_rows.remove_model(connection, row.id))
    assert add(database).id != row.id
    with pytest.raises(NotFound):
        database.run(lambda connection: model_rows.remove_model(connection, row.id))


def test_a_key_may_have_a_row_of_its_own_beside_the_one_for_all(database: Database) -> None:
    key_id = Office(database).attach(Office(database).add("ann"))
    add(database)
    add(database, replace(NEW, bedrock_key_id=key_id))
    with pytest.raises(NameTaken):
        add(database, replace(NEW, bedrock_key_id=key_id))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "Claude Opus"}, "lower-case"),
        ({"model": ""}, "lower-case"),
        ({"model": "a" * 121}, "at most 120"),
        ({"like": "claude-opus-9"}, "known are: claude-opus-5-5"),
        ({"bedrock": "claude-opus-6"}, "anthropic.claude-opus"),
        ({"bedrock": "anthropic.claude-x/../../evil"}, "anthropic.claude-opus"),
        ({"bedrock": "anthropic.claude-x?y=1"}, "anthropic.claude-opus"),
        ({"bedrock": "https://evil.example/anthropic.claude-x"}, "anthropic.claude-opus"),
        ({"bedrock": "amazon.nova-pro-v1:0"}, "anthropic.claude-opus"),
        ({"bedrock": "us.anthropic.claude-opus-6"}, "without its prefix"),
        ({"bedrock": ARN.replace(":bedrock:", ":s3:"), "prefixes": ()}, "anthropic.claude-opus"),
        ({"bedrock": ARN.replace("us-east-1", "evil.example"), "prefixes": ()}, "anthropic.claude-opus"),
        ({"bedrock": ARN + "/x", "prefixes": ()}, "anthropic.claude-opus"),
        ({"bedrock": ARN + "\n", "prefixes": ()}, "anthropic.claude-opus"),
        ({"bedrock": ARN}, "leave the prefixes away"),
        ({"prefixes": ("gobal",)}, "unknown prefix 'gobal'"),
        ({"prefixes": ("none", "us")}, "none stands alone"),
        ({"context_window": 0}, "context window"),
        ({"max_output": -1}, "max output"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(database: Database, changes: Any, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        add(database, replace(NEW, **changes))
    assert database.read(model_rows.list_models) == []


def test_what_a_key_could_never_use_is_refused(database: Database) -> None:
    office = Office(database)
    key_id = office.attach(office.add("ann"), "us-east-1")
    mine = replace(NEW, bedrock=ARN, prefixes=(), bedrock_key_id=key_id)
    with pytest.raises(NotFound):
        add(database, replace(mine, bedrock_key_id="bdk_nobody"))
    with pytest.raises(Invalid, match="the ARN is of eu-west-1, the Bedrock key of us-east-1"):
        add(database, replace(mine, bedrock=ARN.replace("us-east-1", "eu-west-1")))
    with pytest.raises(Invalid, match="residency is geo"):
        add(database, replace(mine, bedrock="arn:aws:bedrock:us-east-1::inference-profile/global.anthropic.claude-opus-6"))
    assert add(database, mine).new == mine


def test_there_is_an_end_to_how_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_rows, "MOST_ROWS", 1)
    add(database)
    with pytest.raises(LimitReached):
        add(database, replace(NEW, model="another"))

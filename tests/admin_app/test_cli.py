"""The command line as a person and as a script meet it (SPEC section 11)."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from admin_app.cli import run
from admin_app.cli_desk import Outside
from core.access import load_grant
from core.crypto import hash_access_key
from core.db import open_database
from core.ports import ProbeResult
from core.settings import Settings
from core.types import Residency
from tests.admin_app.desk import Probe
from tests.installations import with_tables

MODELS = frozenset({"claude-opus-5-5"})
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Terminal:
    """Runs commands in a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder)
        self.environ = {"PROXY_DATA_DIR": str(folder)}
        self.probe = Probe(ProbeResult(True, "answered"))
        self.served: list[bool] = []
        self.now = NOW

    def __call__(self, line: str, stdin: str = "") -> Finished:
        out, err = io.StringIO(), io.StringIO()
        outside = Outside(
            self.environ, io.StringIO(stdin), out, err, lambda: self.now, lambda _: self.probe, self._serve, lambda: MODELS
        )
        return Finished(run(line.split(), outside), out.getvalue(), err.getvalue())

    def _serve(self, _: Settings, first_run: bool) -> int:
        self.served.append(first_run)
        return 7

    def is_accepted(self, access_key: str, at: datetime = NOW) -> bool:
        hashed = hash_access_key((self.settings.data_dir / "server_secret").read_text(), access_key)
        database = open_database(self.settings, pool_size=1)
        grant = database.read(lambda c: load_grant(c, hashed, at))
        database.close()
        return grant is not None


@pytest.fixture
def unmigrated(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "var")


@pytest.fixture
def terminal(unmigrated: Terminal, sqlite_template: Path) -> Terminal:
    with_tables(unmigrated.settings, sqlite_template)
    return unmigrated


def issued(terminal: Terminal, name: str = "ann") -> dict[str, str]:
    terminal(f"user add {name}")
    document: dict[str, str] = terminal(f"key issue --user {name} --json").document
    return document


def test_the_first_command_in_local_makes_the_data_folder_and_its_secrets(unmigrated: Terminal) -> None:
    unmigrated("migrate")

    made = {path.name for path in unmigrated.settings.data_dir.iterdir()}
    assert made >= {"server_secret", "jwt_secret", "vault_key"}


def test_an_unmigrated_database_is_refused_and_the_command_named(unmigrated: Terminal) -> None:
    finished = unmigrated("user list")

    assert (finished.code, finished.out) == (1, "")
    assert "python -m admin_app migrate" in finished.err


def test_migrating_is_done_as_often_as_one_likes(terminal: Terminal) -> None:
    assert terminal("migrate --json").document == {"migrated": True}


def test_a_user_is_added_and_listed(terminal: Terminal) -> None:
    added = terminal("user add ann --strategy bedrock_only --json").document

    [listed] = terminal("user list --json").document
    assert list(added) == ["id"]
    assert listed.items() >= {"id": added["id"], "name": "ann", "strategy": "bedrock_only", "status": "active"}.items()
    assert "ann" in terminal("user list").out


def test_a_refusal_exits_with_1_and_says_why_on_stderr(terminal: Terminal) -> None:
    terminal("user add ann")

    finished = terminal("user add ann")
    assert (finished.code, finished.out) == (1, "")
    assert "there is a user named ann already" in finished.err


@pytest.mark.parametrize(
    "line",
    ["", "bogus", "user", "user add", "user add a --strategy x", "key issue", "key issue --user a --expires-days 0",
     "key rotate x --grace-s -1", "bedrock-key add --user a", "bedrock-key add --user a --key-stdin --residency moon"],
)  # fmt: skip
def test_a_wrong_call_exits_with_2_and_shows_the_usage_on_stderr(terminal: Terminal, line: str) -> None:
    finished = terminal(line)

    assert (finished.code, finished.out) == (2, "")
    assert "usage:" in finished.err


@pytest.mark.parametrize(("line", "code"), [("user deactivate nobody --json", 1), ("key bogus --json", 2)])
def test_with_json_a_failure_is_one_document_too(terminal: Terminal, line: str, code: int) -> None:
    finished = terminal(line)

    assert finished.code == code
    assert list(finished.document) == ["error"]


def test_bad_settings_are_all_named_on_stderr(terminal: Terminal) -> None:
    terminal.environ |= {"PROXY_BIND": "nonsense", "PROXY_TYPO": "1"}

    finished = terminal("user list")
    assert (finished.code, finished.out) == (1, "")
    assert [line.partition(":")[0] for line in finished.err.splitlines()] == ["PROXY_BIND", "PROXY_TYPO"]


def test_an_issued_key_works(terminal: Terminal) -> None:
    key = issued(terminal)

    assert sorted(key) == ["access_key", "id"]
    assert terminal.is_accepted(key["access_key"])


def test_an_issued_key_comes_with_the_line_to_paste(terminal: Terminal) -> None:
    terminal("user add ann")
    terminal.environ["PROXY_PUBLIC_URL"] = "https://proxy.example.com"

    shown = terminal("key issue --user ann").out
    assert re.search(r"export ANTHROPIC_BASE_URL=https://proxy\.example\.com/ak/ak_[0-9A-Za-z]{44}\n", shown)


def test_user_takes_the_id_as_well_as_the_name(terminal: Terminal) -> None:
    user_id = terminal("user add ann --json").document["id"]

    assert terminal(f"key issue --user {user_id}").code == 0
    assert len(terminal("key list --user ann --json").document) == 1


def test_a_key_expires_after_its_days(terminal: Terminal) -> None:
    terminal("user add ann")

    key = terminal("key issue --user ann --expires-days 2 --name laptop --json").document["access_key"]
    assert terminal.is_accepted(key, NOW + timedelta(days=2, seconds=-1))
    assert not terminal.is_accepted(key, NOW + timedelta(days=2))


def test_a_rotated_key_keeps_its_id_and_the_old_text_a_while(terminal: Terminal) -> None:
    old = issued(terminal)

    new = terminal(f"key rotate {old['id']} --json").document
    assert (new["id"], new["access_key"] == old["access_key"]) == (old["id"], False)
    assert [terminal.is_accepted(key["access_key"], NOW + timedelta(seconds=299)) for key in (old, new)] == [True, True]
    assert [terminal.is_accepted(key["access_key"], NOW + timedelta(seconds=300)) for key in (old, new)] == [False, True]


def test_a_revoked_key_is_refused_and_listed_as_revoked(terminal: Terminal) -> None:
    key = issued(terminal)

    assert terminal(f"key revoke {key['id']}").code == 0
    assert not terminal.is_accepted(key["access_key"])
    assert [row["status"] for row in terminal("key list --json").document] == ["revoked"]
    assert key["access_key"] not in terminal("key list").out


def test_deactivating_a_user_cuts_their_keys(terminal: Terminal) -> None:
    key = issued(terminal)

    assert terminal("user deactivate ann").code == 0
    assert not terminal.is_accepted(key["access_key"])


def test_a_bedrock_key_comes_from_stdin_and_is_tested(terminal: Terminal) -> None:
    terminal("user add ann")

    finished = terminal("bedrock-key add --user ann --region eu-west-1 --residency geo --key-stdin --json", stdin=" a-key \n")
    assert finished.code == 0
    assert finished.document == {"id": finished.document["id"], "test": {"ok": True, "reason": "answered"}}
    assert terminal.probe.asked == [("eu-west-1", "a-key", Residency.GEO)]
    assert [row["health"] for row in terminal("bedrock-key list --json").document] == ["healthy"]


def test_a_bedrock_key_whose_test_fails_is_saved_all_the_same(terminal: Terminal) -> None:
    terminal("user add ann")
    terminal.probe.result = ProbeResult(False, "not valid", refused=True)

    finished = terminal("bedrock-key add --user ann --key-stdin --json", stdin="a-key\n")
    assert (finished.code, finished.document["test"]) == (0, {"ok": False, "reason": "not valid"})
    [row] = terminal("bedrock-key list --user ann --json").document
    assert (row["id"], row["region"], row["health"]) == (finished.document["id"], "us-east-1", "unhealthy")


def test_a_probe_that_breaks_does_not_lose_the_saved_key(terminal: Terminal) -> None:
    terminal("user add ann")
    terminal.probe = None  # type: ignore[assignment]

    finished = terminal("bedrock-key add --user ann --key-stdin --json", stdin="a-key\n")
    assert (finished.code, finished.document["test"]["ok"]) == (0, False)
    assert len(terminal("bedrock-key list --json").document) == 1


def test_a_stored_bedrock_key_is_tested_with_its_own_secret(terminal: Terminal) -> None:
    terminal("user add ann")
    key_id = terminal("bedrock-key add --user ann --key-stdin --json", stdin="a-key\n").document["id"]
    terminal.probe.result = ProbeResult(False, "gone", refused=True)

    finished = terminal(f"bedrock-key test {key_id} --json")
    assert (finished.code, finished.document) == (1, {"id": key_id, "test": {"ok": False, "reason": "gone"}})
    assert terminal.probe.asked[-1] == ("us-east-1", "a-key", Residency.GLOBAL)


def test_an_empty_bedrock_key_is_refused(terminal: Terminal) -> None:
    terminal("user add ann")

    assert terminal("bedrock-key add --user ann --key-stdin", stdin="\n").code == 1
    assert terminal("bedrock-key list --json").document == []


def test_a_bedrock_key_is_in_no_output_and_in_no_file(terminal: Terminal) -> None:
    terminal("user add ann")
    shown = [terminal("bedrock-key add --user ann --key-stdin", stdin="canary-secret\n"), terminal("bedrock-key list")]

    assert "canary" not in "".join(finished.out + finished.err for finished in shown)
    assert all(b"canary" not in path.read_bytes() for path in terminal.settings.data_dir.iterdir())


def test_serve_hands_over_and_passes_the_exit_code_on(terminal: Terminal) -> None:
    assert terminal("serve").code == 7
    assert terminal("serve --first-run").code == 7
    assert terminal.served == [False, True]


@pytest.mark.parametrize("line", ["user list", "migrate", "doctor"])
def test_nothing_goes_on_without_the_secret_that_all_keys_were_made_with(terminal: Terminal, line: str) -> None:
    issued(terminal)
    secret = terminal.settings.data_dir / "server_secret"
    secret.unlink()
    finished = terminal(line)

    assert (finished.code, secret.exists(), terminal.served) == (1, False, [])
    assert "restore it from a backup" in finished.out + finished.err

"""Settings are complete or refused, with every problem named at once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from core.secrets import SecretReader, SecretText, SecretUnavailable
from core.settings import BadSettings, Settings, describe_settings, environment_elsewhere, load_settings

LONG = "x" * 32
PRODUCTION = {
    "PROXY_ENVIRONMENT": "production",
    "PROXY_SERVER_SECRET": LONG,
    "PROXY_JWT_SECRET": LONG,
    "PROXY_KMS_KEY_ID": "alias/proxy",
    "PROXY_ADMIN_PASSWORD_HASH": "$2b$04$x",
    "PROXY_PUBLIC_URL": "https://proxy.example.com",
    "PROXY_DATABASE_URL": "postgresql://db/proxy",
}
ADDRESS = "arn:aws:secretsmanager:us-east-1:1:secret:x"


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        load_settings(environ)
    return caught.value.problems


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load_settings({}) == Settings()
    assert load_settings({"PROXY_BIND": "", "OTHER": "x"}) == Settings()


def test_a_value_comes_from_its_variable_or_from_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{LONG}\n")

    loaded = load_settings({"PROXY_SERVER_SECRET_FILE": str(tmp_path / "secret"), "PROXY_WORKER_CONNECTIONS": "7"})

    assert (loaded.server_secret, loaded.worker_connections) == (LONG, 7)
    assert load_settings({"PROXY_PUBLIC_URL": "http://a", "PROXY_PUBLIC_URL_FILE": "/nowhere"}).public_url == "http://a"


def test_every_problem_is_reported_at_once() -> None:
    found = problems({"PROXY_BIND": "nonsense", "PROXY_WORKERS": "0", "PROXY_BUDGET_TIMEZONE": "Mars", "PROXY_TYPO": "1"})

    assert [line.partition(":")[0] for line in found] == ["PROXY_BIND", "PROXY_WORKERS", "PROXY_BUDGET_TIMEZONE", "PROXY_TYPO"]


@pytest.mark.parametrize(
    ("name", "must"),
    [
        ("WORKERS", "must be a whole number above 0"),
        ("TICK_S", "must be a number above 0"),
        ("BEDROCK_MAX_TOKENS", "must be 0, or a whole number of at least 1024"),
    ],
)
def test_what_is_no_number_is_told_in_words(name: str, must: str) -> None:
    assert problems({f"PROXY_{name}": "many"}) == [f"PROXY_{name}: {must}"]


def test_a_slip_of_the_pen_is_told_the_name_that_was_meant() -> None:
    found = problems({"PROXY_PLAN_URI": "https://host", "PROXY_SOMETHING_ELSE": "1"})

    assert found == [
        "PROXY_PLAN_URI: there is no such setting; PROXY_PLAN_URL is one",
        "PROXY_SOMETHING_ELSE: there is no such setting",
    ]


@pytest.mark.parametrize(
    "environ",
    [
        {"PROXY_ENVIRONMENT": "staging"},
        {"PROXY_BIND": "127.0.0.1:70000"},
        {"PROXY_PLAN_URL": "ftp://host"},
        {"PROXY_PLAN_URL": "https://host/?x=1"},
        {"PROXY_CONNECT_TIMEOUT_S": "0"},
        {"PROXY_CONNECT_TIMEOUT_S": "nan"},
        {"PROXY_CONNECT_TIMEOUT_S": "soon"},
        {"PROXY_CONNECT_TIMEOUT_S": "inf"},
        {"PROXY_ADMIN_ALLOWED_CIDRS": "10.0.0.0/8,everywhere"},
        {"PROXY_SERVER_SECRET": "short"},
        {"PROXY_SERVER_SECRET_FILE": "/nowhere/at/all"},
        {"PROXY_WORKERS": "2"},
        {"PROXY_DRAIN_S": "110"},
        {"PROXY_DATABASE_HOST": "db"},
        {"PROXY_EMF": "yes"},
        {"PROXY_EMF_NAMESPACE": "AWS/Mine"},
        {"PROXY_EMF_NAMESPACE": "two words"},
        {"PROXY_BILL_CHECK": "auto"},
    ],
)
def test_a_value_that_cannot_work_is_refused_under_its_name(environ: dict[str, str]) -> None:
    [found] = problems(environ)

    expected = {"PROXY_SERVER_SECRET_FILE": "PROXY_SERVER_SECRET", "PROXY_DATABASE_HOST": "PROXY_DATABASE_SECRET"}
    name = next(iter(environ))
    assert found.startswith(f"{expected.get(name, name)}: ")


@pytest.mark.parametrize(
    ("environ", "emits"),
    [({}, False), (PRODUCTION, True), ({"PROXY_EMF": "ON"}, True), ({**PRODUCTION, "PROXY_EMF": "off"}, False)],
    ids=["local", "production", "on", "off"],
)
def test_emf_is_on_in_production_and_where_it_is_wanted(environ: dict[str, str], emits: bool) -> None:
    assert load_settings(environ).emits_emf is emits


def test_production_starts_with_everything_and_refuses_each_convenience() -> None:
    assert not load_settings(PRODUCTION).is_local

    found = problems({"PROXY_ENVIRONMENT": "production", "PROXY_PUBLIC_URL": "http://proxy.example.com"})
    names = {line.partition(":")[0].removeprefix("PROXY_") for line in found}
    assert names == {"SERVER_SECRET", "JWT_SECRET", "KMS_KEY_ID", "ADMIN_PASSWORD_HASH", "DATABASE_URL", "PUBLIC_URL"}


class Stored(SecretReader):
    """Secrets Manager with these values; what is not among them is refused."""

    def __init__(self, **values: str) -> None:
        self._values = values

    def read(self, address: str) -> SecretText:
        name = address.rpartition(":")[2]
        if name not in self._values:
            raise SecretUnavailable(f"{address} cannot be read")
        return SecretText(self._values[name], address)


def test_a_secrets_manager_address_is_fetched() -> None:
    assert load_settings({"PROXY_SERVER_SECRET": ADDRESS}, Stored(x=LONG)).server_secret == LONG


def test_the_database_secret_remembers_its_address_because_it_rotates() -> None:
    environ = {"PROXY_DATABASE_HOST": "db", "PROXY_DATABASE_SECRET": ADDRESS}
    loaded = load_settings(environ, Stored(x='{"username": "u", "password": "p"}')).database_secret

    assert isinstance(loaded, SecretText)
    assert (json.loads(loaded), loaded.address) == ({"username": "u", "password": "p"}, ADDRESS)


@pytest.mark.parametrize("name", ["PROXY_SERVER_SECRET", "PROXY_DATABASE_SECRET"])
def test_an_address_that_cannot_be_read_stops_the_start(name: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings({name: ADDRESS}, Stored())

    assert caught.value.problems == [f"{name}: {ADDRESS} cannot be read"]


@pytest.mark.parametrize("text", ["hush", '"hush"', '{"username": "hush"}', '{"username": "hush", "password": ""}'])
def test_a_database_secret_of_another_shape_stops_the_start_and_is_not_shown(text: str) -> None:
    assert problems({"PROXY_DATABASE_SECRET": text}) == ['PROXY_DATABASE_SECRET: must be JSON {"username": ..., "password": ...}']


def test_no_secret_is_in_the_repr() -> None:
    secret = ("server_secret", "jwt_secret", "admin_password_hash", "database_url", "database_secret")

    assert "hush" not in repr(Settings(**dict.fromkeys(secret, "hush")))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"bind": "0.0.0.0:80"}, "http://127.0.0.1:80"),
        ({"bind": "10.0.0.0:80"}, "http://10.0.0.0:80"),
        ({"bind": "[::]:80"}, "http://[::1]:80"),
        ({"bind": "0.0.0.0:80", "public_url": "https://proxy.example.com"}, "https://proxy.example.com"),
    ],
)
def test_developers_are_given_an_address_that_they_can_reach(changes: dict[str, str], address: str) -> None:
    assert Settings(**changes).base_url == address  # type: ignore[arg-type]


def test_in_another_folder_relative_paths_still_mean_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"PROXY_JWT_SECRET_FILE": "jwt", "PROXY_DATABASE_URL": "sqlite:///x.db", "HOME": "home"}
    settings = Settings(data_dir=Path("data"), database_url="sqlite:///x.db")

    assert environment_elsewhere(settings, environ) == {
        "PROXY_JWT_SECRET_FILE": f"{tmp_path}/jwt",
        "PROXY_DATABASE_URL": f"sqlite:///{tmp_path}/x.db",
        "PROXY_DATA_DIR": f"{tmp_path}/data",
        "HOME": "home",
    }


def test_in_another_folder_what_is_absolute_stays_as_it_is(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql://db/proxy")

    assert environment_elsewhere(settings, {"A": "b"}) == {"A": "b", "PROXY_DATA_DIR": str(tmp_path)}


def test_every_setting_is_described() -> None:
    rows = describe_settings()

    assert [name for name, *_ in rows] == [f"PROXY_{spec.name.upper()}" for spec in dataclasses.fields(Settings)]
    assert all(sentence.rstrip(")").endswith(".") for _, _, sentence, _ in rows)
    assert {name for name, _, _, secret in rows if secret} >= {"PROXY_SERVER_SECRET", "PROXY_DATABASE_URL"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BEDROCK_MAX_TOKENS", "1023"),
        ("BEDROCK_MAX_TOKENS", "-1"),
        ("BEDROCK_COUNT_REGION", "evil.example"),
        ("BEDROCK_COUNT_REGION", "us"),
    ],
)
def test_a_cap_that_leaves_no_answer_and_a_region_that_is_none_are_refused(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=f"PROXY_{name}: "):
        load_settings({f"PROXY_{name}": value})

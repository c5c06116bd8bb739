"""Every setting of the product: name, type, default, unit and one sentence, in one place.

The only reader of the environment. A value comes from `PROXY_<NAME>`, else from the file that `PROXY_<NAME>_FILE` names
(its text, stripped), and a value that is an `arn:aws:secretsmanager:` address is fetched from there (a `SecretText`, so that
who uses it can read it again). Invariant: either all problems are reported at once (`BadSettings`), or the result is complete
and frozen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from core.secrets import SecretReader, SecretUnavailable, is_secret_address
from core.setting_values import (
    Network,
    bind,
    cap,
    count,
    database_login,
    database_url,
    dollars,
    environment,
    flag,
    level,
    namespace,
    networks,
    on_or_off,
    password_hash,
    positive,
    region,
    switch,
    text,
    timezone,
    url,
)


class BadSettings(Exception):
    """The configuration cannot be used. `problems` lists every reason, each a sentence that says what to change."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def setting(read: Callable[[str], Any], default: Any, doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": read, "doc": doc, "secret": secret})


_REACHABLE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # listening on every address is no address to call
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, frozen. Times are seconds, sizes bytes, unless the name says otherwise."""

    environment: str = setting(environment, "local", "`local` or `production`; production refuses every convenience default.")
    bind: str = setting(bind, "127.0.0.1:8080", "Address and port that gunicorn listens on.")
    workers: int = setting(count, 1, "gunicorn worker processes; more than 1 needs PostgreSQL.")
    worker_connections: int = setting(count, 4000, "Client connections a worker holds at once, idle ones included.")
    data_dir: Path = setting(Path, Path("var"), "Folder of the SQLite database, spool files and local secrets.")  # noqa: RUF009
    public_url: str = setting(url, "", "Address under which developers reach the proxy; empty: taken from the bind address.")

    database_url: str = setting(
        database_url, "", "`postgresql://...` or `sqlite:///...`; empty: SQLite in `data_dir`.", secret=True
    )
    database_host: str = setting(text, "", "Database host, with `PROXY_DATABASE_NAME` and `_SECRET`, instead of a URL.")
    database_name: str = setting(text, "claude_code_proxy", "Database name that goes with the host.")
    database_secret: str = setting(
        database_login,
        "",
        'JSON `{"username", "password"}` that goes with the host (usually a Secrets Manager address).',
        secret=True,
    )
    database_pool_size: int = setting(count, 4, "PostgreSQL connections of the proxy in each worker; 10 a task at most in all.")

    server_secret: str = setting(text, "", "At least 32 bytes; hashes access keys. Local: made once, in a file.", secret=True)
    jwt_secret: str = setting(text, "", "At least 32 bytes; signs admin cookies. Local: made once, in a file.", secret=True)
    kms_key_id: str = setting(text, "", "KMS key that seals Bedrock keys; empty: the local key file (refused in production).")
    admin_username: str = setting(text, "admin", "Name of the managed owner account.")
    admin_password_hash: str = setting(
        password_hash, "", "bcrypt hash (`$2b$...`) of its password. Local: made once.", secret=True
    )

    admin_require_totp: bool = setting(flag, False, "`true`: every admin needs a second factor.")

    plan_url: str = setting(url, "https://api.anthropic.com", "The Plan upstream; a path is kept and put before the request's.")
    bedrock_url: str = setting(
        url, "https://bedrock-runtime.{region}.amazonaws.com", "The Bedrock upstream; `{region}` is filled in from the key."
    )
    bedrock_region: str = setting(text, "us-east-1", "Region of a Bedrock key that was added without one.")
    bedrock_max_tokens: int = setting(cap, 0, "Most `max_tokens` that Bedrock is asked for; 0: no limit of ours.")
    bedrock_count_region: str = setting(region, "", "Where tokens are counted for keys whose region cannot; empty: nowhere else.")

    connect_timeout_s: float = setting(positive, 5.0, "Connecting to an upstream, name look-up and TLS included.")
    first_byte_timeout_s: float = setting(positive, 90.0, "First byte of a streamed answer of the Plan.")
    bedrock_first_byte_timeout_s: float = setting(positive, 120.0, "First byte of a streamed answer of Bedrock.")
    response_timeout_s: float = setting(positive, 300.0, "First byte of an answer that is not streamed.")
    silence_timeout_s: float = setting(positive, 240.0, "Silence inside a stream, after which it is ended with an error event.")
    commit_timeout_s: float = setting(positive, 240.0, "From the last request byte to a stream's commit, over all attempts.")
    count_tokens_timeout_s: float = setting(positive, 5.0, "First byte of the Plan's answer to count_tokens and models.")
    plan_patience_s: float = setting(positive, 3.0, "Longest `retry-after` of a throttled Plan that is waited for.")
    body_timeout_s: float = setting(positive, 60.0, "Reading a request body.")
    max_body_bytes: int = setting(count, 10_485_760, "Largest request body.")
    ping_interval_s: float = setting(positive, 15.0, "Silence in a Bedrock stream before a `ping` event is sent.")
    graceful_timeout_s: float = setting(positive, 110.0, "From SIGTERM to the kill of what still runs.")
    drain_s: float = setting(positive, 100.0, "From SIGTERM to the error event that ends the streams still running.")

    circuit_failures: int = setting(count, 3, "Failures in a row that open a circuit.")
    circuit_window_s: float = setting(positive, 600.0, "How old the first of those failures may be.")
    circuit_reset_s: float = setting(positive, 300.0, "Longest time a circuit stays open between probes (it starts at 60).")
    circuit_probe_s: float = setting(positive, 1800.0, "How often a circuit open for exhaustion lets one real request through.")
    repair_days: float = setting(positive, 7.0, "Days that a name which Bedrock was found to refuse is left out.")
    grant_ttl_s: float = setting(positive, 60.0, "How long a key's grant is used before it is looked up again.")
    grant_stale_s: float = setting(positive, 900.0, "How long a known key is served while the database is away.")
    tick_s: float = setting(positive, 1.0, "How often a worker looks for changes of keys and circuits.")
    flush_interval_s: float = setting(positive, 1.0, "How often finished requests are written to the ledger.")

    budget_timezone: str = setting(timezone, "UTC", "Time zone of a budget's month.")
    budget_away_allowance_usd: Decimal = setting(  # noqa: RUF009
        dollars, Decimal(5), "What a key that has a budget may spend on Bedrock while the database is away."
    )
    retention_days: int = setting(count, 30, "Days that request records, and links that ended, are kept.")
    plan_history_days: int = setting(count, 30, "Days that the history of plans' windows is kept.")
    spend_retention_days: int = setting(count, 400, "Days after a month's end that its budgets' sums and warnings are kept.")
    audit_retention_days: int = setting(count, 400, "Days that audit entries are kept.")
    max_users: int = setting(count, 1000, "Users that are not deleted.")
    max_keys_per_user: int = setting(count, 10, "Active access keys of one user.")

    admin_allowed_cidrs: tuple[Network, ...] = setting(networks, (), "Networks that may reach /admin; empty: every one.")
    trusted_proxies: tuple[Network, ...] = setting(networks, (), "Networks whose `x-forwarded-for` is believed.")
    metrics_allowed_cidrs: tuple[Network, ...] = setting(networks, _LOOPBACK, "Networks that may read /metrics.")
    emf: str = setting(switch, "auto", "Metrics as Embedded Metric Format in the log: `on`, `off`; `auto`: in production alone.")
    emf_namespace: str = setting(namespace, "ClaudeCodeProxy", "CloudWatch namespace of those metrics.")
    bill_check: str = setting(on_or_off, "off", "`on`: compare the ledger with Bedrock's own metrics each day.")
    log_level: str = setting(level, "INFO", "Least level of application log lines.")

    @property
    def is_local(self) -> bool:
        return self.environment == "local"

    @property
    def base_url(self) -> str:
        """What developers put before `/ak/`."""
        host, _, port = self.bind.rpartition(":")
        return self.public_url or f"http://{_REACHABLE.get(host, host)}:{port}"

    @property
    def sqlite_file(self) -> Path:
        """The database, where the settings name none."""
        return self.data_dir / "proxy.sqlite"

    @property
    def sqlite_path(self) -> Path | None:
        """The database, where it is a file."""
        if not self.database_url:
            return None if self.database_host else self.sqlite_file
        kind, _, path = self.database_url.partition("?")[0].partition(":///")
        is_file = kind.startswith("sqlite") and path and not path.startswith((":", "file:"))
        return Path(path) if is_file else None

    @property
    def spool_dir(self) -> Path:
        return self.data_dir / "spool"

    @property
    def metrics_dir(self) -> Path:
        return self.data_dir / "metrics"

    @property
    def emits_emf(self) -> bool:
        return self.emf == "on" or (self.emf == "auto" and not self.is_local)


def load_settings(environ: Mapping[str, str] | None = None, secrets: SecretReader | None = None) -> Settings:
    """Read the environment once. Raises BadSettings with every problem. Blocks only for Secrets Manager addresses."""
    env = os.environ if environ is None else environ
    reader = secrets or SecretReader()
    problems: list[str] = []
    values: dict[str, Any] = {}
    for spec in fields(Settings):
        try:
            raw = _raw(env, spec.name, reader)
            if raw is not None:
                values[spec.name] = spec.metadata["parse"](raw)
        except (ValueError, OSError, SecretUnavailable) as error:
            problems.append(f"PROXY_{spec.name.upper()}: {error}")
    problems += _unknown_names(env)
    settings = Settings(**values)
    problems += _contradictions(settings)
    if problems:
        raise BadSettings(problems)
    return settings


def _raw(env: Mapping[str, str], name: str, secrets: SecretReader) -> str | None:
    variable = f"PROXY_{name.upper()}"
    raw = env.get(variable)
    if raw is None and (path := env.get(f"{variable}_FILE")):
        raw = Path(path).read_text(encoding="utf-8").strip()
    if raw is not None and is_secret_address(raw):
        return secrets.read(raw)
    return raw or None


def _unknown_names(env: Mapping[str, str]) -> list[str]:
    """A misspelt setting would otherwise be ignored in silence."""
    names = {f"PROXY_{spec.name.upper()}" for spec in fields(Settings)}
    names |= {f"{name}_FILE" for name in names}
    strange = [name for name in sorted(env) if name.startswith("PROXY_") and name not in names]
    return [f"{name}: there is no such setting{_perhaps(name, names)}" for name in strange]


def _perhaps(name: str, names: set[str]) -> str:
    alike = get_close_matches(name, sorted(names), n=1, cutoff=0.8)
    return f"; {alike[0]} is one" if alike else ""


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if settings.workers > 1 and not settings.database_host and not settings.database_url.startswith("postgres"):
        problems.append("PROXY_WORKERS: more than 1 needs PostgreSQL (PROXY_DATABASE_URL)")
    if settings.database_host and not settings.database_secret:
        problems.append("PROXY_DATABASE_SECRET: required with PROXY_DATABASE_HOST")
    if settings.drain_s >= settings.graceful_timeout_s:
        problems.append("PROXY_DRAIN_S: must be below PROXY_GRACEFUL_TIMEOUT_S, or streams are cut without a word")
    for name in ("server_secret", "jwt_secret"):
        if 0 < len(getattr(settings, name).encode()) < 32:
            problems.append(f"PROXY_{name.upper()}: must be at least 32 bytes")
    if settings.environment == "production":
        problems += _missing_in_production(settings)
    return problems


def _missing_in_production(settings: Settings) -> list[str]:
    needed = ("server_secret", "jwt_secret", "kms_key_id", "admin_password_hash", "public_url")
    problems = [f"PROXY_{name.upper()}: required in production" for name in needed if not getattr(settings, name)]
    if not settings.database_host and not settings.database_url.startswith("postgres"):
        problems.append("PROXY_DATABASE_URL: production needs PostgreSQL")
    if settings.public_url and not settings.public_url.startswith("https://"):
        problems.append("PROXY_PUBLIC_URL: must be https in production")
    return problems


def environment_elsewhere(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a process that starts in another folder: what was relative to ours is made absolute."""
    env = dict(os.environ if environ is None else environ)
    for name in env:
        if name.startswith("PROXY_") and name.endswith("_FILE"):
            env[name] = str(Path(env[name]).absolute())
    env["PROXY_DATA_DIR"] = str(settings.data_dir.absolute())
    kind, separator, path = settings.database_url.partition(":///")
    if kind.startswith("sqlite") and separator and path and not path.startswith(":"):
        env["PROXY_DATABASE_URL"] = f"{kind}:///{Path(path).absolute()}"
    return env


def describe_settings() -> list[tuple[str, str, str, bool]]:
    """(variable, default as text, sentence, is secret) of every setting, for the docs' test and the system page."""
    rows = []
    for spec in fields(Settings):
        default = "" if spec.default is MISSING else spec.default
        text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        rows.append((f"PROXY_{spec.name.upper()}", text, spec.metadata["doc"], spec.metadata["secret"]))
    return rows

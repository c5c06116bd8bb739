"""The house rules that a machine can check: who may import whom, one door per library, no hidden state, sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("core", "proxy_app", "admin_app")
FILE_LINES, FUNCTION_LINES, PARAMETERS = 300, 50, 6

# library -> the only files that may import it (docs/decisions/0004-doors.md)
DOORS = {
    "falcon": ("*/app.py", "proxy_app/resources.py", "proxy_app/inbound.py", "admin_app/*"),
    "urllib3": ("proxy_app/http_pool.py",),
    "httptools": ("proxy_app/http_pool.py", "proxy_app/upstream_http.py"),
    "msgspec": ("proxy_app/json_body.py", "admin_app/*"),
    "certifi": ("proxy_app/http_pool.py",),
    "requests": ("core/http.py",),
    "pybreaker": ("proxy_app/circuits.py", "proxy_app/circuit_state.py"),
    "sqlalchemy": ("core/*", "migrations/*", "admin_app/listings.py"),
    "psycopg2": ("core/postgres.py",),
    "alembic": ("core/db.py", "migrations/*"),
    "jinja2": ("core/pages.py", "core/compiled_templates.py"),
    "boto3": ("core/secrets.py", "core/crypto.py", "core/cloudwatch.py", "core/log_group.py"),
    "botocore": ("core/secrets.py", "core/crypto.py", "core/cloudwatch.py", "core/log_group.py", "proxy_app/bedrock/wire.py"),
    "itsdangerous": ("admin_app/session.py",),
    "jwt": ("core/admin_jwt.py",),
    "pyotp": ("core/second_factor.py",),
    "segno": ("admin_app/qr.py",),
    "bcrypt": ("core/crypto.py",),
    "zxcvbn": ("core/passwords.py",),
    "cryptography": ("core/crypto.py",),
    "gunicorn": ("core/worker.py", "proxy_app/inbound.py", "gunicorn.conf.py"),
    "gevent": (
        "gunicorn.conf.py",
        "core/threads.py",
        "core/postgres.py",
        "core/worker.py",
        "proxy_app/hangup.py",
        "proxy_app/http_pool.py",
        "proxy_app/upstream_socket.py",
    ),
}

# Inside proxy_app, downwards only: a module may import from its own layer and from those below it.
LAYERS = (
    ("service", "probe", "metric_sources"),
    ("app",),
    ("resources",),
    ("own_page",),
    ("own_document", "status_line"),
    ("own_state",),
    ("relay", "side_calls", "inbound", "readiness"),
    ("gateway", "recorder", "paid_attempt"),
    ("flusher",),
    ("providers",),
    ("spending", "plan_watch"),
    ("budget_warnings", "likely_cost", "unbooked"),
    (
        "circuits",
        "circuit_*",
        "directory",
        "expiry_watch",
        "last_seen",
        "lesson_*",
        "live_models",
        "rate_limit",
        "hangup",
        "http_pool",
        "upstream_http",
        "upstream_socket",
    ),
    ("bedrock", "meter", "errors", "headers"),
    ("call", "faults", "sse", "json_body"),
)
PURE = ("call", "json_body", "faults", "sse", "meter", "errors", "headers", "bedrock", "providers/plan_answers")
IMPURE_MODULES = {"time", "random", "socket", "logging", "datetime", "secrets", "gevent", "urllib3"}


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return found or pytest.fail(f"no sources in {folders}")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Dotted names of what a file imports, wherever in it, except for type checking alone."""
    tree = ast.parse(path.read_text())
    skipped = {id(inner) for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("core", {"proxy_app", "admin_app", "sandbox", "wsgi"}),
        ("proxy_app", {"admin_app", "sandbox", "wsgi"}),
        ("admin_app", {"proxy_app", "sandbox"}),
        ("sandbox", {"core", "proxy_app", "admin_app", "wsgi"}),
    ],
)
def test_a_room_knows_only_what_is_below_it(folder: str, forbidden: set[str]) -> None:
    found = {(relative(path), name) for path in sources(folder) for name in imports(path) if name.split(".")[0] in forbidden}
    assert found == set()


def test_only_the_servers_start_and_the_command_line_import_the_composition_root() -> None:
    found = {relative(path) for path in sources(*PRODUCT) for name in imports(path) if name.split(".")[0] == "wsgi"}
    assert found <= {"admin_app/__main__.py"}


def test_inside_the_proxy_imports_go_downwards_only() -> None:
    upward = [
        f"{relative(path)} -> {name}"
        for path in sources("proxy_app")
        for name in imports(path)
        if name.startswith("proxy_app.") and _layer(_module(name)) < _layer(_module(_dotted(path)))
    ]
    assert upward == []


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _module(dotted: str) -> str:
    return dotted.split(".")[1]


def _layer(module: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if any(fnmatch(module, name) for name in names)]
    assert found or module == "__init__", f"{module} has no place in LAYERS"
    return found[0] if found else len(LAYERS)


def test_pure_modules_have_no_clock_no_log_and_no_io() -> None:
    pure = [path for path in sources("proxy_app") if any(relative(path).startswith(f"proxy_app/{name}") for name in PURE)]
    found = [f"{relative(path)} -> {name}" for path in pure for name in imports(path) if name.split(".")[0] in IMPURE_MODULES]
    assert found == []


@pytest.mark.parametrize("library", sorted(DOORS))
def test_a_library_has_one_door(library: str) -> None:
    others = [path for path in sources(*PRODUCT) if not any(fnmatch(relative(path), door) for door in DOORS[library])]
    found = [relative(path) for path in others if any(name.split(".")[0] == library for name in imports(path))]
    assert found == []


def test_the_environment_is_read_in_one_place() -> None:
    readers = [relative(path) for path in sources(*PRODUCT) if "environ[" in path.read_text() or "os.environ" in path.read_text()]
    wsgi_environ = {"proxy_app/app.py", "proxy_app/inbound.py", "core/worker.py", "proxy_app/resources.py"}
    allowed = {"core/settings.py", "admin_app/__main__.py", "admin_app/cli.py", *wsgi_environ}
    assert set(readers) - allowed == set()


def test_modules_hold_no_state() -> None:
    """Constants, types and loggers only: a mutable module-level container or an instance would be shared by accident."""
    found = [f"{relative(path)}:{node.lineno}" for path in sources(*PRODUCT) for node in _module_state(path)]
    assert found == []


def _module_state(path: Path) -> Iterator[ast.stmt]:
    for node in ast.parse(path.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if (
            names
            and not all(map(_is_constant, names))
            and not set(names) <= {"log", "metadata", "__all__"}
            and not _is_declaration(node)
        ):
            yield node


def _is_constant(name: str) -> bool:
    """UPPER_CASE, or a type's CapitalisedName; either may be private."""
    bare = name.lstrip("_")
    return bare == bare.upper() or bare[0].isupper()


def _is_declaration(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("Table", "TypeVar", "NewType", "attrgetter")
    )


@pytest.mark.parametrize("folder", [*PRODUCT, "sandbox", "benchmarks", "migrations"])
def test_files_and_functions_stay_small(folder: str) -> None:
    paths = sources(folder)
    long_files = [relative(path) for path in paths if len(path.read_text().splitlines()) > FILE_LINES]
    assert long_files == []
    assert [found for path in paths for found in _oversized_functions(path)] == []


def _oversized_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        parameters = len([name for name in names if name not in ("self", "cls")])
        if lines > FUNCTION_LINES or parameters > PARAMETERS:
            yield f"{relative(path)}:{node.name} ({lines} lines, {parameters} parameters)"

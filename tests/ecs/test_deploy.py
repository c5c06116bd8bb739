"""deploy.sh: what it would do, what it does, and that both are the same. What goes wrong is in test_deploy_failures.py."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest

from core.crypto import check_password
from tests.ecs.operators_desk import CONFIG, FAMILY, NO_STACK, PLACEHOLDERS, SCRIPT, Desk, option, parameters, printed
from tests.ecs.stacks import FOLDER, ORDER, Stacks, load_templates


def test_a_dry_run_asks_aws_nothing(desk: Desk) -> None:
    finished = desk.run("--dry-run", "deploy")
    assert finished.returncode == 0, finished.stderr
    assert desk.calls == []
    assert len(printed(finished.stdout)) > 10


def test_the_runbooks_first_steps_need_no_image_yet(desk: Desk) -> None:
    (desk.folder / "config.env").write_text("\n".join(line for line in CONFIG.splitlines() if not line.startswith("IMAGE")))
    assert desk.run("--dry-run", "base").returncode == 0
    assert desk.run("base").returncode == 0
    assert desk.run("admin-password", typed="correct horse battery staple\n").returncode == 0


@pytest.mark.parametrize("command", ["base", "deploy", "rollback", "restart"])
def test_what_a_dry_run_prints_is_what_a_real_run_does(desk: Desk, command: str) -> None:
    desk.answers(
        *PLACEHOLDERS,
        {"if": ["list-task"], "say": f"{FAMILY}:8\t<running>\t<the one before it>"},
        {"if": ["describe-services"], "say": "<running>"},
    )
    would = printed(desk.run("--dry-run", command).stdout)
    finished = desk.run(command)
    assert finished.returncode == 0, finished.stderr
    assert desk.calls == would


def test_stacks_are_deployed_in_order_and_the_database_is_migrated_before_the_service_rolls(desk: Desk) -> None:
    assert desk.run("deploy").returncode == 0
    assert desk.stacks == [f"claude-code-proxy-{stack}" for stack in ORDER]
    verbs = [call[1] if call[1] != "deploy" else option(call, "--stack-name") for call in desk.calls]
    order = ["claude-code-proxy-tasks", "run-task", "wait", "describe-tasks", "claude-code-proxy-service"]
    assert [verbs.index(verb) for verb in order] == sorted(verbs.index(verb) for verb in order)


def test_the_service_gets_the_revision_that_was_migrated_for(desk: Desk) -> None:
    desk.run("deploy")
    (service,) = [call for call in desk.calls if call[:2] == ["cloudformation", "deploy"] and "claude-code-proxy-service" in call]
    assert parameters(service)["TaskDefinition"] == "<tasks.ProxyTask>"


def test_the_number_of_tasks_is_set_at_the_first_deployment_alone(desk: Desk) -> None:
    desk.run("deploy")
    assert values_of(desk, "service", "FirstDeployment") == ["no"]


@pytest.mark.parametrize(
    ("stack", "name", "first", "later"), [("data", "Protected", "no", "yes"), ("service", "FirstDeployment", "yes", "no")]
)
def test_a_stack_is_protected_against_deletion_once_it_stands_and_not_before(
    desk: Desk, stack: str, name: str, first: str, later: str
) -> None:
    desk.answers({**NO_STACK, "if": ["describe-stacks", f"claude-code-proxy-{stack}", "StackStatus"]}, *PLACEHOLDERS)
    assert desk.run("deploy").returncode == 0
    assert values_of(desk, stack, name) == [first, later]


def test_a_stack_of_which_only_a_plan_was_made_does_not_stand_yet(desk: Desk) -> None:
    desk.answers({"if": ["claude-code-proxy-service", "StackStatus"], "say": "REVIEW_IN_PROGRESS"}, *PLACEHOLDERS)
    assert desk.run("deploy").returncode == 0
    assert values_of(desk, "service", "FirstDeployment") == ["yes", "no"]


@pytest.mark.parametrize("stack", ORDER)
def test_any_other_parameter_of_a_stack_can_be_given_and_is_the_last_word(desk: Desk, stack: str) -> None:
    setting = f'{stack.upper()}_PARAMETERS="Name=other Second=2"'
    (desk.folder / "config.env").write_text(f"{CONFIG}\n{setting}\n")
    assert desk.run("deploy").returncode == 0
    assert (values_of(desk, stack, "Name"), values_of(desk, stack, "Second")) == (["other"], ["2"])


def values_of(desk: Desk, stack: str, name: str) -> list[str]:
    """What each deployment of a stack said of a parameter."""
    calls = [call for call in desk.calls if call[:2] == ["cloudformation", "deploy"] and f"claude-code-proxy-{stack}" in call]
    return [parameters(call)[name] for call in calls]


def test_a_rollback_takes_the_revision_before_the_running_one(desk: Desk) -> None:
    known = "\t".join(f"{FAMILY}:{number}" for number in (9, 8, 7, 5))
    desk.answers({"if": ["list-task"], "say": known}, {"if": ["describe-services"], "say": f"{FAMILY}:8"}, *PLACEHOLDERS)
    assert desk.run("rollback").returncode == 0
    assert parameters(desk.calls[-1])["TaskDefinition"] == f"{FAMILY}:7"


def test_the_password_is_stored_as_a_hash_that_no_argument_shows(desk: Desk) -> None:
    keeper = desk.folder / "aws"
    keeper.write_text(keeper.read_text().replace("    for answer in", f"    {KEEP_SECRET}\n    for answer in"))
    finished = desk.run("admin-password", typed="correct horse battery staple\n")
    assert finished.returncode == 0, finished.stderr
    stored = (desk.folder / "secret").read_text()
    assert check_password("correct horse battery staple", stored)
    assert stored not in (desk.folder / "calls.jsonl").read_text() + finished.stdout + finished.stderr
    assert option(desk.calls[-1], "--secret-id") == "<data.AdminPasswordHash>"


KEEP_SECRET = "[(HERE / 'secret').write_text(Path(a[7:]).read_text()) for a in arguments if a.startswith('file://')]"


def test_the_hash_is_left_in_no_file(desk: Desk) -> None:
    desk.run("admin-password", typed="correct horse battery staple\n")
    file = option(desk.calls[-1], "--secret-string").removeprefix("file://")
    assert file.startswith("/")
    assert not Path(file).exists()


def test_every_parameter_that_the_script_gives_exists_and_fits(desk: Desk) -> None:
    desk.run("deploy")
    templates = load_templates()
    for call in (call for call in desk.calls if call[:2] == ["cloudformation", "deploy"]):
        declared = templates[option(call, "--stack-name").removeprefix("claude-code-proxy-")]["Parameters"]
        given = parameters(call)
        assert given.keys() <= declared.keys()
        assert [name for name, spec in declared.items() if "Default" not in spec and name not in given] == []
        assert [name for name, value in given.items() if value[:1] != "<" and not fits(value, declared[name])] == []


def fits(value: str, declared: dict[str, Any]) -> bool:
    allowed = declared.get("AllowedValues", [value])
    return value in map(str, allowed) and re.fullmatch(declared.get("AllowedPattern", ".*"), value) is not None


def test_the_scripts_defaults_are_the_templates_and_the_examples(desk: Desk) -> None:
    desk.run("deploy")
    templates = load_templates()
    given = {
        (option(call, "--stack-name").removeprefix("claude-code-proxy-"), name): value
        for call in desk.calls
        if call[:2] == ["cloudformation", "deploy"]
        for name, value in parameters(call).items()
    }
    defaults = {key: str(templates[key[0]]["Parameters"][key[1]].get("Default")) for key in given}
    chosen = ("Image", "HostName", "CertificateArn", "AdminAllowedCidrs", "TaskDefinition", "FirstDeployment")
    assert [(key, given[key]) for key in given if key[1] not in chosen and given[key] != defaults[key]] == []
    example = dict(re.findall(r"^(\w+)=(\S*)", (FOLDER / "production.env.example").read_text(), re.MULTILINE))
    fallbacks = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", SCRIPT.read_text()))
    assert {name: value for name, value in example.items() if value} == {
        name: value for name, value in fallbacks.items() if name not in ("CONFIG", "PYTHON") and value
    }


def test_everything_that_the_script_reads_from_stacks_is_an_output(desk: Desk) -> None:
    stacks = Stacks()
    read = re.findall(r"output (\w+) (\w+)", SCRIPT.read_text())
    assert len(read) >= 7
    assert [pair for pair in read if not stacks.output(*pair)] == []


def test_the_script_can_be_run_and_explains_itself(desk: Desk) -> None:
    assert SCRIPT.stat().st_mode & stat.S_IXUSR
    finished = desk.run("help")
    assert finished.returncode == 0
    assert all(
        word in finished.stdout for word in ("base", "admin-password", "deploy", "rollback", "restart", "desk", "--dry-run")
    )
    assert desk.run("deplyo").returncode == 2

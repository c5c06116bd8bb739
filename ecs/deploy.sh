#!/usr/bin/env bash
# Deploys ClaudeCodeProxy: five stacks in order, the database migrated in between. The runbook is README.md.
#
#   ecs/deploy.sh [--dry-run] COMMAND        settings: ecs/production.env, or the file that CONFIG names
#
#   base              network and data: VPC, key, secrets, database, image repository
#   admin-password    ask for the owner's password and store its hash
#   deploy            all five stacks; a migration that fails leaves the running service as it is
#   rollback [ARN]    the service back to the revision before the running one, or to the one named
#   restart           new tasks of the same revision, which read every secret anew
#   desk              a task for the command line: prints how to get in; ends by itself after an hour
#
# --dry-run prints every aws command and runs none; what only AWS could answer is shown as <stack.Output>.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

dry=""; [ "${1:-}" = --dry-run ] && { dry=yes; shift; }
command="${1:-help}"
config="${CONFIG:-$here/production.env}"
# shellcheck source=/dev/null  # the operator's own
[ -f "$config" ] && . "$config"
name="${NAME:-claude-code-proxy}"

export AWS_REGION="${AWS_REGION:-}" ${AWS_PROFILE:+AWS_PROFILE}

die() { echo "deploy.sh: $*" >&2; exit 1; }
need() { for variable; do [ -n "${!variable:-}" ] || die "$variable is not set (production.env.example explains it)"; done; }
exec 3>&1 # where a dry run prints, also from inside of $(...)
run() { if [ -n "$dry" ]; then { printf 'aws'; printf ' %q' "$@"; echo; } >&3; else aws "$@"; fi; }
ask() { # ask WORD ARGUMENTS...: what aws answers; in a dry run the command, and <WORD> for an answer
  local word="$1"; shift
  if [ -n "$dry" ]; then run "$@" --output text; echo "<$word>"; else aws "$@" --output text; fi
}
output() { ask "$1.$2" cloudformation describe-stacks --stack-name "$name-$1" --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"; }

stack() { # stack WHICH Parameter=value..., and those of the setting WHICH_PARAMETERS, which are the last word
  local which="$1" more pair; shift
  more="$(tr '[:lower:]' '[:upper:]' <<<"$which")_PARAMETERS"
  for pair in ${!more:-}; do set -- "$@" "$pair"; done
  run cloudformation deploy --stack-name "$name-$which" --template-file "$here/$which.yaml" --no-fail-on-empty-changeset \
    --capabilities CAPABILITY_IAM --tags "application=$name" --parameter-overrides "Name=$name" "$@" ||
    die "the stack $name-$which was not deployed, and nothing after it was touched. Why: aws cloudformation describe-stack-events" \
      "--stack-name $name-$which --query \"StackEvents[?contains(ResourceStatus,'FAILED')].[LogicalResourceId,ResourceStatusReason]\""
}
stands() { # stands WHICH: whether the stack was ever made. What cannot be told ends the script: a guess would undo scaling
  local said
  if said="$(ask status cloudformation describe-stacks --stack-name "$name-$1" --query "Stacks[0].StackStatus" 2>&1)"; then
    [ "$said" != REVIEW_IN_PROGRESS ]
  else
    case "$said" in *"does not exist"*) return 1 ;; *) die "whether there is a stack $name-$1, AWS did not say: $said" ;; esac
  fi
}
guarded() { # guarded WHICH FIRST LATER Parameter=value...: with FIRST until it stands, so that what failed can be deleted
  local which="$1" first="$2" later="$3"; shift 3
  stands "$which" || stack "$which" "$first" "$@"
  stack "$which" "$later" "$@"
}
service() { # service REVISION: no task is thrown away when the service is there already
  guarded service FirstDeployment=yes FirstDeployment=no "TaskDefinition=$1" "HostName=$HOST_NAME" \
    "CertificateArn=$CERTIFICATE_ARN" "AdminAllowedCidrs=$ADMIN_ALLOWED_CIDRS" "WebFirewall=${WEB_FIREWALL:-yes}"
}
start_task() { # start_task TASK_DEFINITION OPTIONS...: its ARN
  local definition="$1"; shift
  local subnets group
  subnets="$(output network TaskSubnets)"
  group="$(output network TaskGroup)"
  ask task ecs run-task --cluster "$name" --task-definition "$definition" --launch-type FARGATE "$@" --query "tasks[0].taskArn" \
    --network-configuration "awsvpcConfiguration={subnets=[$subnets],securityGroups=[$group],assignPublicIp=DISABLED}"
}
base() {
  stack network "VpcCidr=${VPC_CIDR:-10.64.0.0/16}" "NatGateways=${NAT_GATEWAYS:-one-per-zone}" \
    "PrivateEndpoints=${PRIVATE_ENDPOINTS:-no}" "ClientCidr=${CLIENT_CIDR:-0.0.0.0/0}" "ZoneA=${ZONE_A:-}" "ZoneB=${ZONE_B:-}"
  guarded data Protected=no Protected=yes "MaxCapacity=${MAX_CAPACITY:-4}" "BackupDays=${BACKUP_DAYS:-14}"
}
same_region() { # before anything is made: a network and a database in the wrong region take 20 minutes and cost money
  local of; of="$(cut -d: -f4 <<<"$CERTIFICATE_ARN")"
  [ "$of" = "$AWS_REGION" ] || die "CERTIFICATE_ARN is of region '$of', AWS_REGION is $AWS_REGION"
  case "$IMAGE" in
  *.dkr.ecr."$AWS_REGION".*/"$name"[:@]*) ;;
  *.dkr.ecr.*) die "IMAGE is not of the repository $name in $AWS_REGION, the only one that tasks may fetch from" ;;
  esac
}
migrate() {
  local definition task ended code
  definition="$(output tasks MigrationTask)"
  task="$(start_task "$definition")"
  [ -n "$task" ] && [ "$task" != None ] || die "ECS did not start the migration"
  run ecs wait tasks-stopped --cluster "$name" --tasks "$task" ||
    die "the migration still runs after 10 minutes ($task) and the service was not touched; deploy again when it has ended"
  ended="$(ask code ecs describe-tasks --cluster "$name" --tasks "$task" --query "tasks[0].[containers[0].exitCode,stoppedReason]")"
  code="${ended%%$'\t'*}"
  [ -n "$dry" ] || [ "$code" = 0 ] ||
    die "the migration failed (exit status $code; ${ended#*$'\t'}) and the service was not touched." \
      "Status None: it never ran. Else see the log group /$name/tasks, stream migration/"
}

[ "$command" = help ] || need AWS_REGION
[ -z "$dry" ] || echo "export AWS_REGION=$AWS_REGION"
case "$command" in
base) base ;;
admin-password)
  secret="$(output data AdminPasswordHash)"
  hash="<hash>"
  if [ -z "$dry" ]; then
    read -rsp "Password of the owner (15 characters or more): " password; echo >&2
    [ "${#password}" -ge 15 ] || die "too short"
    hash="$(cd "$here/.." && printf %s "$password" | "${PYTHON:-.venv/bin/python}" -c \
      'import sys; from core.crypto import hash_password; print(hash_password(sys.stdin.read()))')"
  fi
  file="$(mktemp)"; trap 'rm -f "$file"' EXIT; printf %s "$hash" >"$file" # not in an argument, which every process may read
  run secretsmanager put-secret-value --secret-id "$secret" --secret-string "file://$([ -n "$dry" ] && echo '<file>' || echo "$file")"
  ;;
deploy)
  need IMAGE HOST_NAME CERTIFICATE_ARN ADMIN_ALLOWED_CIDRS
  same_region
  base
  stack tasks "Image=$IMAGE" "HostName=$HOST_NAME" "AdminAllowedCidrs=$ADMIN_ALLOWED_CIDRS" "AdminUsername=${ADMIN_USERNAME:-admin}" \
    "BedrockRegion=${BEDROCK_REGION:-us-east-1}" "TaskSize=${TASK_SIZE:-medium}" "CpuArchitecture=${CPU_ARCHITECTURE:-X86_64}" \
    "BudgetTimezone=${BUDGET_TIMEZONE:-UTC}" "DatabaseSecret=${DATABASE_SECRET:-}" \
    "MetricsNamespace=${METRICS_NAMESPACE:-ClaudeCodeProxy}"
  migrate
  revision="$(output tasks ProxyTask)"
  service "$revision"
  stack observability "CriticalEmail=${CRITICAL_EMAIL:-}" "WarningEmail=${WARNING_EMAIL:-}" "InfoEmail=${INFO_EMAIL:-}" \
    "BedrockDollarsAnHour=${BEDROCK_DOLLARS_AN_HOUR:-50}" "RunbookUrl=${RUNBOOK_URL:-ecs/README.md}" \
    "MetricsNamespace=${METRICS_NAMESPACE:-ClaudeCodeProxy}"
  echo "Let $HOST_NAME point to: $(output service LoadBalancerName)"
  ;;
rollback)
  need HOST_NAME CERTIFICATE_ARN ADMIN_ALLOWED_CIDRS
  revision="${2:-}"
  if [ -z "$revision" ]; then
    running="$(ask running ecs describe-services --cluster "$name" --services "$name" --query "services[0].taskDefinition")"
    known="$(ask known ecs list-task-definitions --family-prefix "$name" --status ACTIVE --sort DESC --query taskDefinitionArns)"
    revision="<the one before it>"
    if [ -z "$dry" ]; then
      revision="$(tr '\t' '\n' <<<"$known" | awk -v running="$running" 'found { print; exit } $0 == running { found = 1 }')"
    fi
    [ -n "$revision" ] || die "there is no revision before $running"
  fi
  service "$revision"
  ;;
restart) run ecs update-service --cluster "$name" --service "$name" --force-new-deployment --query "service.deployments[0].id" ;;
desk)
  definition="$(output tasks DeskTask)"
  task="$(start_task "$definition" --enable-execute-command)"
  run ecs wait tasks-running --cluster "$name" --tasks "$task"
  echo "aws ecs execute-command --cluster $name --task $task --container desk --interactive --command \"python -m admin_app user list\""
  echo "End it before its hour: aws ecs stop-task --cluster $name --task $task --query task.lastStatus"
  ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; [ "$command" = help ] || exit 2 ;;
esac

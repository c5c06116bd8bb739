"""Every row of the requirements, in their words, and what proves it: rules of the contract, and tests that are named with file.

`RULE name` is a rule of `tests/ecs/contract.py`; everything else is `file::test`. What no test proves yet stands in `WAITING`,
with the reason.
"""

from __future__ import annotations

from types import MappingProxyType

LIVE, CORE, PROXY, ADMIN, ECS = (
    "tests/live/test_",
    "tests/core/test_",
    "tests/proxy_app/test_",
    "tests/admin_app/test_",
    "tests/ecs/test_",
)
_METRICS = f"{ECS}contract.py::test_the_metrics_of_alarms_and_dashboard_are_those_that_the_product_sends"
_LINES_30_DAYS = ("RULE every_log_is_kept_30_days_and_sealed", "RULE log_lines_never_hold_the_proxy_up")
_ALARM = "RULE each_alarm_is_as_decided"
_SECRECY = f"{LIVE}secrecy.py::test_a_secret_is_nowhere_that_the_server_writes_to"
_PREFIX = f"{LIVE}secrecy.py::test_of_an_access_key_no_more_than_its_prefix_is_written"

# section -> row -> proofs
ROWS: MappingProxyType[str, dict[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Latency SLOs": {
            "Plan-only p95 < 100ms": (
                f"{LIVE}latency.py::test_the_first_byte_comes_less_than_100_ms_later_than_without_the_proxy",
            ),
            "Admin API p95 < 200ms": ("tests/prove/test_admin_speed.py::test_a_question_of_the_api_is_quick_with_few_queries",),
            "Admin UI p95 < 1s": ("tests/prove/test_admin_speed.py::test_a_page_is_quick_with_few_queries",),
            "Bedrock fallback p95 < 500ms": (
                f"{LIVE}latency.py::test_a_fallback_of_100_kb_and_200_messages_adds_less_than_100_ms_even_beside_other_tests",
            ),
        },
        "Throughput": {
            "Request volume 100-1000 req/min": (
                "tests/prove/test_hundred_thousand.py::test_records_and_hourly_sums_agree_and_nothing_waits",
                "RULE there_are_two_to_ten_tasks",
            ),
            "Concurrent connections 100+ per ECS task": (
                f"{LIVE}latency.py::test_the_first_byte_comes_less_than_100_ms_later_than_without_the_proxy",
            ),
            "Database connections 5-10 per instance": (
                "RULE a_task_opens_ten_database_connections_at_most",
                f"{LIVE}database_connections.py::test_two_workers_never_hold_more_than_ten_connections",
            ),
        },
        "Resource limits": {
            "Request body size 10MB": (
                "RULE limits_are_those_of_the_requirements",
                f"{LIVE}bad_input.py::test_a_body_announced_too_large_is_refused_before_it_is_sent",
            ),
            "Response timeout 5 minutes": (
                "RULE limits_are_those_of_the_requirements",
                "RULE whoever_waits_longest_is_asked_first",
                f"{LIVE}limits.py::test_an_answer_in_one_piece_that_does_not_come_is_a_504_and_is_not_paid_for_again",
            ),
            "Connection timeout 5 seconds": (
                "RULE limits_are_those_of_the_requirements",
                f"{LIVE}awkward_plan.py::test_a_plan_that_takes_no_connection_is_unreachable_after_the_connect_limit",
            ),
        },
        "Uptime SLA": {
            "Monthly uptime 99.9%": (
                "RULE tasks_are_spread_over_zones",
                "RULE the_database_is_a_writer_and_one_to_fail_over_to",
                _ALARM,
            ),
            "Planned maintenance excluded, rolling deployments": (
                "RULE deployments_keep_every_task_and_roll_back",
                "RULE streams_of_five_minutes_finish",
                f"{LIVE}processes.py::test_a_reload_under_load_fails_no_request",
            ),
        },
        "Redundancy": {
            "ECS Tasks minimum 2, multi-AZ": (
                "RULE there_are_two_to_ten_tasks",
                "RULE tasks_are_spread_over_zones",
                "RULE there_are_two_zones",
            ),
            "Aurora multi-AZ, automatic failover": ("RULE the_database_is_a_writer_and_one_to_fail_over_to",),
            "ALB multi-AZ": ("RULE tasks_are_spread_over_zones", "RULE there_are_two_zones"),
        },
        "Failure handling": {
            "Single task failure: ALB routes to healthy task": (
                "RULE tasks_are_asked_whether_they_are_ready",
                "RULE targets_are_addresses_of_tasks",
            ),
            "Plan upstream down: automatic Bedrock fallback": (
                f"{LIVE}claude_code.py::test_a_plan_that_refuses_connections_is_not_noticed",
            ),
            "Bedrock down: return error with request_id": (
                f"{LIVE}strategies.py::test_a_bedrock_only_key_gets_bedrocks_error_in_anthropics_words_with_our_request_id",
                f"{LIVE}last_resort.py::test_with_both_upstreams_away_the_error_is_ours",
            ),
            "Database failover: ~30 second interruption": (
                f"{LIVE}database_away.py::test_known_keys_are_served_strangers_asked_to_wait_and_nothing_booked_is_lost",
                f"{CORE}postgres.py::test_a_connection_that_became_read_only_is_never_used_again",
                "RULE the_database_is_a_writer_and_one_to_fail_over_to",
            ),
        },
        "Data protection": {
            "Bedrock API keys: KMS envelope encryption, TLS 1.2+": (
                f"{ECS}moto.py::test_a_bedrock_key_is_sealed_and_opened_with_the_deployed_key_for_its_row_alone",
                "RULE the_key_opens_bedrock_keys_alone",
                "RULE only_tls_12_and_up_is_spoken",
            ),
            "Access key hashes: database encryption, TLS 1.2+": (
                f"{CORE}access.py::test_an_issued_key_is_stored_as_hash_and_prefix_alone",
                "RULE the_database_is_encrypted_with_our_key",
                "RULE the_database_speaks_tls_alone",
                "RULE the_proxy_asks_the_database_for_tls",
            ),
            "Request/Response: not stored, TLS 1.2+": (
                _SECRECY,
                "RULE the_database_logs_no_statement",
                "RULE only_tls_12_and_up_is_spoken",
            ),
            "Admin credentials: Secrets Manager, TLS 1.2+": (
                "RULE secrets_are_in_secrets_manager",
                "RULE no_secret_stands_in_the_environment",
            ),
        },
        "Access control": {
            "Admin API, JWT session token, 24-hour expiry": (
                f"{CORE}credentials.py::test_a_jwt_stands_for_its_admin_for_a_day_without_use",
            ),
            "Proxy API: access key in URL": (f"{LIVE}access.py::test_the_key_in_the_path_and_in_the_header_open_the_same_doors",),
            "Admin UI: IP allowlist + auth": (
                "RULE admin_is_behind_an_allowlist",
                "RULE the_firewall_lets_admin_networks_alone_to_admin",
                "RULE forwarding_headers_are_believed_from_the_load_balancer_alone",
                f"{LIVE}admin.py::test_the_allowlist_is_about_the_client_behind_the_trusted_proxy",
                f"{ADMIN}pages.py::test_whoever_is_not_signed_in_sees_the_form_and_nothing_else",
            ),
            "AWS resources: IAM roles, least privilege": (
                "RULE roles_may_do_what_is_listed_and_no_more",
                "RULE roles_name_their_resources",
                "RULE roles_are_taken_by_their_service_in_this_account_alone",
            ),
        },
        "TLS configuration": {
            "Minimum version TLS 1.2": ("RULE only_tls_12_and_up_is_spoken",),
            "Certificate: AWS ACM managed": ("RULE the_certificate_is_from_acm",),
            "HTTPS redirect enabled": ("RULE http_is_sent_on_to_https",),
            "HSTS enabled": (f"{ADMIN}pages.py::test_in_production_the_cookie_is_bound_to_host_and_tls",),
        },
        "Key security": {
            "Access Key: HMAC hash + prefix, prefix only after creation": (
                f"{CORE}access.py::test_an_issued_key_is_stored_as_hash_and_prefix_alone",
                _PREFIX,
            ),
            "Bedrock Key: KMS encrypted, never displayed": (
                f"{LIVE}kms_away.py::test_a_key_under_kms_serves_and_its_secret_is_nowhere",
                f"{LIVE}bedrock_keys_live.py::test_no_secret_of_a_bedrock_key_is_in_the_log",
            ),
            "Admin password: bcrypt hash (prod), never displayed": (
                f"{ECS}deploy.py::test_the_password_is_stored_as_a_hash_that_no_argument_shows",
                f"{CORE}crypto.py::test_a_plain_bcrypt_hash_is_checked_as_it_is",
            ),
            "Server secret: Secrets Manager, never displayed": (
                "RULE secrets_are_in_secrets_manager",
                "RULE the_server_secret_is_never_deleted",
                f"{CORE}settings.py::test_no_secret_is_in_the_repr",
            ),
        },
        "Auto-scaling": {
            "CPU: out > 70% for 3 min, in < 30% for 10 min, 2-10 tasks": (
                "RULE tasks_are_added_above_70_cpu_or_80_memory_for_3_minutes",
                "RULE tasks_are_taken_away_by_one_alarm_below_30_cpu_and_40_memory_for_10_minutes",
                "RULE there_are_two_to_ten_tasks",
            ),
            "Memory: out > 80% for 3 min, in < 40% for 10 min, 2-10 tasks": (
                "RULE tasks_are_added_above_70_cpu_or_80_memory_for_3_minutes",
                "RULE tasks_are_taken_away_by_one_alarm_below_30_cpu_and_40_memory_for_10_minutes",
                "RULE there_are_two_to_ten_tasks",
            ),
        },
        "Database scaling": {
            "Aurora capacity 0.5-4 ACU": ("RULE the_database_scales_from_half_a_unit_to_four",),
            "Auto-pause disabled": ("RULE the_database_never_pauses",),
            "Read replicas 0": ("RULE nothing_reads_from_the_standby",),
        },
        "Limits": {
            "Users 1000, configurable": (
                "RULE limits_are_those_of_the_requirements",
                "RULE limits_of_users_and_keys_are_configurable",
                f"{CORE}access.py::test_there_are_at_most_as_many_users_as_the_limit_says",
            ),
            "Access Keys per user 10, configurable": (
                "RULE limits_are_those_of_the_requirements",
                "RULE limits_of_users_and_keys_are_configurable",
                f"{CORE}access.py::test_a_user_has_at_most_as_many_active_keys_as_the_limit_says",
            ),
            "Requests per minute 1000, auto-scale": ("RULE there_are_two_to_ten_tasks",),
        },
        "Logging": {
            "Application logs: CloudWatch Logs, 30 days": _LINES_30_DAYS,
            "Access logs: CloudWatch Logs, 30 days": _LINES_30_DAYS,
            "Error logs: CloudWatch Logs, 30 days": _LINES_30_DAYS,
            "Log format": (
                f"{CORE}log.py::test_a_line_has_the_shape_that_dashboards_rely_on",
                f"{LIVE}log_lines.py::test_every_line_that_this_file_caused_is_in_shape",
                "RULE queries_use_fields_that_lines_have",
            ),
        },
        "Metrics": {
            "RequestCount, provider, Count": (_METRICS,),
            "RequestLatency, provider, Milliseconds": (_METRICS,),
            "ErrorCount, error_type, Count": (_METRICS,),
            "FallbackCount, -, Count": (_METRICS,),
            "CircuitBreakerState, access_key_id, Count": (_METRICS,),
            "TokensUsed, token_type, Count": (_METRICS,),
        },
        "Alerting": {
            "High Error Rate > 1% over 5 min, Critical": ("RULE more_than_1_percent_of_errors_in_5_minutes_is_critical",),
            "High Latency p95 > 1s over 5 min, Warning": (_ALARM,),
            "Task Unhealthy < 2 healthy tasks, Critical": (_ALARM, "RULE missing_tasks_are_as_bad_as_unhealthy_ones"),
            "Database CPU > 80% over 5 min, Warning": (_ALARM, "RULE alarms_are_of_our_load_balancer_and_database"),
            "Circuit Breaker Open, any key open, Info": (_ALARM,),
        },
        "Data handling": {
            "No PII logging": (
                _SECRECY,
                "RULE the_database_logs_no_statement",
                f"{ADMIN}dashboard_pages.py::test_no_password_and_no_user_name_is_logged",
            ),
            "Key masking": (_PREFIX, "RULE the_load_balancer_is_as_decided", "RULE the_firewall_keeps_no_url"),
            "Request body not stored": (_SECRECY, "RULE the_firewall_reads_no_body_of_developers"),
            "Audit trail: request logs retained 30 days": (
                "RULE limits_are_those_of_the_requirements",
                f"{CORE}retention.py::test_whole_hours_that_are_older_than_thirty_days_go_and_their_sums_stay",
                *_LINES_30_DAYS,
            ),
        },
        "AWS best practices": {
            "Least privilege: IAM roles per service": (
                "RULE tasks_have_both_roles",
                "RULE roles_may_do_what_is_listed_and_no_more",
            ),
            "Encryption: KMS for sensitive data": (
                "RULE the_key_is_ours_and_rotates",
                "RULE the_database_is_encrypted_with_our_key",
                "RULE topics_are_sealed_and_open_to_alarms_of_this_account",
            ),
            "Network isolation: private subnets for ECS": (
                "RULE tasks_and_database_are_in_private_subnets",
                "RULE nothing_gets_a_public_address",
                "RULE groups_form_a_chain",
            ),
            "Secrets management: AWS Secrets Manager": (
                "RULE secrets_are_in_secrets_manager",
                "RULE tasks_may_read_the_four_secrets",
            ),
        },
    }
)

WAITING: MappingProxyType[str, str] = MappingProxyType({})

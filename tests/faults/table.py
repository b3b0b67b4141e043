"""Which tests hold which fault; `test_table.py` sees to it that every row is here, and that its tests exist.

The file is long because the table is.
"""

FAULTS = 77

HEADS = "tests/faults/test_heads.py::"
ROWS = "tests/faults/test_raw_requests.py::"
ANSWERS = "tests/faults/test_answers.py::"
FAILOVER = "tests/middleware/test_failover.py::"
EJECTION = "tests/pods/test_ejection.py::"
EJECTED = "tests/middleware/test_ejection.py::"
KUBERNETES = "tests/pods/kubernetes/test_"
LIMITING = "tests/limiting/test_"
OVERLOAD = "tests/faults/test_overload.py::"
BODIES = "tests/faults/test_bodies.py::"
SECRETS = "tests/faults/test_secrets.py::"
BUFFERED = "tests/faults/test_buffered.py::"
WAITING = "tests/test_waiting.py::"
DRAIN = "tests/e2e/test_drain.py::"
PREFILL = "tests/middleware/test_disaggregation_faults.py::"
TIMERS = "tests/upstream/test_timers.py::"
ATTEMPTS = "tests/faults/test_attempts.py::"
FORMS = HEADS + "test_there_are_so_many_forms"
H11 = ROWS + "test_under_uvicorn_with_h11"

TABLE: dict[int, tuple[str, ...]] = {
    1: (ROWS + "test_f01_both_framings", H11),
    2: (ANSWERS + "test_f02_odd_lengths_of_an_answer", "tests/upstream/test_framing.py::test_a_bad_head"),
    3: (ROWS + "test_f03_odd_codings", ANSWERS + "test_f03_odd_codings_of_an_answer", H11),
    4: (ROWS + "test_f04_odd_lengths", FORMS, H11),
    5: (
        ROWS + "test_f05_odd_chunks",
        ANSWERS + "test_f05_odd_chunks_of_an_answer",
        HEADS + "test_f05_the_version_of_h11_has_a_floor",
        FORMS,
        H11,
    ),
    6: (
        HEADS + "test_f06_nothing_of_one_hop_reaches_the_other_side",
        "tests/test_headers.py::test_f6_hop_by_hop_ends_here",
    ),
    7: (ROWS + "test_f07_odd_targets", FORMS, H11),
    8: (
        HEADS + "test_f08_look_alikes_of_trusted_names_are_dropped",
        "tests/middleware/test_strict_http.py::test_f08_look_alikes_are_dropped_and_the_trusted_value_stays",
    ),
    9: (HEADS + "test_f09_a_reflected_name_splits_no_answer", ROWS + "test_f09_odd_characters"),
    10: (
        HEADS + "test_f10_heads_are_bounded",
        HEADS + "test_f10_a_head_that_never_ends",
        "tests/server/test_bounds.py::test_a_head_may_have_so_many_bytes_and_no_more",
        "tests/server/test_bounds.py::test_a_head_may_have_so_many_fields_and_no_more",
    ),
    11: (
        BODIES + "test_f11_by_its_length_at_once",
        BODIES + "test_f11_by_its_chunks",
        BODIES + "test_f11_no_more_than_a_chunk_beyond_the_limit_is_read",
    ),
    12: (ANSWERS + "test_f12_bytes_after_the_end_go_to_nobody",),
    13: (ANSWERS + "test_f13_what_is_missing_stays_missing",),
    14: (ANSWERS + "test_f14_no_end_is_made_up",),
    15: (
        ANSWERS + "test_f15_a_body_that_must_not_be_is_dropped",
        "tests/upstream/test_answers.py::test_a_body_that_must_not_be_is_dropped",
        "tests/test_endpoints.py::test_head",
    ),
    16: (ANSWERS + "test_f16_a_compressed_answer_passes_as_it_is",),
    17: (
        HEADS + "test_f17_who_is_refused_by_the_head_is_not_invited",
        HEADS + "test_f17_who_is_served_is_invited_first",
        HEADS + "test_f17_a_429_comes_after_the_body_which_names_the_model",
    ),
    18: (
        HEADS + "test_f18_a_request_hidden_in_a_body_is_not_served",
        HEADS + "test_f18_a_request_within_a_body_is_a_body",
    ),
    19: (
        FAILOVER + "test_another_pod_answers",
        "tests/middleware/test_tracing_outcomes.py::test_failover",
        TIMERS + "test_nobody_there",
    ),
    20: (
        FAILOVER + "test_f20_no_pod_answers",
        FAILOVER + "test_f20_the_last_real_answer_is_passed_on",
        FAILOVER + "test_f20_f31_other_answers_are_passed_on_at_once",
    ),
    21: (
        FAILOVER + "test_f21_extra_paths_are_tried_once",
        "tests/middleware/test_model.py::test_f21_nobody_knows_of_other_paths",
    ),
    22: (
        ATTEMPTS + "test_f22_all_pods_fail_under_load",
        "tests/test_retry.py::test_f22_amplification_is_bounded",
        FAILOVER + "test_f22_the_budget_bounds_retries",
    ),
    23: (
        ATTEMPTS + "test_f23_f24_tries_and_time_are_both_limited",
        FAILOVER + "test_f23_the_same_pod_only_if_it_is_the_only_one",
        FAILOVER + "test_f24_timers_run_over_all_attempts",
        PREFILL + "test_the_time_for_all_attempts_runs_out_in_prefill",
    ),
    24: (
        ATTEMPTS + "test_f23_f24_tries_and_time_are_both_limited",
        FAILOVER + "test_f24_timeouts_are_not_repeated",
        FAILOVER + "test_f24_timers_run_over_all_attempts",
        TIMERS + "test_no_head",
    ),
    25: (
        "tests/test_proxy.py::test_f25_a_timer_that_ends_before_the_first_byte",
        "tests/test_proxy_truncation.py::test_f25_an_idle_gap",
        TIMERS + "test_no_head",
        TIMERS + "test_the_gap_between_bytes",
    ),
    26: (
        EJECTION + "test_failures_in_a_row",
        EJECTION + "test_exactly_one_probe",
        EJECTED + "test_what_counts_against_a_pod",
        EJECTED + "test_one_probe_and_what_comes_of_it",
    ),
    27: (EJECTION + "test_failures_in_a_row", EJECTED + "test_what_counts_against_a_pod"),
    28: (EJECTION + "test_at_most_the_share", EJECTED + "test_most_pods_fail"),
    29: (EJECTION + "test_the_wait_doubles_up_to_the_cap", EJECTED + "test_one_probe_and_what_comes_of_it"),
    30: (EJECTION + "test_simultaneous_failures_eject_once", EJECTED + "test_simultaneous_failures"),
    31: (EJECTED + "test_what_never_does", OVERLOAD + "test_f31_a_thousand_client_errors_eject_nobody"),
    32: (
        OVERLOAD + "test_f32_no_pod_is_said_at_once_and_costs_nothing",
        WAITING + "test_f32_without_a_room_nobody_waits",
    ),
    33: (EJECTED + "test_a_new_pod_gets_little_at_first", "tests/pods/test_slow_start.py::test_the_ramp"),
    34: (
        "tests/strategies/test_single.py::test_power_of_two_keeps_the_load_even",
        OVERLOAD + "test_f34_a_slow_pod_gets_less_than_half",
    ),
    35: (
        FAILOVER + "test_f35_a_body_over_the_replay_size_is_tried_once",
        "tests/middleware/test_model.py::test_f35_large_bodies_are_not_repeatable",
    ),
    36: (
        WAITING + "test_f36_who_waits_is_served_by_a_pod_that_turns_ready",
        WAITING + "test_f36_at_the_deadline_it_is_refused",
    ),
    37: (
        "tests/e2e/test_sockets.py::test_f37_the_engine_knows_within_100_ms",
        "tests/e2e/test_sockets.py::test_f37_while_connecting",
        WAITING + "test_f37_a_client_that_leaves_while_it_waits",
        "tests/test_proxy_client_gone.py::test_while_streaming",
    ),
    38: ("tests/test_proxy_client_gone.py::test_f38_nothing_more_is_read_from_the_engine",),
    39: (OVERLOAD + "test_f39_fifty_above_the_cap", "tests/middleware/test_gate.py::test_f39_over_the_cap"),
    40: (
        OVERLOAD + "test_f40_twenty_clients_that_do_not_read",
        "tests/upstream/test_pressure.py::test_twenty_stalled_readers_take_no_memory",
    ),
    41: (
        OVERLOAD + "test_f41_who_is_let_in_is_served_as_ever",
        "tests/test_lag.py::test_f41_a_gateway_sheds_while_it_lags",
        "tests/test_lag.py::test_f41_two_late_samples_in_a_row",
    ),
    42: (
        "tests/faults/test_slow_clients.py::test_f42_who_is_too_slow_is_closed",
        "tests/server/test_bounds.py::test_a_head_must_be_there_in_time",
        "tests/server/test_bounds.py::test_a_body_must_go_on",
    ),
    43: (
        "tests/faults/test_rolling_restart.py::test_f43_two_gateways_restart_in_turn",
        DRAIN + "test_sigterm_lets_everything_finish",
    ),
    44: (DRAIN + "test_a_stream_longer_than_the_grace_is_cut",),
    45: (DRAIN + "test_sigterm_lets_everything_finish",),
    46: (DRAIN + "test_sigterm_while_it_starts",),
    47: (
        KUBERNETES + "gateway.py::test_f47_not_ready_while_streaming",
        KUBERNETES + "gateway.py::test_from_event_to_no_picks",
    ),
    48: (
        KUBERNETES + "discovery.py::test_f48_terminating_pods",
        KUBERNETES + "gateway.py::test_f48_only_terminating_pods_are_left",
    ),
    49: (
        KUBERNETES + "trouble.py::test_f49_the_api_server_is_away",
        KUBERNETES + "gateway.py::test_f49_an_outage_under_load",
    ),
    50: (
        KUBERNETES + "trouble.py::test_f50_the_version_is_gone",
        KUBERNETES + "trouble.py::test_f50_compaction_while_watching",
    ),
    51: (KUBERNETES + "discovery.py::test_f51_an_address_is_used_again",),
    52: (KUBERNETES + "discovery.py::test_f52_the_model_label_changes",),
    53: (KUBERNETES + "discovery.py::test_f53_an_invalid_annotation",),
    54: (LIMITING + "replicas.py::test_exactly_the_limit_in_every_window",),
    55: (
        LIMITING + "limiter_failures.py::test_f55_a_store_that_hangs_adds_50_ms_and_then_nothing",
        LIMITING + "limiter_failures.py::test_the_policy_decides",
        LIMITING + "outage.py::test_under_load",
    ),
    56: (LIMITING + "limiter_failures.py::test_the_breaker_asks_once_every_five_seconds",),
    57: (LIMITING + "redis.py::test_a_restart_loses_the_count_and_no_more", LIMITING + "outage.py::test_under_load"),
    58: (LIMITING + "deployments.py::test_what_the_store_does_not_permit_is_said",),
    59: (LIMITING + "memory.py::test_twice_the_limit_across_a_boundary",),
    60: (
        LIMITING + "replicas.py::test_exactly_the_limit_in_every_window",
        LIMITING + "redis.py::test_windows_are_those_of_the_store",
    ),
    61: (LIMITING + "behaviour.py::test_a_refused_hit_takes_nothing",),
    62: (
        LIMITING + "behaviour.py::test_never_below_zero",
        LIMITING + "behaviour.py::test_another_window_gets_nothing_back",
        LIMITING + "memory.py::test_a_refund_after_the_roll_over_is_lost",
    ),
    63: (LIMITING + "redis.py::test_every_key_is_named_so_that_an_acl_can_and_expires",),
    64: (
        LIMITING + "redis.py::test_ten_thousand_refusals_in_one_window",
        LIMITING + "limiter.py::test_a_full_window_is_not_asked_again",
    ),
    65: (
        LIMITING + "behaviour.py::test_a_limit_that_changes_applies_to_the_same_count",
        "tests/parts/test_counting.py::test_a_limit_of_the_settings_changes_at_once",
    ),
    66: (
        LIMITING + "deployments.py::test_sentinel_fails_over",
        LIMITING + "deployments.py::test_a_cluster",
        LIMITING + "deployments.py::test_tls_password_and_acl",
    ),
    67: (
        "tests/test_proxy_request.py::test_f67_a_client_cannot_name_the_target",
        "tests/test_headers.py::test_f67_what_is_for_the_gateway_does_not_reach_an_engine",
    ),
    68: (
        "tests/middleware/test_request_id.py::test_f68_anything_else_is_replaced",
        "tests/test_headers.py::test_f68_forwarded_headers_are_replaced",
        "tests/middleware/test_tracing.py::test_f68_garbage_starts_a_new_trace",
    ),
    69: (SECRETS + "test_f69_a_prompt_is_in_no_log_no_span_and_no_metric",),
    70: (
        SECRETS + "test_f70_a_key_is_in_no_log_no_span_no_metric_and_no_request",
        SECRETS + "test_f70_hashes_are_compared_in_constant_time",
        "tests/middleware/test_auth.py::test_f70_a_key_is_nowhere_to_be_read",
    ),
    71: (
        "tests/faults/test_tenants.py::test_f71_one_tenant_has_no_hits_on_anothers_prefix",
        "tests/faults/test_tenants.py::test_f71_every_strategy_that_looks_at_prompts_keeps_tenants_apart",
        "tests/faults/test_tenants.py::test_f71_the_engine_gets_a_salt_that_no_client_can_choose",
    ),
    72: (ROWS + "test_f72_hidden_paths", FORMS, "tests/test_refusals.py::test_f72_paths_outside_the_list"),
    73: (
        "tests/e2e/test_disaggregation.py::test_a_prefill_that_dies_closes_the_decode_connection",
        "tests/e2e/test_disaggregation.py::test_a_prefill_that_died_after_it_had_answered",
        PREFILL + "test_a_failed_prefill_and_nobody_else",
        PREFILL + "test_what_reached_an_engine_is_not_given_back",
    ),
    74: (PREFILL + "test_pods_of_different_versions_never_pair", "tests/strategies/test_formation.py::test_pairs"),
    75: ("tests/test_refusals.py::test_every_refusal",),
    76: (
        BUFFERED + "test_f76_what_all_bodies_take_is_bounded",
        BUFFERED + "test_f76_by_its_length_before_it_is_sent",
        "tests/faults/test_large_bodies.py::test_f76_the_process_grows_by_less_than_400_mib",
    ),
    77: ("tests/middleware/test_request_id.py::test_f77_engines_never_see_one_id_twice_at_a_time",),
}

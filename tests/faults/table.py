"""Which tests hold which fault; `test_table.py` sees to it that every row is here, and that its tests exist."""

FAULTS = 77

HEADS = "tests/faults/test_heads.py::"
ROWS = "tests/faults/test_raw_requests.py::"
ANSWERS = "tests/faults/test_answers.py::"
H11 = ROWS + "test_under_uvicorn_with_h11"

TABLE: dict[int, tuple[str, ...]] = {
    1: (ROWS + "test_f01_both_framings", H11),
    2: (ANSWERS + "test_f02_odd_lengths_of_an_answer", "tests/upstream/test_framing.py::test_a_bad_head"),
    3: (ROWS + "test_f03_odd_codings", ANSWERS + "test_f03_odd_codings_of_an_answer", H11),
    4: (ROWS + "test_f04_odd_lengths", H11),
    5: (ROWS + "test_f05_odd_chunks", ANSWERS + "test_f05_odd_chunks_of_an_answer", H11),
    6: (
        HEADS + "test_f06_nothing_of_one_hop_reaches_the_other_side",
        "tests/test_headers.py::test_f6_hop_by_hop_ends_here",
    ),
    7: (ROWS + "test_f07_odd_targets", HEADS + "test_f07_there_are_eight_targets", H11),
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
        "tests/faults/test_bodies.py::test_f11_by_its_length_at_once",
        "tests/faults/test_bodies.py::test_f11_by_its_chunks",
        "tests/faults/test_bodies.py::test_f11_no_more_than_a_chunk_beyond_the_limit_is_read",
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
    ),
    18: (
        HEADS + "test_f18_a_request_hidden_in_a_body_is_not_served",
        HEADS + "test_f18_a_request_within_a_body_is_a_body",
    ),
    42: (
        "tests/faults/test_slow_clients.py::test_f42_who_is_too_slow_is_closed",
        "tests/server/test_bounds.py::test_a_head_must_be_there_in_time",
        "tests/server/test_bounds.py::test_a_body_must_go_on",
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
    69: ("tests/faults/test_secrets.py::test_f69_a_prompt_is_in_no_log_no_span_and_no_metric",),
    70: (
        "tests/faults/test_secrets.py::test_f70_a_key_is_in_no_log_no_span_no_metric_and_no_request",
        "tests/faults/test_secrets.py::test_f70_hashes_are_compared_in_constant_time",
        "tests/middleware/test_auth.py::test_f70_a_key_is_nowhere_to_be_read",
    ),
    71: (
        "tests/faults/test_tenants.py::test_f71_one_tenant_has_no_hits_on_anothers_prefix",
        "tests/faults/test_tenants.py::test_f71_every_strategy_that_looks_at_prompts_keeps_tenants_apart",
        "tests/faults/test_tenants.py::test_f71_the_engine_gets_a_salt_that_no_client_can_choose",
    ),
    72: (ROWS + "test_f72_hidden_paths", "tests/test_refusals.py::test_f72_paths_outside_the_list"),
}

TO_COME = frozenset({*range(19, 42), *range(43, 67), *range(73, 78)})
"""Rows that have no entry yet; whoever adds one takes its number out of here."""

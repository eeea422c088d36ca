//! The contract as clients in another language meet it: `websockets`, the CloudEvents SDK, PyJWT, Django, a real Redis.
//!
//! Each test runs one scenario of `tests/python/` against the real binary. A last test holds the two lists together.
#![cfg(feature = "server")]

use std::{collections::BTreeSet, path::Path, process::Command};

macro_rules! scenarios {
    ($($name:ident)+) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];
        $(#[test]
        fn $name() {
            let output = python(&[stringify!($name)]);
            assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        })+
    };
}

scenarios! {
    a_batch_is_answered_in_order_and_published_whole_or_not_at_all
    a_bad_fresh_token_ends_the_socket
    a_client_that_comes_back_gets_what_it_missed_in_order_and_then_live
    a_client_that_does_not_read_is_closed_and_can_resume_without_loss
    a_display_is_given_its_state_and_its_waiting_actions_once
    a_display_proves_its_key_for_every_ticket
    a_frame_of_exactly_the_limit_is_read
    a_frame_that_is_too_long_is_refused_from_its_declared_length
    a_group_command_reaches_its_members_and_a_joiner_gets_the_groups_state
    a_half_open_handshake_is_dropped_after_its_time
    a_newer_socket_of_a_display_replaces_the_older
    a_position_of_a_lost_history_is_said_to_be_lost
    a_removed_display_is_told_to_stay_away
    a_repeat_whatever_its_mode_or_body_gets_the_first_position
    a_second_resume_is_a_bad_frame
    a_receipt_for_a_command_never_given_settles_nothing
    a_call_to_a_task_that_is_not_allowed_is_refused_and_the_socket_stays
    a_server_that_goes_away_says_come_back
    a_server_without_keys_believes_no_token
    a_socket_ends_with_its_token_and_a_fresh_token_keeps_it_open
    a_ticket_is_good_for_twenty_seconds_and_not_from_the_future
    a_ticket_opens_exactly_one_socket
    a_token_says_what_its_socket_may_hear_and_say
    a_value_that_names_an_enrolled_display_opens_that_displays_socket
    a_wait_ends_with_the_receipt_and_carries_it
    an_operator_token_manages_and_a_display_token_is_that_display
    binary_mode_without_a_content_type_is_json
    every_bad_request_is_a_problem_in_words
    every_malformed_text_frame_is_closed_with_4500_and_a_reason
    every_way_to_show_a_credential_opens_a_socket
    forged_expired_and_misdirected_tokens_get_401_and_nothing_else
    frames_that_no_client_library_sends_end_the_connection
    health_and_metrics_are_open_and_in_their_formats
    leeway_is_at_most_thirty_seconds_to_either_side
    no_credential_two_credentials_or_one_in_the_wrong_place_open_nothing
    nobody_learns_why_a_credential_was_refused
    nothing_comes_before_the_first_frame_and_after_two_seconds_it_does
    only_pages_of_allowed_origins_open_a_socket
    only_the_first_final_receipt_counts
    pieces_and_pings_between_them_are_one_event
    positions_survive_kill_9_of_the_server
    the_cloudevents_sdk_publishes_structured_and_binary_and_reads_what_comes
    the_same_enrollment_code_and_key_get_the_same_answer_and_another_key_none
    the_same_event_published_by_many_at_once_is_one_event
    the_ticket_of_a_django_template_tag_opens_a_socket_once
    tickets_that_the_server_mints_in_redis_have_the_same_shape
    tokens_of_pyjwt_in_four_algorithms_open_a_socket_with_and_without_kid
    two_servers_on_one_redis_never_both_open_with_one_ticket
    what_has_not_the_form_of_a_ticket_never_reaches_redis
    what_is_no_ticket_in_redis_opens_nothing_and_breaks_nothing
    what_only_a_display_says_is_not_allowed_to_a_user
    with_per_message_every_frame_carries_a_token
    with_redis_down_every_ticket_is_refused_quickly_and_with_redis_back_they_open
    with_redis_hung_a_ticket_is_refused_within_its_deadline
    without_an_audience_configured_a_token_that_names_one_is_refused
}

#[test]
fn every_scenario_in_python_is_run_from_here() {
    let output = python(&["--list"]);
    let there = text(&output.stdout);
    let there: BTreeSet<&str> = there.lines().collect();
    assert_eq!(there, NAMES.iter().copied().collect(), "{}", text(&output.stderr));
}

fn python(arguments: &[&str]) -> std::process::Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".venv/bin/python");
    assert!(python.exists(), "the Python clients are not installed: run `make python`");
    Command::new(python)
        .arg(root.join("tests/python/run.py"))
        .args(arguments)
        .env("PIKIOSK_BIN", env!("CARGO_BIN_EXE_pikiosk"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("the interpreter of the venv starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

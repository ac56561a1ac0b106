//! The error table against Java's.

use std::format;

use super::super::error_code::{ErrorCode, ProduceAction};
use super::json;

fn action(code: i16) -> ProduceAction {
    ErrorCode::from(code).produce_action(-1)
}

#[test]
fn names_and_flags_equal_javas() {
    let table = json("errors");
    let table = table.as_array().unwrap();
    assert_eq!(table.len(), 138);
    for entry in table {
        let code = ErrorCode::from(entry["code"].as_i64().unwrap() as i16);
        assert_eq!(code.name(), entry["name"].as_str());
        assert_eq!(code.is_retriable(), entry["retriable"].as_bool().unwrap(), "{code}");
        assert_eq!(code.refreshes_metadata(), entry["invalid_metadata"].as_bool().unwrap(), "{code}");
        assert_eq!(format!("{code}"), format!("{} ({})", entry["name"].as_str().unwrap(), entry["code"]));
    }
}

#[test]
fn unknown_codes_keep_their_number_and_fail() {
    for code in (i16::MIN..-1).chain(137..=i16::MAX) {
        let error = ErrorCode::from(code);
        assert_eq!((error.name(), error.code()), (None, code));
        assert_eq!(error.produce_action(-1), ProduceAction::Fail { fatal: false, definite: false });
        assert!(!error.is_retriable() && !error.refreshes_metadata());
    }
    assert_eq!(format!("{}", ErrorCode::from(999)), "UNKNOWN_CODE (999)");
}

#[test]
fn produce_actions_follow_the_table() {
    assert_eq!(action(0), ProduceAction::Success);
    assert_eq!(action(46), ProduceAction::SuccessWithoutOffset);
    assert_eq!(action(2), ProduceAction::RetryOnce);
    assert_eq!(action(10), ProduceAction::Split);
    assert_eq!(action(45), ProduceAction::Sequence);
    assert_eq!(action(59), ProduceAction::Sequence);
    assert_eq!(action(47), ProduceAction::Epoch);
    for code in [3, 5, 6, 9, 56, 72, 74, 100, 103] {
        assert_eq!(action(code), ProduceAction::Retry { refresh: true, definite: true }, "{code}");
    }
    for code in [14, 19, 51, 75, 89] {
        assert_eq!(action(code), ProduceAction::Retry { refresh: false, definite: true }, "{code}");
    }
    for code in [7, 20] {
        assert_eq!(action(code), ProduceAction::Retry { refresh: false, definite: false }, "{code}");
    }
    assert_eq!(action(13), ProduceAction::Retry { refresh: true, definite: false });
    for code in [31, 35, 49, 53, 90] {
        assert_eq!(action(code), ProduceAction::Fail { fatal: true, definite: true }, "{code}");
    }
    for code in [17, 18, 21, 29, 32, 42, 43, 48, 76, 87, 120] {
        assert_eq!(action(code), ProduceAction::Fail { fatal: false, definite: true }, "{code}");
    }
    for code in [-1, 8, 44, 60] {
        assert_eq!(action(code), ProduceAction::Fail { fatal: false, definite: false }, "{code}");
    }
}

#[test]
fn an_assigned_offset_disproves_a_refusal() {
    for code in -1..=136 {
        let error = ErrorCode::from(code);
        assert!(!error.proves_not_appended(0), "{error}");
        match error.produce_action(17) {
            ProduceAction::Retry { definite, .. } | ProduceAction::Fail { definite, .. } => {
                assert!(!definite)
            }
            _ => {}
        }
    }
}

#[test]
fn exactly_the_retriable_codes_are_retried() {
    for code in -1..=136 {
        let retried = matches!(action(code), ProduceAction::Retry { .. } | ProduceAction::RetryOnce);
        assert_eq!(retried, ErrorCode::from(code).is_retriable(), "{code}");
    }
}

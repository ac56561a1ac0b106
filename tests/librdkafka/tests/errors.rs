//! Answers that refuse.

use klamm::{Delivery, DeliveryErrorKind, ErrorCode, Fate, Producer, Record};
use klamm_librdkafka_tests::{Api, Code, Mock};

/// Sends records `from..to` to partition 0, in batches of a few.
fn send(producer: &Producer, from: usize, to: usize) -> Vec<Delivery> {
    let numbers = from..to;
    numbers
        .map(|number| {
            let value = format!("{number}");
            producer.send(&Record::to("t").partition(0).value(&value)).expect("accepted")
        })
        .collect()
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| number.to_string()).collect()
}

fn assert_delivered(deliveries: Vec<Delivery>, what: &str) {
    for delivery in deliveries {
        delivery.wait().unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

/// Errors after which the same bytes may pass; the mock appends nothing where it is told to refuse.
const RETRIABLE: [Code; 9] = [
    Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    Code::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
    Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
];

/// The log holds these numbers, each once; in order if one batch was under way at a time. With several the mock appends those
/// behind a refused one, where a broker would see by their sequence that they are not their turn.
fn assert_stored(mock: &Mock, in_flight: u8, expected: &[String], what: &str) {
    let [mut found] = <[Vec<String>; 1]>::try_from(mock.values("t", 1)).expect("one partition");
    if in_flight > 1 {
        found.sort_by_key(|number| number.parse::<usize>().expect("a number"));
    }
    assert_eq!(found, expected, "{what}");
}

/// Some of the batches are refused, others not: all arrive, once.
#[test]
fn retriable_refusals_cost_nothing() {
    for (idempotence, in_flight) in [(true, 5), (true, 1), (false, 1)] {
        for code in RETRIABLE {
            let what = format!("{code:?}, idempotence {idempotence}, {in_flight} in flight");
            let mock = Mock::with_topic(1, 1);
            let producer = mock.producer(|builder| {
                let builder = builder.enable_idempotence(idempotence).batch_size(300);
                builder.max_in_flight_requests_per_connection(in_flight)
            });
            assert_delivered(send(&producer, 0, 10), &what);
            mock.refuse(Api::Produce, &[code, Code::RD_KAFKA_RESP_ERR_NO_ERROR, code, code]);
            assert_delivered(send(&producer, 10, 500), &what);
            assert_stored(&mock, in_flight, &numbers(0, 500), &what);
            assert!(producer.stats().records_retried > 0, "{what}: nothing was refused");
        }
    }
}

/// The mock hangs up instead of answering, having appended nothing of that request.
#[test]
fn hang_ups_cost_nothing() {
    let mock = Mock::with_topic(1, 1);
    let producer = mock.producer(|builder| builder.batch_size(300).max_in_flight_requests_per_connection(1));
    assert_delivered(send(&producer, 0, 10), "before");
    for round in 1..5 {
        mock.refuse(Api::Produce, &[Code::RD_KAFKA_RESP_ERR__TRANSPORT]);
        assert_delivered(send(&producer, 100 * round, 100 * round + 100), "after a hang-up");
    }
    let expected = [numbers(0, 10), numbers(100, 500)].concat();
    assert_stored(&mock, 1, &expected, "four hang-ups");
}

/// A broker that forgot the producer, and one that sees a gap where there is none: the producer goes on in another epoch.
#[test]
fn lost_sequences_cost_nothing() {
    for code in [Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, Code::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID] {
        let mock = Mock::with_topic(1, 1);
        let producer = mock.producer(|builder| builder.batch_size(300).max_in_flight_requests_per_connection(1));
        assert_delivered(send(&producer, 0, 10), "before");
        mock.refuse(Api::Produce, &[code]);
        assert_delivered(send(&producer, 10, 200), &format!("{code:?}"));
        assert_eq!(mock.values("t", 1), [numbers(0, 200)], "{code:?}");
    }
}

/// Final refusals are told, with a fate that is true, and hold up nothing behind them.
#[test]
fn final_refusals_are_told() {
    for code in [
        Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        Code::RD_KAFKA_RESP_ERR_INVALID_RECORD,
        Code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
        Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
        Code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
    ] {
        for idempotence in [true, false] {
            let mock = Mock::with_topic(1, 1);
            let producer = mock.producer(|builder| builder.enable_idempotence(idempotence));
            assert_delivered(send(&producer, 0, 10), "before");
            mock.refuse(Api::Produce, &[code]);
            for delivery in send(&producer, 10, 11) {
                let error = delivery.wait().expect_err("refused");
                assert_eq!(error.kind, DeliveryErrorKind::Broker(ErrorCode::from(code as i16)), "{code:?}");
                // POLICY_VIOLATION comes from no broker that appends, but nobody promised so.
                let unknown = code == Code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
                assert_eq!(error.fate, if unknown { Fate::Unknown } else { Fate::NotWritten }, "{code:?}");
            }
            assert_delivered(send(&producer, 11, 30), "after");
            assert_eq!(mock.values("t", 1), [[numbers(0, 10), numbers(11, 30)].concat()], "{code:?}");
        }
    }
}

/// A batch that is too large goes in halves.
#[test]
fn batches_that_are_too_large_are_split() {
    for idempotence in [true, false] {
        let mock = Mock::with_topic(1, 1);
        let producer = mock.producer(|builder| {
            builder.enable_idempotence(idempotence).linger_ms(50).max_in_flight_requests_per_connection(1)
        });
        assert_delivered(send(&producer, 0, 10), "before");
        let too_large = Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        mock.refuse(Api::Produce, &[too_large, too_large]);
        assert_delivered(send(&producer, 10, 200), "halves");
        assert!(producer.stats().batches_split > 0);
        assert_eq!(mock.values("t", 1), [numbers(0, 200)]);
    }
}

/// No producer id at first.
#[test]
fn a_producer_id_is_asked_for_until_there_is_one() {
    for code in [
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Code::RD_KAFKA_RESP_ERR__TRANSPORT,
    ] {
        let mock = Mock::with_topic(1, 1);
        mock.refuse(Api::InitProducerId, &[code, code, code]);
        let producer = mock.producer(|builder| builder);
        assert_delivered(send(&producer, 0, 100), &format!("{code:?}"));
        assert_eq!(mock.values("t", 1), [numbers(0, 100)], "{code:?}");
    }
}

/// Without a right to write idempotently nothing is sent, and the reason is told.
#[test]
fn a_refused_producer_id_is_told() {
    let mock = Mock::with_topic(1, 1);
    let code = Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    mock.refuse(Api::InitProducerId, &[code; 100]);
    let producer = mock.producer(|builder| builder);
    let error = send(&producer, 0, 1).remove(0).wait().expect_err("refused");
    assert_eq!(error.kind, DeliveryErrorKind::Broker(ErrorCode::from(code as i16)));
    assert_eq!(error.fate, Fate::NotWritten);
    assert_stored(&mock, 1, &[], "without an id");
    // A right that was given later is enough.
    mock.cluster.clear_request_errors(Api::InitProducerId);
    assert_delivered(send(&producer, 1, 10), "afterwards");
    assert_stored(&mock, 1, &numbers(1, 10), "afterwards");
}

/// A topic whose metadata has an error, for a while.
#[test]
fn metadata_errors_are_waited_out() {
    for code in [Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART] {
        let mock = Mock::with_topic(1, 1);
        mock.cluster.topic_error("t", code).expect("an error");
        let producer = mock.producer(|builder| builder);
        // Keyless records are taken before the topic is known.
        let deliveries: Vec<Delivery> = (0..10)
            .map(|number| producer.try_send(&Record::to("t").value(&format!("{number}"))).expect("accepted"))
            .collect();
        mock.cluster.topic_error("t", Code::RD_KAFKA_RESP_ERR_NO_ERROR).expect("no error");
        assert_delivered(deliveries, &format!("{code:?}"));
        assert_eq!(mock.values("t", 1), [numbers(0, 10)]);
    }
}

/// A broker that refuses ApiVersions outright, as the mock does for all versions above 2, with an answer that has no layout;
/// here even the second try is lost.
#[test]
fn versions_are_asked_for_again() {
    let mock = Mock::with_topic(1, 1);
    mock.refuse(Api::ApiVersion, &[Code::RD_KAFKA_RESP_ERR__TRANSPORT, Code::RD_KAFKA_RESP_ERR__TRANSPORT]);
    let producer = mock.producer(|builder| builder);
    assert_delivered(send(&producer, 0, 10), "in the end");
    assert_eq!(mock.values("t", 1), [numbers(0, 10)]);
}

//! Every action of the script.

use super::*;

fn one() -> Vec<u8> {
    Sketch::of(1).encode()
}

fn with_fault(actions: &[Action]) -> Client {
    let mut client = Client::new();
    let fault = actions.iter().fold(Fault::on(Api::Produce), |fault, action| fault.then(action.clone()));
    client.cluster.faults().push(fault);
    client
}

#[test]
fn errors_with_and_without_append() {
    let mut client = with_fault(&[
        Action::Error(error::INVALID_RECORD),
        Action::RecordErrors(vec![(0, Some("bad".to_owned()))]),
        Action::Message("why".to_owned()),
    ]);
    let ack = client.produce(9, one());
    assert_eq!((ack.error, ack.record_errors), (error::INVALID_RECORD, vec![0]));
    assert_eq!(client.cluster.record_count("t"), 0);
    assert_eq!(client.produce(9, one()).error, 0);
    let mut client = with_fault(&[Action::AppendThenError(error::REQUEST_TIMED_OUT)]);
    assert_eq!(client.produce(9, one()).error, error::REQUEST_TIMED_OUT);
    assert_eq!(client.cluster.record_count("t"), 1);
    assert_eq!(client.cluster.faults().remaining(), 0);
    assert_eq!(client.cluster.faults().struck(), 1);
}

#[test]
fn faults_are_matched_and_counted() {
    let mut client = Client::new();
    let at = |partition| Fault::on(Api::Produce).topic("t").partition(partition);
    client.cluster.move_leader("t", 1, 1);
    client
        .cluster
        .faults()
        .push(at(0).then(Action::Error(19)))
        .push(at(0).then(Action::Error(7)))
        .push(at(1).skip(1).times(2).then(Action::Error(5)))
        .push(Fault::on(Api::Produce).broker(2).then(Action::Error(1)))
        .push(Fault::on(Api::Produce).versions(3, 8).then(Action::Error(1)))
        .push(Fault::on_any().topic("other").then(Action::Error(1)));
    let parts = [("t", 0, one()), ("t", 1, one())];
    let mut seen = Vec::new();
    for _ in 0..4 {
        let acks = client.produce_many(9, &parts);
        seen.push((acks[0].error, acks[1].error));
    }
    assert_eq!(seen, [(19, 0), (7, 5), (0, 5), (0, 0)]);
    assert_eq!(client.cluster.faults().remaining(), 3);
    client.cluster.faults().clear();
    client.now_ms = 100;
    client.cluster.faults().push(Fault::on_any().from_ms(101).then(Action::Error(1)));
    assert_eq!(client.produce(9, one()).error, 0);
    client.now_ms = 101;
    assert_eq!(client.produce(9, one()).error, 1);
}

#[test]
fn connections_break_at_every_point() {
    for (action, appended) in [(Action::CloseBefore, 0), (Action::CloseAfter, 1)] {
        let mut client = with_fault(&[action]);
        client.produce_frame(9, -1, &[("t", 0, one())]);
        assert_eq!(client.collect(), (Vec::new(), false));
        assert_eq!(client.cluster.record_count("t"), appended);
        assert_eq!(client.cluster.connection_count(), 0);
    }
    let mut client = with_fault(&[Action::CloseAfterBytes(6)]);
    client.produce_frame(9, -1, &[("t", 0, one())]);
    let (out, open) = client.collect();
    assert_eq!((out.len(), open), (6, false));
}

#[test]
fn answers_are_late_or_never_and_keep_their_order() {
    let mut client = with_fault(&[Action::Delay(50)]);
    client.produce_frame(9, -1, &[("t", 0, one())]);
    client.produce_frame(9, -1, &[("t", 0, one())]);
    assert_eq!(client.collect(), (Vec::new(), true));
    // Both were processed; the second waits behind the first.
    assert_eq!(client.cluster.record_count("t"), 2);
    assert_eq!(client.cluster.next_due(), Some(50));
    client.now_ms = 50;
    let (out, _) = client.collect();
    assert_eq!(out[4..8], [0, 0, 0, 1]);
    assert_eq!(out[out.len() / 2 + 4..out.len() / 2 + 8], [0, 0, 0, 2]);
    for (action, appended) in [(Action::NoAnswer, 2), (Action::Ignore, 1)] {
        let mut client = with_fault(&[action]);
        client.produce_frame(9, -1, &[("t", 0, one())]);
        client.produce_frame(9, -1, &[("t", 0, one())]);
        client.now_ms = 1 << 40;
        assert_eq!(client.collect(), (Vec::new(), true));
        assert_eq!(client.cluster.record_count("t"), appended);
        assert_eq!(client.cluster.next_due(), None);
    }
}

#[test]
fn one_request_at_a_time_as_apache_kafka_does() {
    let mut client = with_fault(&[Action::Delay(50)]);
    client.cluster.options_mut().pipelined = false;
    client.produce_frame(9, -1, &[("t", 0, one())]);
    client.produce_frame(9, -1, &[("t", 0, one())]);
    assert_eq!(client.cluster.record_count("t"), 1);
    client.now_ms = client.cluster.next_due().unwrap();
    assert_eq!(client.now_ms, 50);
    let (out, open) = client.collect();
    assert!(open);
    assert_eq!(client.cluster.record_count("t"), 2);
    assert_eq!(out[out.len() / 2 + 4..out.len() / 2 + 8], [0, 0, 0, 2]);
}

#[test]
fn answers_lose_gain_and_shuffle_parts() {
    let parts = [("t", 0, one()), ("u", 0, one())];
    let run = |action: Action| {
        let mut client = Client::new();
        client.cluster.create_topic("u", 1);
        let fault = Fault::on(Api::Produce).topic("t").then(action);
        client.cluster.faults().push(fault);
        let acks = client.produce_many(9, &parts);
        assert_eq!(client.cluster.record_count("t"), 1);
        let names = acks.into_iter().map(|ack| format!("{}{}", ack.topic, ack.partition));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(run(Action::DropPartition), "u0");
    assert_eq!(run(Action::DropTopic), "u0");
    assert_eq!(run(Action::DuplicatePartitions), "t0 t0 u0");
    assert_eq!(run(Action::DuplicateTopic), "t0 t0 u0");
    assert_eq!(run(Action::ReverseTopics), "u0 t0");
    assert_eq!(run(Action::ExtraPartition(7)), "t0 t7 u0");
}

#[test]
fn answers_are_falsified() {
    let mut client = with_fault(&[Action::Garbage(b"xyz".to_vec())]);
    client.produce_frame(9, -1, &[("t", 0, one())]);
    assert_eq!(client.collect(), (b"xyz".to_vec(), true));
    let mut client = with_fault(&[Action::CorrelationId(-5), Action::TrailingBytes(vec![1, 2])]);
    client.produce_frame(9, -1, &[("t", 0, one())]);
    let (out, _) = client.collect();
    assert_eq!(out[4..8], (-5i32).to_be_bytes());
    assert_eq!(out[out.len() - 2..], [1, 2]);
    assert_eq!(u32::from_be_bytes(out[..4].try_into().unwrap()) as usize, out.len() - 4);
    let mut client = with_fault(&[Action::BaseOffset(99), Action::Throttle(7)]);
    assert_eq!(client.produce(9, one()).offset, 99);
}

#[test]
fn leader_hints_are_omitted_or_forced() {
    let mut client = with_fault(&[Action::Error(6), Action::OmitLeaderHint]);
    assert_eq!(client.produce(10, one()).leader, None);
    let mut client = with_fault(&[
        Action::Error(6),
        Action::LeaderHint { leader_id: 9, leader_epoch: 4, endpoint: Some(("elsewhere".to_owned(), 1)) },
    ]);
    client.produce_frame(10, -1, &[("t", 0, one())]);
    let (out, _) = client.collect();
    assert!(out.windows(9).any(|bytes| bytes == b"elsewhere"));
    let mut client = with_fault(&[Action::Error(6)]);
    assert_eq!(client.produce(10, one()).leader, Some((1, 0)));
}

#[test]
fn metadata_lies() {
    let lie = |action: Action| {
        let mut client = Client::new();
        client.cluster.move_leader("t", 0, 3);
        let fault = Fault::on(Api::Metadata).topic("t").then(action);
        client.cluster.faults().push(fault);
        client.metadata(13, "t")
    };
    assert!(lie(Action::DropTopic).topics.is_empty());
    assert!(lie(Action::NoBrokers).brokers.is_empty());
    assert_eq!(lie(Action::OmitBroker(2)).brokers.len(), 2);
    assert_eq!(lie(Action::TopLevelError(129)).error_code, 129);
    let error = lie(Action::Error(5));
    assert_eq!((error.topics[0].error_code, error.topics[0].partitions.len()), (5, 0));
    let leaderless = &lie(Action::Leaderless).topics[0].partitions[2];
    assert_eq!((leaderless.error_code, leaderless.leader_id), (5, -1));
    let stale = &lie(Action::StaleEpoch(1)).topics[0].partitions[0];
    assert_eq!((stale.leader_id, stale.leader_epoch), (3, 0));
    let action = Action::Leader { leader_id: 2, leader_epoch: 8 };
    let wrong = &lie(action).topics[0].partitions[0];
    assert_eq!((wrong.leader_id, wrong.leader_epoch), (2, 8));
    assert_eq!(lie(Action::ReversePartitions).topics[0].partitions[0].partition_index, 2);
    let mut client = Client::new();
    let fault = Fault::on(Api::Metadata).partition(1).then(Action::Error(5));
    client.cluster.faults().push(fault);
    let partitions = &client.metadata(9, "t").topics[0].partitions;
    let errors: Vec<i16> = partitions.iter().map(|p| p.error_code).collect();
    assert_eq!(errors, [0, 5, 0]);
}

#[test]
fn api_versions_is_refused_or_reset() {
    let ask = |client: &mut Client, version: i16| {
        client.send(Api::ApiVersions, version, |w| {
            if version >= 3 {
                w.string("klamm");
                w.string("0.1.0");
            }
            w.tags();
        });
    };
    for max in [Some(2), None] {
        let mut client = Client::new();
        let fault = Fault::on(Api::ApiVersions).versions(3, i16::MAX).always().then(Action::UnsupportedVersion { max });
        client.cluster.faults().push(fault);
        ask(&mut client, 4);
        let body = client.answer(Api::ApiVersions, 0);
        assert_eq!(body[..2], [0, 35]);
        assert_eq!(body.len(), if max.is_some() { 12 } else { 6 });
        ask(&mut client, 2);
        assert_eq!(client.answer(Api::ApiVersions, 2)[..2], [0, 0]);
    }
    let mut client = Client::new();
    let fault = Fault::on(Api::ApiVersions).versions(3, 9).then(Action::CloseBefore);
    client.cluster.faults().push(fault);
    ask(&mut client, 3);
    assert!(!client.collect().1);
}

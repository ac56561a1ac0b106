//! Replication, acks, ISRs.

use super::*;

impl Client {
    /// From now on a connection to this broker.
    pub(super) fn at(&mut self, broker: i32) -> &mut Self {
        self.connection = self.cluster.connect(self.now_ms, broker).unwrap();
        self
    }

    pub(super) fn go_to(&mut self, now_ms: u64) -> &mut Self {
        self.now_ms = now_ms;
        self.cluster.advance(now_ms);
        self
    }

    /// A batch for partition 0 of "t", on its way.
    pub(super) fn offer(&mut self, acks: i16, timeout_ms: i32, batch: &[u8]) -> &mut Self {
        self.send(Api::Produce, 12, |w| {
            w.nullable_string(None);
            w.i16(acks);
            w.i32(timeout_ms);
            w.list(&[()], |w, ()| {
                w.string("t");
                w.list(&[()], |w, ()| {
                    w.i32(0);
                    w.nullable_bytes(Some(batch));
                    w.tags();
                });
                w.tags();
            });
            w.tags();
        });
        self
    }

    pub(super) fn is_silent(&mut self) -> bool {
        self.collect() == (Vec::new(), true)
    }

    /// Code and offset of the answer that is there.
    pub(super) fn told(&mut self) -> (i16, i64) {
        let ack = self.acks(12).remove(0);
        (ack.error, ack.offset)
    }

    pub(super) fn isr(&self) -> Vec<i32> {
        self.cluster.isr("t", 0).unwrap()
    }

    pub(super) fn leader(&self) -> (i32, i32) {
        self.cluster.leader("t", 0).unwrap()
    }

    pub(super) fn committed(&self) -> i64 {
        self.cluster.high_watermark("t", 0).unwrap()
    }
}

pub(super) fn slow(replication: Replication) -> Client {
    Client::with(ClusterOptions { replication, ..ClusterOptions::default() })
}

pub(super) fn fetching(ms: u64) -> Client {
    slow(Replication { fetch_ms: ms..=ms, lag_time_max_ms: 1000, ..Replication::default() })
}

pub(super) fn one() -> Vec<u8> {
    Sketch::of(1).encode()
}

#[test]
fn acks_all_waits_for_the_followers_and_acks_one_does_not() {
    let mut client = fetching(10);
    client.offer(1, 30_000, &one());
    assert_eq!(client.told(), (0, 0));
    assert_eq!((client.committed(), client.cluster.log_of(2, "t", 0).len()), (0, 0));
    client.go_to(100).offer(-1, 30_000, &one());
    assert!(client.is_silent());
    assert_eq!(client.cluster.next_event(), Some(110));
    client.go_to(110);
    assert_eq!(client.told(), (0, 1));
    assert_eq!((client.committed(), client.cluster.log_of(3, "t", 0).len()), (2, 2));
    // The high watermark takes another fetch; then nothing is under way.
    client.go_to(120);
    assert_eq!(client.cluster.next_event(), None);
}

#[test]
fn a_timed_out_append_stays() {
    let mut client = fetching(10);
    client.cluster.cut(2, 1);
    client.cluster.cut(1, 3);
    client.offer(-1, 500, &Sketch::by(1, 7, 0, 0).encode());
    client.go_to(499);
    assert!(client.is_silent());
    client.go_to(500);
    assert_eq!(client.told(), (error::REQUEST_TIMED_OUT, 0));
    let seen = &client.cluster.requests()[0].batches[0];
    assert_eq!((seen.error_code, seen.appended), (error::REQUEST_TIMED_OUT, true));
    // The retry is a duplicate, and waits for the replicas like the first attempt.
    client.offer(-1, 30_000, &Sketch::by(1, 7, 0, 0).encode());
    assert!(client.is_silent());
    client.cluster.mend_all(600);
    client.go_to(610);
    assert_eq!(client.told(), (0, 0));
    assert_eq!((client.cluster.record_count("t"), client.committed()), (1, 1));
}

#[test]
fn the_isr_shrinks_and_expands() {
    let mut client = fetching(10);
    client.cluster.cut(2, 1);
    client.offer(-1, 30_000, &one());
    client.go_to(1000);
    assert!(client.is_silent());
    assert_eq!(client.isr(), [1, 2, 3]);
    client.go_to(1001);
    assert_eq!(client.told(), (0, 0));
    assert_eq!(client.isr(), [1, 3]);
    assert_eq!(client.metadata(12, "t").topics[0].partitions[0].isr_nodes, [1, 3]);
    client.cluster.mend(2000, 2, 1);
    client.go_to(2010);
    assert_eq!(client.isr(), [1, 2, 3]);
    let news = client.cluster.take_news().join("\n");
    assert!(news.contains("t-0: ISR [1, 2, 3] -> [1, 3]\n") && news.contains("t-0: ISR [1, 3] -> [1, 2, 3]"));
}

#[test]
fn too_few_replicas_before_and_after_the_append() {
    let mut client = fetching(10);
    client.cluster.options_mut().min_insync_replicas = 3;
    client.cluster.cut(2, 1);
    client.offer(-1, 30_000, &one()).go_to(1001);
    assert_eq!(client.told(), (error::NOT_ENOUGH_REPLICAS_AFTER_APPEND, 0));
    assert_eq!(client.cluster.record_count("t"), 1);
    client.offer(-1, 30_000, &one());
    assert_eq!(client.told(), (error::NOT_ENOUGH_REPLICAS, -1));
    client.offer(1, 30_000, &one());
    assert_eq!(client.told(), (0, 1));
}

#[test]
fn without_a_controller_the_isr_stays() {
    let mut client = fetching(10);
    client.cluster.stop_controller();
    client.cluster.kill(3);
    client.offer(-1, 3000, &one()).go_to(2999);
    assert!(client.is_silent());
    assert_eq!(client.isr(), [1, 2, 3]);
    client.go_to(3000);
    assert_eq!(client.told(), (error::REQUEST_TIMED_OUT, 0));
    client.offer(-1, 3000, &one());
    client.cluster.create_topic("later", 1);
    assert_eq!(client.cluster.partition_count("later"), 0);
    client.cluster.start_controller(3100);
    client.go_to(3100);
    assert_eq!(client.told(), (0, 1));
    assert_eq!((client.isr(), client.cluster.partition_count("later")), (vec![1, 2], 1));
}

#[test]
fn answers_wait_behind_each_other() {
    for pipelined in [true, false] {
        let mut client = fetching(10);
        client.cluster.options_mut().pipelined = pipelined;
        client.offer(-1, 30_000, &one()).offer(1, 30_000, &one());
        assert!(client.is_silent());
        assert_eq!(client.cluster.record_count("t"), if pipelined { 2 } else { 1 });
        client.go_to(10);
        let (out, _) = client.collect();
        assert_eq!(out[4..8], [0, 0, 0, 1]);
        let second = out.len() / 2;
        assert_eq!(out[second + 4..second + 8], [0, 0, 0, 2]);
        assert_eq!(client.cluster.record_count("t"), 2);
    }
}

#[test]
fn leadership_is_lost_while_requests_wait() {
    let mut client = fetching(100);
    client.offer(-1, 30_000, &one());
    client.cluster.move_leader("t", 0, 2);
    let ack = client.acks(12).remove(0);
    assert_eq!((ack.error, ack.leader), (error::NOT_LEADER_OR_FOLLOWER, Some((2, 1))));
    // It was here alone, and is gone when the old leader follows the new one.
    assert_eq!(client.cluster.log_of(1, "t", 0).len(), 1);
    client.go_to(100);
    assert_eq!((client.cluster.record_count("t"), client.cluster.log_of(1, "t", 0).len()), (0, 0));
    client.at(2).offer(-1, 30_000, &one());
    client.cluster.delete_topic("t");
    assert_eq!(client.told().0, error::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn an_answer_that_waited_suffers_its_fault_too() {
    let mut client = fetching(10);
    let fault = Fault::on(Api::Produce).then(Action::Delay(5)).then(Action::CloseAfterBytes(6));
    client.cluster.faults().push(fault);
    client.offer(-1, 30_000, &one()).go_to(14);
    assert!(client.is_silent());
    let (out, open) = client.go_to(15).collect();
    assert_eq!((out.len(), open), (6, false));
}

#[test]
fn followers_know_the_producers() {
    let mut client = Client::new();
    let batch = Sketch::by(2, 7, 0, 0);
    assert_eq!(client.outcome(&batch), (0, 0));
    client.cluster.kill(1);
    assert_eq!(client.at(2).outcome(&batch), (0, 0));
    assert_eq!(client.outcome(&Sketch::by(1, 7, 0, 5)).0, error::OUT_OF_ORDER_SEQUENCE_NUMBER);
    // A restart builds the state from the log.
    client.cluster.forget_producers("t", 0);
    client.cluster.kill(2);
    client.cluster.restart(0, 2);
    client.cluster.move_leader("t", 0, 2);
    assert_eq!(client.at(2).outcome(&batch), (0, 0));
    assert_eq!(client.cluster.record_count("t"), 2);
}

/// What is left of a log that took another way ends in the middle of one of the leader's batches.
#[test]
fn a_follower_with_nothing_left_begins_with_a_whole_batch() {
    let mut client = fetching(10);
    client.offer(1, 30_000, &Sketch::by(2, 7, 0, 0).encode());
    assert_eq!(client.told(), (0, 0));
    client.cluster.kill(1);
    let next = client.at(2);
    next.offer(1, 30_000, &Sketch::by(1, 8, 0, 0).encode()).offer(1, 30_000, &Sketch::by(2, 8, 0, 1).encode());
    assert_eq!(next.cluster.log_of(2, "t", 0).len(), 3);
    next.cluster.delete_records("t", 0, 2);
    next.cluster.restart(100, 1);
    next.go_to(200);
    assert_eq!(next.isr(), [1, 2, 3]);
    for broker in 1..=3 {
        let offsets: Vec<i64> = next.cluster.log_of(broker, "t", 0).iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [2], "broker {broker}");
    }
    next.cluster.move_leader("t", 0, 1);
    next.at(1).offer(1, 30_000, &Sketch::by(1, 8, 0, 3).encode());
    assert_eq!(next.told(), (0, 3));
}

/// Retention deletes records, and no producers: a broker has those of its snapshots when it starts.
#[test]
fn producers_of_deleted_records_are_known_after_a_restart() {
    let mut client = Client::new();
    let batches = [0, 2, 4].map(|sequence| Sketch::by(2, 7, 0, sequence));
    for (index, batch) in batches.iter().enumerate() {
        assert_eq!(client.outcome(batch), (0, 2 * index as i64));
    }
    client.cluster.delete_records("t", 0, 4);
    for deleted_to in [4, 6] {
        client.cluster.delete_records("t", 0, deleted_to);
        client.cluster.kill(2);
        client.cluster.restart(0, 2);
        client.cluster.move_leader("t", 0, 2);
        assert_eq!(client.at(2).outcome(&batches[0]), (0, 0));
        assert_eq!(client.outcome(&batches[2]), (0, 4));
        client.cluster.move_leader("t", 0, 1);
    }
    // What is cut off again is forgotten.
    client.cluster.truncate("t", 0, 2);
    assert_eq!(client.at(1).outcome(&batches[1]), (0, 2));
}

#[test]
fn sequences_that_are_forgotten_for_good_stay_so_in_a_restart() {
    let mut client = Client::new();
    let batch = Sketch::by(1, 7, 0, 0);
    assert_eq!(client.outcome(&batch), (0, 0));
    client.cluster.forget_sequences("t", 0);
    client.cluster.kill(2);
    client.cluster.restart(0, 2);
    client.cluster.move_leader("t", 0, 2);
    assert_eq!(client.at(2).outcome(&batch), (0, 1));
    // What comes after counts.
    assert_eq!(client.outcome(&batch), (0, 1));
}

/// A broker that was away truncates to what it had, and learns from the leader what does not count.
#[test]
fn sequences_that_are_forgotten_for_good_stay_so_where_they_were_missed() {
    let mut client = Client::new();
    let batch = Sketch::by(1, 7, 0, 0);
    client.cluster.kill(2);
    assert_eq!(client.outcome(&batch), (0, 0));
    client.cluster.forget_sequences("t", 0);
    client.cluster.restart(0, 2);
    client.cluster.move_leader("t", 0, 2);
    assert_eq!(client.at(2).outcome(&batch), (0, 1));
    assert_eq!(client.outcome(&batch), (0, 1));
}

#[test]
fn idle_producers_are_forgotten() {
    let options = ClusterOptions { producer_id_expiration_ms: Some(1000), ..ClusterOptions::default() };
    let mut client = Client::with(options);
    assert_eq!(client.outcome(&Sketch::by(1, 7, 3, 0)), (0, 0));
    client.go_to(1000);
    assert_eq!(client.outcome(&Sketch::by(1, 7, 3, 9)).0, error::OUT_OF_ORDER_SEQUENCE_NUMBER);
    client.go_to(1001);
    assert_eq!(client.outcome(&Sketch::by(1, 7, 2, 9)), (0, 1));
    assert_eq!(client.outcome(&Sketch::by(1, 7, 2, 10)), (0, 2));
    assert_eq!(client.cluster.log_of(3, "t", 0).len(), 3);
}

#[test]
fn consumers_see_what_is_committed() {
    let mut client = fetching(10);
    client.offer(1, 30_000, &one());
    client.told();
    let offset = |client: &mut Client| {
        client.send(Api::ListOffsets, 2, |w| {
            w.i32(-1);
            w.i8(0);
            w.list(&[()], |w, ()| {
                w.string("t");
                w.list(&[()], |w, ()| {
                    w.i32(0);
                    w.i64(-1);
                });
            });
        });
        let body = client.answer(Api::ListOffsets, 2);
        i64::from_be_bytes(body[body.len() - 8..].try_into().unwrap())
    };
    assert_eq!(offset(&mut client), 0);
    client.go_to(10);
    assert_eq!(offset(&mut client), 1);
}

//! Leaders move, brokers go down and come back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use klamm::{Delivery, Producer, Record};
use klamm_librdkafka_tests::{Mock, PATIENCE};

const PARTITIONS: i32 = 4;

/// Sends numbers to all partitions in turn until told to stop; all must be delivered. How many there were.
fn stream(producer: &Producer, stop: &AtomicBool, acked: &AtomicUsize) -> usize {
    let mut sent = 0;
    let mut deliveries: Vec<Delivery> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..100 {
            let partition = i32::try_from(sent % PARTITIONS as usize).expect("few");
            let value = format!("{sent}");
            deliveries.push(producer.send(&Record::to("t").partition(partition).value(&value)).expect("accepted"));
            sent += 1;
        }
        // Some are always under way, and the mock keeps no more than five megabytes of each partition.
        if let Some(delivery) = deliveries.get(deliveries.len().saturating_sub(300)) {
            delivery.wait_timeout(PATIENCE).expect("in time").expect("delivered");
            acked.store(sent.saturating_sub(300), Ordering::Relaxed);
        }
    }
    producer.flush();
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
    sent
}

fn wait_for(acked: &AtomicUsize, more: usize) {
    let from = acked.load(Ordering::Relaxed);
    let started = Instant::now();
    while acked.load(Ordering::Relaxed) < from + more {
        assert!(started.elapsed() < PATIENCE, "nothing moves");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs a stream while `disturb` does its work; `go_on` waits until more records are delivered.
fn disturbed(producer: &Producer, disturb: impl FnOnce(&dyn Fn(usize))) -> usize {
    let (stop, acked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| stream(producer, &stop, &acked));
        disturb(&|more| wait_for(&acked, more));
        stop.store(true, Ordering::Relaxed);
        stream.join().expect("every record is delivered")
    })
}

fn expected(sent: usize) -> Vec<Vec<String>> {
    let step = PARTITIONS as usize;
    (0..step).map(|partition| (partition..sent).step_by(step).map(|number| number.to_string()).collect()).collect()
}

/// The mock refuses what goes to the former leader, and from Produce v10 on names the new one. With one request under way at a
/// time everything stays in order; with several only a broker would keep it, which looks at sequences.
#[test]
fn leaders_move_under_a_stream() {
    for in_flight in [1, 5] {
        let mock = Mock::with_topic(3, PARTITIONS);
        let producer =
            mock.producer(|builder| builder.batch_size(500).max_in_flight_requests_per_connection(in_flight));
        let sent = disturbed(&producer, |go_on| {
            for round in 0..12 {
                go_on(200);
                for partition in 0..PARTITIONS {
                    let leader = 1 + (partition + round) % 3;
                    mock.cluster.partition_leader("t", partition, Some(leader)).expect("a leader");
                }
            }
            go_on(500);
        });
        let mut found = mock.values("t", PARTITIONS);
        if in_flight > 1 {
            found.iter_mut().for_each(|values| values.sort_by_key(|value| value.parse::<usize>().expect("a number")));
        }
        assert_eq!(found, expected(sent), "{in_flight} in flight");
        assert!(producer.stats().records_retried > 0, "no leader was missed");
    }
}

/// A partition without a leader waits for one; the others do not wait for it.
#[test]
fn a_partition_without_a_leader_waits() {
    let mock = Mock::with_topic(2, PARTITIONS);
    mock.cluster.partition_leader("t", 1, None).expect("no leader");
    let producer = mock.producer(|builder| builder);
    assert_eq!(producer.partition_count("t").expect("known"), PARTITIONS as u32);
    let deliveries: Vec<Delivery> = (0..40)
        .map(|number| {
            let value = format!("{number}");
            producer.send(&Record::to("t").partition(number % PARTITIONS).value(&value)).expect("accepted")
        })
        .collect();
    for (delivery, number) in deliveries.iter().zip(0..40) {
        if number % PARTITIONS != 1 {
            delivery.wait_timeout(PATIENCE).expect("in time").expect("delivered");
        }
    }
    assert!(deliveries.iter().skip(1).step_by(4).all(|delivery| delivery.try_get().is_none()));
    mock.cluster.partition_leader("t", 1, Some(2)).expect("a leader");
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
    assert_eq!(mock.values("t", PARTITIONS), expected(40));
}

/// A broker is away when records for it come; they wait for its return, as long as `delivery.timeout.ms` allows.
#[test]
fn records_wait_for_a_broker_that_is_down() {
    let mock = Mock::with_topic(2, PARTITIONS);
    let producer = mock.producer(|builder| builder);
    let send = |from: usize, to: usize| -> Vec<Delivery> {
        (from..to)
            .map(|number| {
                let value = format!("{number}");
                let partition = i32::try_from(number % PARTITIONS as usize).expect("few");
                producer.send(&Record::to("t").partition(partition).value(&value)).expect("accepted")
            })
            .collect()
    };
    for delivery in send(0, 40) {
        delivery.wait().expect("delivered");
    }
    // One, the other, both.
    for (round, broker) in (1..).zip([1, 2, -1]) {
        mock.cluster.broker_down(broker).expect("down");
        let deliveries = send(40 * round, 40 * round + 40);
        // Long enough to fail to connect a few times, of which nothing tells.
        std::thread::sleep(Duration::from_millis(150));
        mock.cluster.broker_up(broker).expect("up");
        for delivery in deliveries {
            delivery.wait().expect("delivered");
        }
    }
    assert_eq!(mock.values("t", PARTITIONS), expected(160));
}

/// Brokers that go down with requests under way: the mock may have appended what it did not answer, and, unlike a broker, does
/// not know it again. So records may be there twice, but none is missing, and the first of each are in order.
#[test]
fn brokers_go_down_under_a_stream() {
    let mock = Mock::with_topic(3, PARTITIONS);
    let producer = mock.producer(|builder| builder.batch_size(500));
    let sent = disturbed(&producer, |go_on| {
        for round in 0..6 {
            go_on(200);
            let broker = 1 + round % 3;
            mock.cluster.broker_down(broker).expect("down");
            std::thread::sleep(Duration::from_millis(30));
            mock.cluster.broker_up(broker).expect("up");
        }
        go_on(500);
    });
    for (found, expected) in mock.values("t", PARTITIONS).into_iter().zip(expected(sent)) {
        let mut seen = std::collections::BTreeSet::new();
        let firsts: Vec<String> = found.into_iter().filter(|value| seen.insert(value.clone())).collect();
        assert_eq!(firsts, expected);
    }
}

/// A long way to the broker: five requests are under way on it, and stay in order.
#[test]
fn a_long_round_trip_keeps_order() {
    let mock = Mock::with_topic(1, 2);
    mock.cluster.broker_round_trip_time(-1, Duration::from_millis(80)).expect("a round trip time");
    let producer = mock.producer(|builder| builder.batch_size(200));
    let deliveries: Vec<Delivery> = (0..600)
        .map(|number| {
            let value = format!("{number}");
            producer.send(&Record::to("t").partition(number % 2).value(&value)).expect("accepted")
        })
        .collect();
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
    let expected: Vec<Vec<String>> =
        (0..2).map(|partition| (partition..600).step_by(2).map(|number: i32| number.to_string()).collect()).collect();
    assert_eq!(mock.values("t", 2), expected);
}

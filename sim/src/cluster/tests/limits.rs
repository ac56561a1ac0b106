//! Slow disks and quotas.

use super::replicas::one;
use super::*;

#[test]
fn a_slow_disk_takes_one_batch_after_the_other() {
    let mut client = Client::with(ClusterOptions { disk_ms: 50..=50, ..ClusterOptions::default() });
    client.offer(1, 30_000, &one()).offer(-1, 30_000, &one());
    client.go_to(49);
    assert!(client.is_silent());
    assert_eq!(client.cluster.next_due(), Some(50));
    client.go_to(50);
    assert_eq!(client.collect().0[4..8], [0, 0, 0, 1]);
    // Followers get a batch when the leader has it.
    assert_eq!((client.committed(), client.cluster.log_of(2, "t", 0).len()), (0, 0));
    client.go_to(100);
    assert_eq!(client.told(), (0, 1));
    assert_eq!((client.committed(), client.cluster.log_of(2, "t", 0).len()), (2, 2));
    client.cluster.set_disk(1, 0..=0);
    client.offer(-1, 30_000, &one());
    assert_eq!(client.told(), (0, 2));
    assert_eq!(client.cluster.next_event(), None);
}

#[test]
fn a_disk_that_is_mended_has_no_queue() {
    let mut client = Client::with(ClusterOptions { disk_ms: 50..=50, ..ClusterOptions::default() });
    for _ in 0..100 {
        client.offer(1, 30_000, &one());
    }
    client.cluster.set_disk(1, 0..=0);
    let mut another = client.to(1);
    another.offer(1, 30_000, &one());
    assert_eq!(another.told(), (0, 100));
}

#[test]
fn who_sends_too_much_is_throttled() {
    let throttle = |out: &[u8]| i32::from_be_bytes(out[out.len() - 5..out.len() - 1].try_into().unwrap());
    let batch = Sketch::of(200).encode();
    let mut client = Client::with(ClusterOptions { producer_byte_rate: Some(1000), ..ClusterOptions::default() });
    // Some 3000 bytes at 1000 per second, one second's worth of which is free.
    client.offer(1, 30_000, &batch);
    let (out, _) = client.collect();
    let wait_ms = throttle(&out);
    assert!((1000..3000).contains(&wait_ms), "{wait_ms}");
    // The connection is not read meanwhile.
    client.offer(1, 30_000, &one());
    assert!(client.is_silent());
    assert_eq!(client.cluster.record_count("t"), 200);
    assert_eq!(client.cluster.next_due(), Some(wait_ms as u64));
    client.go_to(wait_ms as u64);
    assert_eq!(client.told(), (0, 200));
    assert!(!client.is_silent() || client.cluster.next_due().is_none());
    // A broker that answers an old client holds the answer back.
    let mut client = Client::with(ClusterOptions { producer_byte_rate: Some(1000), ..ClusterOptions::default() });
    client.produce_frame(5, 1, &[("t", 0, batch)]);
    assert!(client.is_silent());
    let due_ms = client.cluster.next_due().unwrap();
    assert!((1000..3000).contains(&due_ms), "{due_ms}");
    client.go_to(due_ms);
    assert_eq!(client.acks(5)[0].error, 0);
}

//! Threads and sockets are gone when `close` returns, and a thread with nothing to do does nothing. One
//! test alone in its process, since it counts threads.
#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use common::{PATIENCE, cluster, producer, threads};
use klamm::Record;
use klamm_sim::tcp::TcpCluster;
use klamm_sim::{Action, Api, Fault};

/// Open descriptors whose target contains `what`.
fn descriptors(what: &str) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("procfs").flatten();
    files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.to_string_lossy().contains(what))).count()
}

#[test]
fn nothing_is_left_behind() {
    let ours = || threads().into_iter().filter(|name| name.starts_with("klamm-")).count();
    let cluster = cluster(2, 4);
    let warm = producer(&cluster);
    warm.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    assert!(threads().contains(&"klamm-io".to_owned()));
    warm.close(PATIENCE).unwrap();
    drop(warm);
    common::eventually("the cluster's ends are closed", || cluster.with(|cluster| cluster.connection_count()) == 0);
    std::thread::sleep(Duration::from_millis(100));
    let before = descriptors("socket");
    for round in 0..20 {
        let producer = producer(&cluster);
        for n in 0..10 {
            drop(producer.send(&Record::to("t").key(&[n])).unwrap());
        }
        if round % 2 == 0 {
            producer.close(PATIENCE).unwrap();
        } else {
            producer.close_now();
        }
        // The kernel forgets a joined thread a moment later.
        common::eventually("the thread is gone", || ours() == 0);
    }
    common::eventually("the cluster's ends are closed", || cluster.with(|cluster| cluster.connection_count()) == 0);
    // Our pollers are gone; the cluster keeps the sockets of its last connections.
    assert_eq!((descriptors("eventpoll"), descriptors("eventfd")), (0, 0));
    assert!(descriptors("socket") < before + 10, "{} sockets, {before} before", descriptors("socket"));
    idle_producers_are_idle(&cluster);
}

/// CPU time of all I/O threads.
fn io_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs").flatten().map(|task| task.path());
    let ours =
        tasks.filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "klamm-io"));
    let nanos = ours.filter_map(|task| {
        std::fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn idle_producers_are_idle(cluster: &TcpCluster) {
    // What was begun may still be under way on a busy machine; but it ends.
    let idle = |what: &str| {
        let spent: Vec<Duration> = (0..10)
            .map(|_| {
                let before = io_time();
                std::thread::sleep(Duration::from_millis(500));
                io_time() - before
            })
            .take_while(|spent| *spent >= Duration::from_millis(25))
            .collect();
        assert!(spent.len() < 10, "{what}: {spent:?}, each in half a second");
    };
    let connected = producer(cluster);
    connected.send(&Record::to("t").value("v")).unwrap().wait().unwrap();
    idle("connected");
    cluster.with(|cluster| _ = cluster.faults().push(Fault::on(Api::Produce).always().then(Action::NoAnswer)));
    let value = [0; 10_000];
    while connected.try_send(&Record::to("t").value(&value)).is_ok() {}
    idle("a full buffer and no answer");
    connected.close_now();
    let refused = common::builder(&common::closed_port().to_string()).build().unwrap();
    drop(refused.try_send(&Record::to("t").value("v")).unwrap());
    idle("nobody to connect to");
    refused.close_now();
}

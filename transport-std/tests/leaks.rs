//! Threads and sockets are gone when `close` returns. Alone in its process, since it counts threads.
#![cfg(target_os = "linux")]

mod common;

use common::{PATIENCE, cluster, producer, threads};
use klamm::Record;

fn sockets() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("procfs");
    files.filter(|file| file.as_ref().is_ok_and(|file| std::fs::read_link(file.path()).is_ok())).count()
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
    std::thread::sleep(std::time::Duration::from_millis(100));
    let before = sockets();
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
    common::eventually("no descriptor is left", || sockets() <= before);
}

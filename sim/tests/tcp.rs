//! The cluster behind sockets, driven with frames that Apache Kafka's Java classes wrote, and read back by the reader.

use klamm_sim::reader::{count_topic, read_topic};
use klamm_sim::tcp::TcpCluster;
use klamm_sim::{Action, Api, ClusterOptions, Fault, VersionSet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn vector(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/data");
    let text = std::fs::read_to_string(folder.join(format!("{name}.hex"))).unwrap();
    let text = text.trim();
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn single(versions: VersionSet) -> TcpCluster {
    let cluster = TcpCluster::start(ClusterOptions { brokers: 1, versions, ..ClusterOptions::default() }).unwrap();
    cluster.with(|cluster| cluster.create_topic("events", 2));
    cluster
}

fn connect(cluster: &TcpCluster, broker: i32) -> TcpStream {
    let stream = TcpStream::connect(cluster.address(broker).unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn answer(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut frame = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

#[test]
fn a_produced_topic_is_read_back_from_every_release() {
    let releases = [
        (VersionSet::kafka_2_1(), "produce_req_v7"),
        (VersionSet::kafka_2_4(), "produce_req_v8"),
        (VersionSet::kafka_2_8(), "produce_req_v9"),
        (VersionSet::kafka_3_3(), "produce_req_v9"),
        (VersionSet::kafka_3_9(), "produce_req_v11"),
        (VersionSet::kafka_4_0(), "produce_req_v12"),
        (VersionSet::kafka_4_3(), "produce_req_v12"),
    ];
    for (versions, frame) in releases {
        let cluster = single(versions);
        let mut stream = connect(&cluster, 1);
        stream.write_all(&vector(frame)).unwrap();
        assert_eq!(answer(&mut stream).unwrap()[..4], [0, 0, 0, 7]);
        let records = read_topic(&cluster.bootstrap_servers(), "events").unwrap();
        let places: Vec<_> = records.iter().map(|r| (r.partition, r.offset)).collect();
        assert_eq!(places, [(0, 0), (1, 0), (1, 1), (1, 2)]);
        assert_eq!(records[3].key.as_deref(), Some(&b"k3"[..]));
        assert_eq!(records[3].timestamp, 1_700_000_000_002);
        assert_eq!(count_topic(&cluster.bootstrap_servers(), "events").unwrap(), 4);
    }
}

#[test]
fn a_missing_topic_is_an_error() {
    let cluster = single(VersionSet::default());
    cluster.with(|cluster| cluster.create_topic("empty", 1));
    let bootstrap = cluster.bootstrap_servers();
    assert_eq!(read_topic(&bootstrap, "empty").unwrap(), []);
    let error = read_topic(&bootstrap, "not/a/topic").unwrap_err();
    assert!(error.to_string().contains("INVALID_TOPIC_EXCEPTION"), "{error}");
}

#[test]
fn the_reader_survives_leader_moves_and_cut_answers() {
    let cluster = TcpCluster::start(ClusterOptions::default()).unwrap();
    cluster.with(|cluster| {
        cluster.create_topic("events", 2);
        cluster.move_leader("events", 1, 1);
    });
    let mut stream = connect(&cluster, 1);
    stream.write_all(&vector("produce_req_v9")).unwrap();
    answer(&mut stream).unwrap();
    cluster.with(|cluster| {
        cluster.move_leader("events", 1, 3);
        let faults = cluster.faults();
        faults.push(Fault::on(Api::ListOffsets).then(Action::Error(6)));
        faults.push(Fault::on(Api::Fetch).then(Action::CloseAfterBytes(30)));
    });
    let bootstrap = cluster.bootstrap_servers();
    assert_eq!(read_topic(&bootstrap, "events").unwrap().len(), 4);
    assert_eq!(cluster.with(|cluster| cluster.faults().remaining()), 0);
}

#[test]
fn a_killed_broker_refuses_and_comes_back_on_its_port() {
    let cluster = TcpCluster::start(ClusterOptions::default()).unwrap();
    cluster.with(|cluster| cluster.create_topic("events", 3));
    let mut stream = connect(&cluster, 2);
    let address = cluster.address(2).unwrap();
    cluster.kill(2);
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(n) => assert_eq!(n, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(cluster.with(|cluster| cluster.leader("events", 1)), Some((3, 1)));
    cluster.restart(2).unwrap();
    assert_eq!(cluster.address(2), Some(address));
    let mut stream = connect(&cluster, 2);
    stream.write_all(&vector("apiversions_req_v3")).unwrap();
    assert_eq!(answer(&mut stream).unwrap()[4..6], [0, 0]);
}

#[test]
fn delayed_answers_come_in_time() {
    let cluster = single(VersionSet::default());
    cluster.with(|cluster| {
        let fault = Fault::on(Api::ApiVersions).then(Action::Delay(60));
        cluster.faults().push(fault);
    });
    let mut stream = connect(&cluster, 1);
    let start = Instant::now();
    stream.write_all(&vector("apiversions_req_v0")).unwrap();
    answer(&mut stream).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(59));
    // A connection that breaks after an answer still delivers it.
    cluster.with(|cluster| {
        let fault = Fault::on(Api::ApiVersions).then(Action::CloseAfterBytes(8));
        cluster.faults().push(fault);
    });
    stream.write_all(&vector("apiversions_req_v0")).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 8);
}

#[test]
fn many_clients_at_once() {
    let cluster = single(VersionSet::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut stream = connect(&cluster, 1);
                let frame = vector("produce_req_v3");
                for _ in 0..50 {
                    stream.write_all(&frame).unwrap();
                }
                for _ in 0..50 {
                    assert_eq!(answer(&mut stream).unwrap()[..4], [0, 0, 0, 7]);
                }
            });
        }
    });
    // Of the idempotent batch in partition 1 all but the first are duplicates.
    assert_eq!(cluster.with(|cluster| cluster.record_count("events")), 200 + 3);
}

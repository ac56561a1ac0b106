//! The scenarios. Values have 100 bytes, batches 16 KiB.

use crate::measured;
use crate::world::{Setup, World};
use klamm_core::record::crc32c::{nibble, slice16};
use klamm_core::{Crc32c, Record};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

/// What can be counted.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Runs it with so many records or iterations.
    pub(crate) run: fn(u64),
}

const VALUE: &[u8] = &[b'v'; 100];
const KEY: &[u8] = b"k042";

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "append", run: |count| stage(count, Stage::Send, &Record::value(VALUE)) },
    Scenario { name: "append_keyed", run: |count| stage(count, Stage::Send, &Record::keyed(KEY, VALUE)) },
    Scenario { name: "seal", run: |count| stage(count, Stage::Transmit, &Record::value(VALUE)) },
    Scenario { name: "response", run: |count| stage(count, Stage::Respond, &Record::value(VALUE)) },
    Scenario { name: "whole_path_hw", run: |count| whole_path(count, crc32c::crc32c_append, 4096) },
    Scenario { name: "whole_path_nocrc", run: |count| whole_path(count, no_crc, 4096) },
    Scenario { name: "whole_path_slice16", run: |count| whole_path(count, slice16, 4096) },
    Scenario { name: "whole_path_256B_nibble", run: |count| whole_path(count, nibble, 256) },
    Scenario { name: "idle_poll_1", run: |count| idle_poll(count, 1) },
    Scenario { name: "idle_poll_10000", run: |count| idle_poll(count, 10_000) },
];

fn world(crc32c: Crc32c, block_size: usize) -> World {
    World::new(&Setup { crc32c, block_size, partitions: 1, buffer_memory: 1 << 20 })
}

/// Costs nothing, but for the warm-up, where the broker checks it.
fn no_crc(crc: u32, bytes: &[u8]) -> u32 {
    if IS_WARM.load(Ordering::Relaxed) { 0 } else { crc32c::crc32c_append(crc, bytes) }
}

static IS_WARM: AtomicBool = AtomicBool::new(false);

/// The parts of a record's way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `send`.
    Send,
    /// Draining, sealing, framing and giving out the bytes.
    Transmit,
    /// The answer, and the outcome told.
    Respond,
}

/// Sends all records, and counts only one stage of their way.
fn stage(count: u64, counted: Stage, record: &Record<'_>) {
    let mut world = world(crc32c::crc32c_append, 4096);
    let record = black_box(record);
    let mut left = count;
    while left > 0 {
        left -= match counted {
            Stage::Send => measured(|| world.send(record, left)),
            _ => world.send(record, left),
        };
        if left == 0 {
            world.producer.flush(world.now);
        }
        loop {
            let written = match counted {
                Stage::Transmit => measured(|| world.transmit()),
                _ => world.transmit(),
            };
            let Some(conn) = written else { break };
            match counted {
                Stage::Respond => measured(|| world.respond(conn)),
                _ => world.respond(conn),
            }
        }
    }
    assert_eq!(world.delivered, count);
}

/// Sends all records and counts everything.
fn whole_path(count: u64, crc32c: Crc32c, block_size: usize) {
    let mut world = world(crc32c, block_size);
    IS_WARM.store(true, Ordering::Relaxed);
    let record = black_box(Record::value(VALUE));
    let mut left = count;
    measured(|| {
        while left > 0 {
            left -= world.send(&record, left);
            if left == 0 {
                world.producer.flush(world.now);
            }
            while let Some(conn) = world.transmit() {
                world.respond(conn);
            }
        }
    });
    assert_eq!(world.delivered, count);
}

/// Polls a producer whose partitions all have a record that lingers.
fn idle_poll(count: u64, partitions: u32) {
    let setup = Setup { crc32c: crc32c::crc32c_append, block_size: 256, partitions, buffer_memory: 16 << 20 };
    let mut world = World::new(&setup);
    for partition in 0..partitions {
        let record = Record::value(b"waits").to_partition(partition as i32);
        world.producer.send(world.now, world.topic, &record).expect("there is room");
    }
    while let Some(conn) = world.transmit() {
        world.respond(conn);
    }
    assert_eq!(world.producer.outstanding_batches(), partitions);
    while world.producer.poll_event().is_some() {}
    measured(|| {
        for _ in 0..count {
            let (now, producer) = (world.now, black_box(&mut world.producer));
            producer.handle_timeout(now);
            assert!(producer.poll_action().is_none());
            assert!(producer.poll_writable().is_none());
            assert!(producer.poll_event().is_none());
            assert!(producer.poll_timeout().is_some_and(|deadline| deadline.at > now));
        }
    });
}

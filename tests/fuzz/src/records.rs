//! Records of any shape through the core's batches and every codec, into the cluster's log and back.

use klamm_core::{Acks, Config};
use klamm_sim::world::Content;

use crate::input::Input;
use crate::rig::Rig;
use crate::{setup, shapes};

/// What was accepted is in the log, in order and unchanged.
pub fn records(data: &[u8]) {
    let mut input = Input::new(data);
    let (memory, codec, sizes) = (input.u8(), input.u8(), input.u8());
    let mut config = Config::new("broker.sim:9092");
    config.crc32c = crc32c::crc32c_append;
    config.compression = setup::compression(codec & 7);
    config.lz4_in_place = codec & 8 == 0;
    config.acks = Acks::All;
    config.batch_size = [16_384, 0, 200, 1000, 4000, 60_000, 500, 2000][usize::from(sizes & 7)];
    config.linger_ms = u32::from(sizes >> 3 & 1) * 1000;
    let mut limits = setup::limits(1 + memory % 4);
    limits.buffer_memory = 64 << 10;
    let Some(mut rig) = Rig::new(config, &limits, setup::cluster((codec & 0xe0) | 4)) else { return };
    rig.cluster.options_mut().max_message_bytes = if sizes & 16 == 0 { 1 << 20 } else { 700 };
    rig.cluster.create_topic("a", 1);
    if sizes & 32 == 0 {
        let now = rig.now();
        rig.stir().set_wall_clock(now, 1_700_000_000_000);
    }
    let Ok(topic) = rig.stir().topic("a") else { return };
    let mut sent: Vec<(Content, Option<i64>)> = Vec::new();
    while !input.is_empty() && sent.len() < 300 {
        let times = if sizes & 64 == 0 { 1 } else { 1 + input.below(40) };
        shapes::record(&mut input, |record| {
            let record = klamm_core::Record { partition: record.partition.map(|_| 0), ..*record };
            for _ in 0..times {
                let accepted = rig.send(topic, &record);
                if accepted.is_ok_and(|accepted| accepted.id.index > 1_000_000) {
                    unreachable!("more records than were sent");
                }
                if accepted.is_ok() {
                    sent.push((Content::from(&record), record.timestamp));
                }
            }
        });
    }
    for _ in 0..40 {
        while rig.round() {}
        if rig.books.all_settled() {
            break;
        }
        rig.pass_to_deadline();
    }
    assert!(
        rig.books.all_settled(),
        "records that nothing hinders are not delivered: {:?}, next {:?} at {}, {:?}",
        rig.books,
        rig.producer.poll_timeout(),
        rig.now_us,
        rig.producer.stats()
    );
    if rig.books.failed == 0 {
        let log = rig.cluster.log("a", 0);
        assert_eq!(log.len(), sent.len());
        for ((content, timestamp), stored) in sent.iter().zip(&log) {
            assert_eq!(*content, Content::from(stored));
            assert!(
                timestamp.is_none_or(|timestamp| timestamp == stored.timestamp),
                "{timestamp:?} {}",
                stored.timestamp
            );
        }
    } else {
        assert!(sizes & 16 != 0, "failed, and the cluster takes everything");
    }
    rig.finish(None);
}

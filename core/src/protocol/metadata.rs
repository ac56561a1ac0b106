//! Metadata (3), versions 7 to 13: brokers, topics, partitions and their leaders.
//!
//! A request may list thousands of topics and is streamed through a small scratch, so it comes in parts, each with
//! its size: `prefix`, then `topic` for each, then `suffix`. The sum of the sizes is the body.

use super::program::{IGNORED, Op, array, bool, end, int16, int32, link, skip_int32s, tags, text, uuid};
use super::write::{Writer, count_size, text_size};
use super::{ApiKey, NO_UUID};

/// What a sink hears of a response.
pub(crate) mod field {
    /// `int`: throttle time in ms.
    pub(crate) const THROTTLE: u8 = 1;
    /// `array`, elements: a broker.
    pub(crate) const BROKER: u8 = 2;
    /// `int`: the broker's id.
    pub(crate) const BROKER_ID: u8 = 3;
    /// `text`: its host name.
    pub(crate) const BROKER_HOST: u8 = 4;
    /// `int`: its port.
    pub(crate) const BROKER_PORT: u8 = 5;
    /// `array`, elements: a topic.
    pub(crate) const TOPIC: u8 = 6;
    /// `int`: the topic's error code.
    pub(crate) const TOPIC_ERROR: u8 = 7;
    /// `text`: its name (null only when asked for by id).
    pub(crate) const TOPIC_NAME: u8 = 8;
    /// `uuid`: its id (v10+); sixteen zeros mean none.
    pub(crate) const TOPIC_ID: u8 = 9;
    /// `array`, elements: a partition, in no particular order.
    pub(crate) const PARTITION: u8 = 10;
    /// `int`: the partition's error code; 5 says that it has no leader now.
    pub(crate) const PARTITION_ERROR: u8 = 11;
    /// `int`: its index.
    pub(crate) const PARTITION_INDEX: u8 = 12;
    /// `int`: its leader's broker id, −1 for none.
    pub(crate) const PARTITION_LEADER: u8 = 13;
    /// `int`: the leader's epoch, −1 if unknown.
    pub(crate) const PARTITION_LEADER_EPOCH: u8 = 14;
    /// `int`: error code of the whole response (v13+, KIP-1102); 129 asks for a rebootstrap. Comes last.
    pub(crate) const ERROR: u8 = 15;
}

/// The response, all versions.
#[rustfmt::skip] // indented as the structures nest
pub(crate) const RESPONSE: &[Op] = &link([
    tags(), end(), // header
    int32(field::THROTTLE),
    array(field::BROKER),
        int32(field::BROKER_ID),
        text(field::BROKER_HOST),
        int32(field::BROKER_PORT),
        text(IGNORED), // rack
        tags(), end(),
    end(),
    text(IGNORED), // cluster id
    int32(IGNORED), // controller
    array(field::TOPIC),
        int16(field::TOPIC_ERROR),
        text(field::TOPIC_NAME),
        uuid(field::TOPIC_ID).since(10), // KIP-516
        bool(IGNORED), // internal
        array(field::PARTITION),
            int16(field::PARTITION_ERROR),
            int32(field::PARTITION_INDEX),
            int32(field::PARTITION_LEADER),
            int32(field::PARTITION_LEADER_EPOCH), // v7, KIP-320: our least version
            skip_int32s(), // replicas
            skip_int32s(), // in-sync replicas
            skip_int32s(), // offline replicas
            tags(), end(),
        end(),
        int32(IGNORED).since(8), // authorized operations, KIP-430
        tags(), end(),
    end(),
    int32(IGNORED).since(8).until(10), // authorized operations of the cluster; moved elsewhere by KIP-700
    int16(field::ERROR).since(13),
    tags(), end(),
]);

fn flexible(version: i16) -> bool {
    version >= ApiKey::Metadata.first_flexible()
}

/// Size of [`write_prefix`].
pub(crate) fn prefix_size(version: i16, topics: u32) -> usize {
    count_size(flexible(version), topics)
}

/// The request up to its first topic. No topics ask for brokers only: all topics (null) is never what a producer wants.
pub(crate) fn write_prefix(w: &mut Writer<'_>, version: i16, topics: u32) {
    w.count(flexible(version), topics);
}

/// Size of [`write_topic`].
pub(crate) fn topic_size(version: i16, name_len: usize) -> usize {
    let id = if version >= 10 { NO_UUID.len() } else { 0 };
    text_size(flexible(version), name_len).wrapping_add(id).wrapping_add(usize::from(flexible(version)))
}

/// One topic of the request, by name: ids are refused in v10 and v11 (KAFKA-13543), and names serve in all.
pub(crate) fn write_topic(w: &mut Writer<'_>, version: i16, name: &str) {
    // v10, KIP-516: an id precedes the name.
    if version >= 10 {
        w.raw(&NO_UUID);
    }
    w.text(flexible(version), Some(name));
    w.no_tags(flexible(version));
}

/// Size of [`write_suffix`].
pub(crate) fn suffix_size(version: i16) -> usize {
    match version {
        ..=7 => 1,
        8 => 3,
        9 | 10 => 4,
        _ => 3,
    }
}

/// The request after its last topic.
pub(crate) fn write_suffix(w: &mut Writer<'_>, version: i16, allow_auto_topic_creation: bool) {
    w.bool(allow_auto_topic_creation);
    // v8–10, KIP-430: authorized operations of the cluster; v11 took it out again (KIP-700).
    if (8..=10).contains(&version) {
        w.bool(false);
    }
    // v8, KIP-430: authorized operations of the topics.
    if version >= 8 {
        w.bool(false);
    }
    w.no_tags(flexible(version));
}

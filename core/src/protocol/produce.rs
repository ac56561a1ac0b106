//! Produce (0), versions 7 to 13.
//!
//! A request is scattered over the batches it carries: the connection's scratch holds its header and [`write_prefix`], a
//! topic slot its name or id, and each batch's headroom a [`partition_frame`], right-aligned against the batch.
//! What closes partition, topic and body are zero bytes (empty tag buffers, KIP-482), and in v7 and v8 nothing:
//!
//! ```text
//! v9+: prefix, topic, [count index length] batch, [0 index length] batch, 0 0, topic, [count index length] batch, 0 0 0
//! v7:  prefix, topic, [count index length] batch, [  index length] batch,      topic, [count index length] batch
//!                     First                       Next                  close_topic                           close_body
//! ```

use super::ApiKey;
use super::program::{IGNORED, Op, array, end, int16, int32, int64, link, tag, tags, text, uuid};
#[cfg(test)]
use super::varint::uvarint_len;
use super::write::{Writer, count_size, text_size, write_right_aligned};

/// What a sink hears of a response. Topics and partitions come in any order, and a topic may come twice.
pub(crate) mod field {
    /// `array`, elements: a topic.
    pub(crate) const TOPIC: u8 = 1;
    /// `text`: its name (up to v12).
    pub(crate) const TOPIC_NAME: u8 = 2;
    /// `uuid`: its id (v13+).
    pub(crate) const TOPIC_ID: u8 = 3;
    /// `array`, elements: a partition. All that is known of it was told when its element ends.
    pub(crate) const PARTITION: u8 = 4;
    /// `int`: its index.
    pub(crate) const PARTITION_INDEX: u8 = 5;
    /// `int`: error code.
    pub(crate) const ERROR: u8 = 6;
    /// `int`: offset of the batch's first record; −1 if none was assigned.
    pub(crate) const BASE_OFFSET: u8 = 7;
    /// `int`: timestamp that the broker gave the records, −1 if they keep theirs.
    pub(crate) const LOG_APPEND_TIME: u8 = 8;
    /// `int`: first offset of the partition, −1 if not told.
    pub(crate) const LOG_START_OFFSET: u8 = 9;
    /// `array`, elements: a record that made the broker refuse the batch (v8+, KIP-467).
    pub(crate) const RECORD_ERROR: u8 = 10;
    /// `int`: the record's index in the batch.
    pub(crate) const RECORD_INDEX: u8 = 11;
    /// `text`: what is wrong with it, may be null.
    pub(crate) const RECORD_MESSAGE: u8 = 12;
    /// `text`: what is wrong with the batch, may be null (v8+).
    pub(crate) const ERROR_MESSAGE: u8 = 13;
    /// One element: the partition's new leader, with error 6 (v10+, KIP-951).
    pub(crate) const CURRENT_LEADER: u8 = 14;
    /// `int`: its broker id.
    pub(crate) const LEADER_ID: u8 = 15;
    /// `int`: its epoch.
    pub(crate) const LEADER_EPOCH: u8 = 16;
    /// `int`: throttle time in ms. After all topics.
    pub(crate) const THROTTLE: u8 = 17;
    /// One element: addresses of new leaders (v10+, KIP-951). After all topics.
    pub(crate) const NODE_ENDPOINTS: u8 = 18;
    /// `array`, elements: one of them.
    pub(crate) const NODE: u8 = 19;
    /// `int`: its broker id.
    pub(crate) const NODE_ID: u8 = 20;
    /// `text`: its host.
    pub(crate) const NODE_HOST: u8 = 21;
    /// `int`: its port.
    pub(crate) const NODE_PORT: u8 = 22;
}

/// The response, all versions.
#[rustfmt::skip] // indented as the structures nest
pub(crate) const RESPONSE: &[Op] = &link([
    tags(), end(), // header
    array(field::TOPIC),
        text(field::TOPIC_NAME).until(12),
        uuid(field::TOPIC_ID).since(13), // KIP-516
        array(field::PARTITION),
            int32(field::PARTITION_INDEX),
            int16(field::ERROR),
            int64(field::BASE_OFFSET),
            int64(field::LOG_APPEND_TIME),
            int64(field::LOG_START_OFFSET), // v5: our least version is 7
            array(field::RECORD_ERROR).since(8), // KIP-467
                int32(field::RECORD_INDEX),
                text(field::RECORD_MESSAGE),
                tags(), end(),
            end(),
            text(field::ERROR_MESSAGE).since(8),
            tags(),
                tag(0, field::CURRENT_LEADER).since(10), // KIP-951
                    int32(field::LEADER_ID),
                    int32(field::LEADER_EPOCH),
                    tags(), end(),
                end(),
            end(),
        end(),
        tags(), end(),
    end(),
    int32(field::THROTTLE),
    tags(),
        tag(0, field::NODE_ENDPOINTS).since(10), // KIP-951
            array(field::NODE),
                int32(field::NODE_ID),
                text(field::NODE_HOST),
                int32(field::NODE_PORT),
                text(IGNORED), // rack
                tags(), end(),
            end(),
        end(),
    end(),
]);

fn flexible(version: i16) -> bool {
    version >= ApiKey::Produce.first_flexible()
}

/// Size of [`write_prefix`].
pub(crate) fn prefix_size(version: i16, transactional_id: Option<&str>, topics: u32) -> usize {
    let flexible = flexible(version);
    let id = match (transactional_id, flexible) {
        (Some(id), _) => text_size(flexible, id.len()),
        (None, true) => 1,
        (None, false) => 2,
    };
    id.wrapping_add(2 + 4).wrapping_add(count_size(flexible, topics))
}

/// The body up to its first topic.
pub(crate) fn write_prefix(
    w: &mut Writer<'_>,
    version: i16,
    transactional_id: Option<&str>,
    acks: i16,
    timeout_ms: i32,
    topics: u32,
) {
    let flexible = flexible(version);
    w.text(flexible, transactional_id);
    w.i16(acks);
    w.i32(timeout_ms);
    w.count(flexible, topics);
}

/// Size of what names a topic.
pub(crate) fn topic_size(version: i16, name_len: usize) -> usize {
    if version >= 13 { 16 } else { text_size(flexible(version), name_len) }
}

#[cfg(test)]
/// What names a topic: its name, or its id from v13 on (KIP-516), where a topic of unknown id cannot be named at all.
pub(crate) fn write_topic(w: &mut Writer<'_>, version: i16, name: &str, id: &[u8; 16]) {
    if version >= 13 {
        w.raw(id);
    } else {
        w.text(flexible(version), Some(name));
    }
}

/// What stands before a batch, besides its partition and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The topic's number of partitions: the batch is its first.
    First {
        /// How many of the topic's partitions the request carries.
        partitions: u32,
    },
    /// What closes the previous partition of the topic.
    Next,
}

/// The most that [`partition_frame`] writes.
pub(crate) const MAX_PARTITION_FRAME: usize = 5 + 4 + 5;

#[cfg(test)]
/// Size of [`partition_frame`].
pub(crate) fn partition_frame_size(version: i16, opening: Opening, records_len: u32) -> usize {
    let flexible = flexible(version);
    let opening = match opening {
        Opening::First { partitions } => count_size(flexible, partitions),
        Opening::Next => usize::from(flexible),
    };
    let length = if flexible { uvarint_len(records_len.wrapping_add(1)) } else { 4 };
    opening.wrapping_add(4).wrapping_add(length)
}

/// Writes what stands before a batch of `records_len` bytes so that it ends where `out` ends; returns where it begins.
/// `None` if it does not fit: [`MAX_PARTITION_FRAME`] bytes always do.
pub(crate) fn partition_frame(
    version: i16,
    opening: Opening,
    index: i32,
    records_len: u32,
    out: &mut [u8],
) -> Option<usize> {
    let flexible = flexible(version);
    let mut bytes = [0; MAX_PARTITION_FRAME];
    let mut w = Writer::new(&mut bytes);
    match opening {
        Opening::First { partitions } => w.count(flexible, partitions),
        Opening::Next => w.no_tags(flexible),
    }
    w.i32(index);
    w.count(flexible, records_len);
    let len = w.finish()?;
    let end = out.len();
    write_right_aligned(out, end, bytes.get(..len)?)
}

/// What stands between a topic's last batch and the next topic: the partition's and the topic's tags.
pub(crate) fn close_topic(version: i16) -> &'static [u8] {
    if flexible(version) { &[0, 0] } else { &[] }
}

/// What stands after the last batch: the tags of the partition, the topic and the body.
pub(crate) fn close_body(version: i16) -> &'static [u8] {
    if flexible(version) { &[0, 0, 0] } else { &[] }
}

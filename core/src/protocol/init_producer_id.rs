//! InitProducerId (22), versions 1 to 5: the identity under which batches are numbered (KIP-98, KIP-360).

use super::program::{Op, end, int16, int32, int64, link, tags};
use super::write::Writer;
use super::{ApiKey, error_code::ErrorCode};

/// What a sink hears of a response.
pub(crate) mod field {
    /// `int`: throttle time in ms.
    pub(crate) const THROTTLE: u8 = 1;
    /// `int`: error code.
    pub(crate) const ERROR: u8 = 2;
    /// `int`: producer id.
    pub(crate) const PRODUCER_ID: u8 = 3;
    /// `int`: producer epoch.
    pub(crate) const PRODUCER_EPOCH: u8 = 4;
}

/// The response, all versions.
pub(crate) const RESPONSE: &[Op] = &link([
    tags(),
    end(), // header
    int32(field::THROTTLE),
    int16(field::ERROR),
    int64(field::PRODUCER_ID),
    int16(field::PRODUCER_EPOCH),
    tags(),
    end(),
]);

/// What Java sends as the transaction timeout when there is no transaction; the broker does not look at it.
pub(crate) const NO_TIMEOUT: i32 = i32::MAX;

/// The request's body. `producer` is the id and epoch in use, to ask for the next epoch; (−1, −1) the first time.
pub(crate) fn write_request(
    w: &mut Writer<'_>,
    version: i16,
    transactional_id: Option<&str>,
    timeout_ms: i32,
    producer: (i64, i16),
) {
    let flexible = version >= ApiKey::InitProducerId.first_flexible();
    w.text(flexible, transactional_id);
    w.i32(timeout_ms);
    // v3, KIP-360: a producer may bump the epoch of the id it has.
    if version >= 3 {
        w.i64(producer.0);
        w.i16(producer.1);
    }
    w.no_tags(flexible);
}

/// Whether asking again, later or elsewhere, may succeed: retriable errors, plus 31 which leaves the producer
/// uninitialised but alive (PRODUCER k.2; KAFKA-13668 made an ACL repaired later enough). All else is fatal.
pub(crate) fn may_ask_again(code: ErrorCode) -> bool {
    code.is_retriable() || code == ErrorCode::CLUSTER_AUTHORIZATION_FAILED
}

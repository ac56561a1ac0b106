//! ApiVersions (18), versions 0 to 4: what a broker speaks. The first request on every connection.

use super::program::{Op, array, end, int16, int32, link, tags, version_error};
use super::write::Writer;

/// What a sink hears of a response.
pub(crate) mod field {
    /// `int`: error code; 35 means "ask again with a version from the range of key 18, if one is listed, else 0".
    pub(crate) const ERROR: u8 = 1;
    /// `array`, elements: one API.
    pub(crate) const API: u8 = 2;
    /// `int`: the API's key.
    pub(crate) const API_KEY: u8 = 3;
    /// `int`: least version the broker speaks.
    pub(crate) const API_MIN: u8 = 4;
    /// `int`: greatest version the broker speaks.
    pub(crate) const API_MAX: u8 = 5;
    /// `int`: throttle time in ms (v1+; never told after error 35).
    pub(crate) const THROTTLE: u8 = 6;
}

/// The response, all versions. It has no header tags: its header is always version 0, since the client cannot know in
/// which version it will be (KIP-511). Features (tags 0–2, KIP-584) are passed over.
#[rustfmt::skip] // indented as the structures nest
pub(crate) const RESPONSE: &[Op] = &link([
    version_error(field::ERROR),
    array(field::API),
        int16(field::API_KEY),
        int16(field::API_MIN),
        int16(field::API_MAX),
        tags(), end(),
    end(),
    int32(field::THROTTLE).since(1),
    tags(), end(),
]);

/// Who we say we are (KIP-511); brokers refuse other characters than `[a-zA-Z0-9.-]`.
const SOFTWARE_NAME: &str = "klamm";

/// The version of it.
const SOFTWARE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The request's body.
pub(crate) fn write_request(w: &mut Writer<'_>, version: i16) {
    write_request_as(w, version, SOFTWARE_NAME, SOFTWARE_VERSION);
}

/// The request's body with another name.
pub(crate) fn write_request_as(w: &mut Writer<'_>, version: i16, name: &str, software_version: &str) {
    // v0–2 have no fields.
    if version >= 3 {
        w.compact_string(name);
        w.compact_string(software_version);
        w.no_tags(true);
    }
}

//! Longer reading: coming from another client, and what each error means.

#[doc = include_str!("../guide/from-java.md")]
pub mod from_java {}

#[doc = include_str!("../guide/from-rdkafka.md")]
pub mod from_rdkafka {}

#[doc = include_str!("../guide/errors.md")]
pub mod errors {}

//! The suites against librdkafka.

mod cluster;
mod errors;
mod partitioners;
mod records;

//! Settings: a typed builder, and Kafka's property names on top of it.

mod builder;
mod names;
mod properties;

pub use builder::Builder;
pub(crate) use builder::OnProblem;

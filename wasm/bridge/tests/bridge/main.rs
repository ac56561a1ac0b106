//! The bridge as its clients, its targets and its operator see it.

mod bytes;
mod common;
mod hostile;
mod limits;
mod node;
mod operation;
mod program;
mod refusals;
mod tls;

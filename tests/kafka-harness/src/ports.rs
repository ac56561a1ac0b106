//! Free loopback ports.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex};

use crate::error::{Error, Result};

/// Below the ranges that systems hand out to outgoing connections (from 32768 on Linux, 49152 elsewhere). A port from
/// such a range may be taken by any client while its broker is down; a client that keeps reconnecting to a dead
/// broker can even be given the very port it connects to, and then talks to itself.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// What this process gave away already: a port is only bound some time after it was chosen.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// Chooses a port on which nothing listens. Random, so that processes running at the same time seldom collide.
pub fn free_port() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for _ in 0..1000 {
        let random = RandomState::new().build_hasher().finish();
        let port = RANGE.start + (random % u64::from(RANGE.end - RANGE.start)) as u16;
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    Err(Error::new("no free port on 127.0.0.1"))
}

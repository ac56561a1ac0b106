//! How many of something an address has at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts per client address; IPv6 clients are counted by their /64, as each of them has all its addresses.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    limit: usize,
}

/// One slot; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    key: IpAddr,
}

impl Slots {
    pub(crate) fn new(limit: usize) -> Self {
        Self { taken: Arc::default(), limit }
    }

    /// `None` if the address has all it may have.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Slot> {
        let key = key(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Slot { slots: self.clone(), key })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_and_given_back() {
        let slots = Slots::new(2);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = slots.take(ip("10.0.0.1")).unwrap();
        let _second = slots.take(ip("::ffff:10.0.0.1")).unwrap();
        assert!(slots.take(ip("10.0.0.1")).is_none());
        assert!(slots.take(ip("10.0.0.2")).is_some());
        drop(first);
        assert!(slots.take(ip("10.0.0.1")).is_some());
        let _a = slots.take(ip("2001:db8::1")).unwrap();
        let _b = slots.take(ip("2001:db8::ffff:1")).unwrap();
        assert!(slots.take(ip("2001:db8::2")).is_none());
        assert!(slots.take(ip("2001:db8:0:1::2")).is_some());
        drop((_second, _a, _b));
        assert!(slots.taken.lock().unwrap().is_empty());
    }
}

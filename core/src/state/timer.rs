//! Timers of connections, brokers and a few single purposes: an indexed binary heap.
//!
//! Batches have no timers here: they are kept in deadline order by lists (see [`crate::accumulator`]).

use crate::Instant;
use crate::state::slots::Slots;

/// One timer, and at the same time one cell of the heap: cell `k` holds the heap's `k`-th entry
/// (`at`, `owner`) and the heap position of owner `k`.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub(crate) struct TimerCell {
    at: Instant,
    owner: u16,
    position: u16,
}

/// Owner is not in the heap.
const ABSENT: u16 = u16::MAX;

impl TimerCell {
    pub(crate) const fn new() -> Self {
        Self { at: Instant::ZERO, owner: 0, position: ABSENT }
    }

    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self { at: Instant::ZERO, owner: 0, position: 0 };
}

impl Default for TimerCell {
    fn default() -> Self {
        Self::new()
    }
}

/// The timers, earliest first.
#[derive(Debug)]
pub(crate) struct Timers<'a> {
    cells: Slots<'a, TimerCell>,
    len: u16,
}

impl<'a> Timers<'a> {
    pub(crate) fn new(mut cells: Slots<'a, TimerCell>) -> Self {
        // The storage may have served another producer before.
        for cell in 0..cells.len() {
            *cells.at_mut(cell) = TimerCell::new();
        }
        Self { cells, len: 0 }
    }

    /// The earliest timer and its owner.
    pub(crate) fn peek(&self) -> Option<(Instant, u16)> {
        let cell = self.cells.at(0);
        (self.len > 0).then_some((cell.at, cell.owner))
    }

    /// When `owner`'s timer fires.
    #[cfg(all(test, feature = "alloc"))]
    pub(crate) fn get(&self, owner: u16) -> Option<Instant> {
        let position = self.position(owner);
        (position != ABSENT).then(|| self.cells.at(position.into()).at)
    }

    /// Sets, moves or (with [`Instant::NEVER`]) clears `owner`'s timer.
    pub(crate) fn set(&mut self, owner: u16, at: Instant) {
        if at == Instant::NEVER {
            return self.clear(owner);
        }
        let mut position = self.position(owner);
        if position == ABSENT {
            if u32::from(self.len) >= self.cells.len() {
                debug_assert!(false, "more timers than owners");
                return;
            }
            position = self.len;
            self.len = self.len.wrapping_add(1);
        } else if self.cells.at(position.into()).at == at {
            return;
        }
        self.put(position, at, owner);
        self.sift_up(position);
        self.sift_down(self.position(owner));
    }

    pub(crate) fn clear(&mut self, owner: u16) {
        let position = self.position(owner);
        if position == ABSENT {
            return;
        }
        self.cells.at_mut(owner.into()).position = ABSENT;
        self.len = self.len.saturating_sub(1);
        if position != self.len {
            let last = *self.cells.at(self.len.into());
            self.put(position, last.at, last.owner);
            self.sift_up(position);
            self.sift_down(self.position(last.owner));
        }
    }

    fn position(&self, owner: u16) -> u16 {
        self.cells.at(owner.into()).position
    }

    fn put(&mut self, position: u16, at: Instant, owner: u16) {
        let cell = self.cells.at_mut(position.into());
        cell.at = at;
        cell.owner = owner;
        self.cells.at_mut(owner.into()).position = position;
    }

    fn swap(&mut self, a: u16, b: u16) {
        let (first, second) = (*self.cells.at(a.into()), *self.cells.at(b.into()));
        self.put(a, second.at, second.owner);
        self.put(b, first.at, first.owner);
    }

    fn sift_up(&mut self, mut position: u16) {
        while position > 0 {
            let parent = position.wrapping_sub(1) / 2;
            if self.cells.at(parent.into()).at <= self.cells.at(position.into()).at {
                return;
            }
            self.swap(parent, position);
            position = parent;
        }
    }

    fn sift_down(&mut self, mut position: u16) {
        loop {
            let left = position.saturating_mul(2).saturating_add(1);
            if left >= self.len {
                return;
            }
            let right = left.saturating_add(1);
            let right_is_less = right < self.len && self.cells.at(right.into()).at < self.cells.at(left.into()).at;
            let child = if right_is_less { right } else { left };
            if self.cells.at(position.into()).at <= self.cells.at(child.into()).at {
                return;
            }
            self.swap(position, child);
            position = child;
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Against a sorted set, over a long random sequence of set, move and clear.
    #[test]
    fn behaves_like_a_sorted_set() {
        const OWNERS: u16 = 23;
        let mut timers = Timers::new(Slots::for_test(usize::from(OWNERS)));
        let mut model = BTreeSet::new();
        let mut current = [None; OWNERS as usize];
        let mut random = 1u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let owner = (random >> 33) as u16 % OWNERS;
            let at = Instant::from_micros((random >> 40) % 50);
            if let Some(old) = current[usize::from(owner)].take() {
                model.remove(&(old, owner));
            }
            if random >> 63 == 0 {
                timers.set(owner, at);
                model.insert((at, owner));
                current[usize::from(owner)] = Some(at);
            } else {
                timers.clear(owner);
            }
            assert_eq!(timers.get(owner), current[usize::from(owner)]);
            assert_eq!(timers.peek().map(|(at, _)| at), model.first().map(|&(at, _)| at));
        }
    }
}

//! Which cell belongs to which batch, from the batch's first record to its last outcome.

use std::collections::VecDeque;
use std::sync::Arc;

use klamm_core::{Accepted, BatchOutcome};

use crate::callbacks::Calls;
use crate::delivery::{BatchCell, Segment};
use crate::shared::Inner;
use crate::sorted::Sorted;

/// A batch without all of its outcomes.
struct Open {
    batch: u32,
    /// Records accepted into it.
    accepted: u32,
    /// Records whose outcome is known.
    settled: u32,
    epoch: u64,
    cell: Arc<BatchCell>,
}

/// An outcome to be told once the lock is gone.
pub(crate) struct Completion {
    cell: Arc<BatchCell>,
    pub(crate) segment: Segment,
    /// The callbacks whose turn has come.
    pub(crate) calls: Option<Box<dyn Calls>>,
    /// The flush epoch of a batch that is complete now.
    pub(crate) finished: Option<u64>,
}

impl Completion {
    /// Calls the callbacks, then tells the batch's waiters, who see what the callbacks did.
    pub(crate) fn deliver(self, inner: &Inner) {
        if let Some(calls) = self.calls {
            calls.run(inner);
        }
        self.cell.complete(self.segment, self.finished.is_some());
    }
}

/// The batches without all of their outcomes.
#[derive(Default)]
pub(crate) struct Cells {
    /// By batch slot, for the look-up per record.
    slots: Vec<Option<Open>>,
    /// Split batches whose slot was given to another batch; parts are still under way.
    orphans: Sorted<u32, Open>,
    flushes: Epochs,
}

impl Cells {
    /// The cell of a record that the core accepted.
    #[inline]
    pub(crate) fn track(&mut self, accepted: &Accepted, topic: &Arc<str>) -> Arc<BatchCell> {
        if let Some(Some(open)) = self.slots.get_mut(accepted.slot as usize)
            && open.batch == accepted.id.batch
        {
            open.accepted = accepted.id.index.wrapping_add(1);
            return Arc::clone(&open.cell);
        }
        self.track_new(accepted, topic)
    }

    #[cold]
    fn track_new(&mut self, accepted: &Accepted, topic: &Arc<str>) -> Arc<BatchCell> {
        if !accepted.new_batch
            && let Some(open) = self.find(accepted.id.batch)
        {
            open.accepted = accepted.id.index.wrapping_add(1);
            return Arc::clone(&open.cell);
        }
        let cell = Arc::new(BatchCell::new(Arc::clone(topic)));
        let epoch = self.flushes.enter();
        let open = Open {
            batch: accepted.id.batch,
            accepted: accepted.id.index.wrapping_add(1),
            settled: 0,
            epoch,
            cell: Arc::clone(&cell),
        };
        let slot = accepted.slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        if let Some(old) = self.slots[slot].replace(open) {
            self.orphans.or_insert_with(old.batch, || old);
        }
        cell
    }

    fn find(&mut self, batch: u32) -> Option<&mut Open> {
        let open = self.slots.iter_mut().flatten().chain(self.orphans.values_mut());
        open.into_iter().find(|open| open.batch == batch)
    }

    /// Notes an outcome.
    pub(crate) fn settle(&mut self, outcome: &BatchOutcome, message: Option<Arc<str>>) -> Option<Completion> {
        let slot = self.slot_of(outcome);
        let open = match slot {
            Some(slot) => self.slots[slot].as_mut(),
            None => self.orphans.get_mut(outcome.batch),
        }?;
        open.settled = open.settled.saturating_add(outcome.count);
        let finished = (open.settled >= open.accepted).then_some(open.epoch);
        let (cell, segment) = (Arc::clone(&open.cell), Segment::new(outcome, message));
        let completion = Completion { cell, segment, calls: None, finished };
        if finished.is_some() {
            match slot {
                Some(slot) => self.slots[slot] = None,
                None => drop(self.orphans.remove(outcome.batch)),
            }
        }
        Some(completion)
    }

    fn slot_of(&self, outcome: &BatchOutcome) -> Option<usize> {
        let holds = |open: &Option<Open>| open.as_ref().is_some_and(|open| open.batch == outcome.batch);
        let slot = outcome.slot as usize;
        if self.slots.get(slot).is_some_and(holds) {
            return Some(slot);
        }
        // A part of a split batch, in a slot of its own. Rare.
        if self.orphans.get(outcome.batch).is_some() { None } else { self.slots.iter().position(holds) }
    }

    /// Ends everything that is open, without an outcome from the core.
    pub(crate) fn fail_all(&mut self) -> Vec<Completion> {
        let open = self.slots.drain(..).flatten().chain(self.orphans.drain());
        let broken = |open: Open| {
            let (cell, segment) = (open.cell, Segment::broken());
            Completion { cell, segment, calls: None, finished: Some(open.epoch) }
        };
        open.map(broken).collect()
    }

    /// Records without an outcome.
    pub(crate) fn outstanding(&self) -> u64 {
        let open = self.slots.iter().flatten().chain(self.orphans.values());
        open.map(|open| u64::from(open.accepted.saturating_sub(open.settled))).sum()
    }

    /// Begins a flush: it is done when [`flushed`](Self::flushed) exceeds the number returned.
    pub(crate) fn begin_flush(&mut self) -> u64 {
        self.flushes.begin()
    }

    /// A batch's waiters have been told.
    pub(crate) fn told(&mut self, epoch: u64) {
        self.flushes.leave(epoch);
    }

    /// Every batch of an epoch before this one is complete and told.
    pub(crate) fn flushed(&self) -> u64 {
        self.flushes.first
    }
}

/// How many batches are open per flush epoch; each flush begins one.
struct Epochs {
    /// The number of the first element of `open`.
    first: u64,
    /// Never empty; the last is the current epoch.
    open: VecDeque<u32>,
}

impl Default for Epochs {
    fn default() -> Self {
        Self { first: 0, open: VecDeque::from([0]) }
    }
}

impl Epochs {
    fn enter(&mut self) -> u64 {
        if let Some(count) = self.open.back_mut() {
            *count += 1;
        }
        self.first + self.open.len() as u64 - 1
    }

    fn begin(&mut self) -> u64 {
        let target = self.first + self.open.len() as u64 - 1;
        self.open.push_back(0);
        self.advance();
        target
    }

    fn leave(&mut self, epoch: u64) {
        let at = epoch.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(count) = at.and_then(|at| self.open.get_mut(at)) {
            *count = count.saturating_sub(1);
        }
        self.advance();
    }

    fn advance(&mut self) {
        while self.open.len() > 1 && self.open.front() == Some(&0) {
            self.open.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_with_its_batches_and_those_before() {
        let mut epochs = Epochs::default();
        let empty = epochs.begin();
        assert!(epochs.first > empty);
        let a = epochs.enter();
        let first = epochs.begin();
        let b = epochs.enter();
        let c = epochs.enter();
        let second = epochs.begin();
        epochs.leave(b);
        epochs.leave(c);
        assert!(epochs.first <= first);
        epochs.leave(a);
        assert!(epochs.first > second);
        assert_eq!(epochs.open.len(), 1);
    }
}

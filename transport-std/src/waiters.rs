//! Callers that wait: for space, first come, first served; for a topic's metadata; for a flush.
//!
//! Threads and tasks stand in the same queues, as wakers. Methods return the wakers they release,
//! or push them to a list: they are woken after the lock is gone.

use std::collections::VecDeque;
use std::task::Waker;

use klamm_core::{Instant, TopicId};

/// Everyone who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next_id: u64,
    /// Sorted by id, since ids grow. Those who left stay as empty seats until they reach the front.
    space: VecDeque<Ticket>,
    /// How many empty seats there are.
    empty: usize,
    /// Seats taken by waiters who are not `limited`.
    strict: usize,
    /// Someone found no room, and there has not been [ample room](Self::room_is_ample) since.
    scarce: bool,
    /// Sorted by id.
    topics: Vec<TopicWaiter>,
    flushes: Vec<FlushWaiter>,
    /// Not later than the earliest deadline of all waiters.
    earliest: Option<Instant>,
}

/// A place in the queue for space.
#[derive(Debug)]
struct Ticket {
    id: u64,
    deadline: Instant,
    /// `None`: an empty seat.
    waker: Option<Waker>,
    /// May try now.
    turn: bool,
    /// Memory is free, but not for this record's broker, which holds its share already: others may pass.
    limited: bool,
}

#[derive(Debug)]
struct TopicWaiter {
    id: u64,
    topic: TopicId,
    deadline: Instant,
    waker: Waker,
}

#[derive(Debug)]
struct FlushWaiter {
    id: u64,
    target: u64,
    waker: Waker,
}

/// Whether a waiter for space may try.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Yes.
    Yes,
    /// Others come first.
    No,
    /// Its place is gone: time ran out, or the producer was closed.
    Gone,
}

impl Waiters {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn note(&mut self, deadline: Instant) {
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    /// Whether a newcomer has to queue for space: others wait, and room is scarce.
    #[inline]
    pub(crate) fn queued(&self) -> bool {
        self.strict > 0 && self.scarce
    }

    /// There is room for all who wait and for many more. Newcomers need not queue until it runs out again:
    /// if they did, a few threads that send all the time would never find the queue empty, and each record
    /// would cost its thread a sleep.
    pub(crate) fn room_is_ample(&mut self) {
        self.scarce = false;
    }

    /// How many wait for space.
    pub(crate) fn waiting_for_space(&self) -> usize {
        self.space.iter().filter(|ticket| ticket.waker.is_some()).count()
    }

    /// When [`expire`](Self::expire) may have something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.earliest
    }

    /// Takes a place at the end of the queue for space.
    pub(crate) fn join_space(&mut self, deadline: Instant, waker: &Waker, limited: bool) -> u64 {
        let id = self.id();
        self.space.push_back(Ticket { id, deadline, waker: Some(waker.clone()), turn: false, limited });
        self.strict += usize::from(!limited);
        self.scarce |= !limited;
        self.note(deadline);
        id
    }

    fn seat(&self, id: u64) -> Option<usize> {
        let seat = self.space.binary_search_by_key(&id, |ticket| ticket.id).ok()?;
        self.space[seat].waker.is_some().then_some(seat)
    }

    /// Whether `id` may try now; remembers its waker if not.
    pub(crate) fn turn(&mut self, id: u64, waker: &Waker) -> Turn {
        let Some(seat) = self.seat(id) else { return Turn::Gone };
        let ticket = &mut self.space[seat];
        if ticket.turn {
            return Turn::Yes;
        }
        ticket.waker = Some(waker.clone());
        Turn::No
    }

    /// `id` tried and there was no room: it keeps its place. Returns who may try next.
    pub(crate) fn stay(&mut self, id: u64, waker: &Waker, limited: bool) -> Option<Waker> {
        let seat = self.seat(id)?;
        let ticket = &mut self.space[seat];
        ticket.turn = false;
        ticket.waker = Some(waker.clone());
        let before = std::mem::replace(&mut ticket.limited, limited);
        self.strict = self.strict + usize::from(before) - usize::from(limited);
        self.scarce |= !limited;
        if limited { self.grant(seat + 1) } else { None }
    }

    /// `id` leaves the queue. Returns who may try next, if it was its turn.
    pub(crate) fn leave_space(&mut self, id: u64) -> Option<Waker> {
        let seat = self.seat(id)?;
        let had_turn = self.vacate(seat);
        let next = if had_turn { self.grant(seat) } else { None };
        self.empty += 1;
        while self.space.front().is_some_and(|ticket| ticket.waker.is_none()) {
            self.space.pop_front();
            self.empty = self.empty.saturating_sub(1);
        }
        if self.empty > 32 && self.empty > self.space.len() / 2 {
            self.sweep();
        }
        next
    }

    fn sweep(&mut self) {
        self.space.retain(|ticket| ticket.waker.is_some());
        self.empty = 0;
    }

    fn vacate(&mut self, seat: usize) -> bool {
        let ticket = &mut self.space[seat];
        ticket.waker = None;
        self.strict -= usize::from(!ticket.limited);
        std::mem::take(&mut ticket.turn)
    }

    /// There may be room: whose turn it is.
    pub(crate) fn space_available(&mut self) -> Option<Waker> {
        self.grant(0)
    }

    /// Gives the turn to the first waiter from `seat` on.
    fn grant(&mut self, seat: usize) -> Option<Waker> {
        let ticket = self.space.iter_mut().skip(seat).find(|ticket| ticket.waker.is_some())?;
        ticket.turn = true;
        ticket.waker.clone()
    }

    /// Waits for news of `topic`.
    pub(crate) fn join_topic(&mut self, topic: TopicId, deadline: Instant, waker: &Waker) -> u64 {
        let id = self.id();
        self.topics.push(TopicWaiter { id, topic, deadline, waker: waker.clone() });
        self.note(deadline);
        id
    }

    /// Whether anyone waits for `topic`.
    pub(crate) fn waits_for(&self, topic: TopicId) -> bool {
        self.topics.iter().any(|waiter| waiter.topic == topic)
    }

    /// No longer waits for a topic; nothing happens if it was released.
    pub(crate) fn leave_topic(&mut self, id: u64) {
        if let Ok(at) = self.topics.binary_search_by_key(&id, |waiter| waiter.id) {
            self.topics.remove(at);
        }
    }

    /// There is news of `topic`; without a name, of all of them.
    pub(crate) fn release_topics(&mut self, topic: Option<TopicId>, released: &mut Vec<Waker>) {
        let concerned = |waiter: &TopicWaiter| topic.is_none_or(|topic| waiter.topic == topic);
        if self.topics.iter().any(concerned) {
            let (free, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.topics).into_iter().partition(concerned);
            self.topics = rest;
            released.extend(free.into_iter().map(|waiter| waiter.waker));
        }
    }

    /// Waits until every batch up to flush epoch `target` has its outcome.
    pub(crate) fn join_flush(&mut self, target: u64, waker: &Waker) -> u64 {
        let id = self.id();
        self.flushes.push(FlushWaiter { id, target, waker: waker.clone() });
        id
    }

    /// No longer waits for a flush.
    pub(crate) fn leave_flush(&mut self, id: u64) {
        self.flushes.retain(|waiter| waiter.id != id);
    }

    /// Every batch before flush epoch `done` has its outcome.
    pub(crate) fn release_flushes(&mut self, done: u64, released: &mut Vec<Waker>) {
        self.flushes.retain(|waiter| {
            let open = waiter.target >= done;
            if !open {
                released.push(waiter.waker.clone());
            }
            open
        });
    }

    /// Releases every waiter whose time is over; it finds its place gone.
    pub(crate) fn expire(&mut self, now: Instant, released: &mut Vec<Waker>) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        self.earliest = None;
        for seat in 0..self.space.len() {
            let ticket = &self.space[seat];
            let deadline = ticket.deadline;
            if ticket.waker.is_none() {
                continue;
            }
            if deadline > now {
                self.note(deadline);
                continue;
            }
            released.extend(self.space[seat].waker.clone());
            if self.vacate(seat) {
                released.extend(self.grant(seat));
            }
        }
        self.sweep();
        let mut earliest = self.earliest;
        self.topics.retain(|waiter| {
            let stays = waiter.deadline > now;
            if stays {
                earliest = Some(earliest.map_or(waiter.deadline, |earliest| earliest.min(waiter.deadline)));
            } else {
                released.push(waiter.waker.clone());
            }
            stays
        });
        self.earliest = earliest;
    }

    /// Releases everyone who waits to send: the producer is closing. Flushes go on, unless `all`.
    pub(crate) fn close(&mut self, all: bool, released: &mut Vec<Waker>) {
        released.extend(self.space.drain(..).filter_map(|ticket| ticket.waker));
        (self.strict, self.empty) = (0, 0);
        released.extend(self.topics.drain(..).map(|waiter| waiter.waker));
        if all {
            released.extend(self.flushes.drain(..).map(|waiter| waiter.waker));
        }
        self.earliest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    const LATER: Instant = Instant::from_millis(60_000);

    fn wake(waker: Option<Waker>) {
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    #[test]
    fn space_goes_to_the_first_and_is_passed_on() {
        let mut waiters = Waiters::default();
        let wakers: Vec<_> = (0..3).map(|_| waker()).collect();
        let ids: Vec<_> = wakers.iter().map(|(_, waker)| waiters.join_space(LATER, waker, false)).collect();
        assert!(waiters.queued());
        wake(waiters.space_available());
        assert_eq!(wakers[0].0.0.load(Ordering::Relaxed), 1);
        assert_eq!(waiters.turn(ids[1], &wakers[1].1), Turn::No);
        assert_eq!(waiters.turn(ids[0], &wakers[0].1), Turn::Yes);
        // The first tries in vain: nobody overtakes it.
        assert!(waiters.stay(ids[0], &wakers[0].1, false).is_none());
        assert_eq!(waiters.turn(ids[0], &wakers[0].1), Turn::No);
        wake(waiters.space_available());
        wake(waiters.leave_space(ids[0]));
        assert_eq!(waiters.turn(ids[1], &wakers[1].1), Turn::Yes);
        assert_eq!(wakers[1].0.0.load(Ordering::Relaxed), 1);
        // One who gives up in its turn passes it on; one who gives up before does not.
        wake(waiters.leave_space(ids[1]));
        assert_eq!(waiters.turn(ids[2], &wakers[2].1), Turn::Yes);
        wake(waiters.leave_space(ids[2]));
        assert!(!waiters.queued());
        assert!(waiters.space.is_empty());
    }

    #[test]
    fn newcomers_queue_while_room_is_scarce() {
        let mut waiters = Waiters::default();
        let (_, waker) = waker();
        let first = waiters.join_space(LATER, &waker, false);
        wake(waiters.space_available());
        assert!(waiters.queued());
        waiters.room_is_ample();
        assert!(!waiters.queued());
        // They left nothing of it: those who waited come first again.
        assert!(waiters.stay(first, &waker, false).is_none());
        assert!(waiters.queued());
        wake(waiters.leave_space(first));
        assert!(!waiters.queued());
    }

    #[test]
    fn a_waiter_for_a_slow_broker_lets_others_pass() {
        let mut waiters = Waiters::default();
        let (_, first) = waker();
        let (count, second) = waker();
        let a = waiters.join_space(LATER, &first, true);
        assert!(!waiters.queued());
        let b = waiters.join_space(LATER, &second, false);
        assert!(waiters.queued());
        wake(waiters.space_available());
        wake(waiters.stay(a, &first, true));
        assert_eq!((waiters.turn(b, &second), count.0.load(Ordering::Relaxed)), (Turn::Yes, 1));
        assert!(waiters.stay(a, &first, false).is_none());
        assert_eq!(waiters.strict, 2);
        wake(waiters.leave_space(b));
        wake(waiters.leave_space(a));
        assert!(!waiters.queued());
    }

    #[test]
    fn those_who_give_up_leave_no_trace() {
        let mut waiters = Waiters::default();
        let (_, patient) = waker();
        let first = waiters.join_space(LATER, &patient, false);
        let mut last = first;
        for _ in 0..10_000 {
            let (_, hasty) = waker();
            let id = waiters.join_space(LATER, &hasty, false);
            last = waiters.join_space(LATER, &hasty, false);
            assert!(waiters.leave_space(id).is_none());
            if id % 7 != 0 {
                assert!(waiters.leave_space(last).is_none());
            }
        }
        assert!(waiters.space.len() < 10_000, "{}", waiters.space.len());
        assert_eq!(waiters.turn(first, &patient), Turn::No);
        wake(waiters.space_available());
        assert_eq!(waiters.turn(first, &patient), Turn::Yes);
        wake(waiters.leave_space(first));
        let _ = last;
    }

    #[test]
    fn time_runs_out_for_some() {
        let mut waiters = Waiters::default();
        let (early, early_waker) = waker();
        let (late, late_waker) = waker();
        let a = waiters.join_space(Instant::from_millis(10), &early_waker, false);
        let b = waiters.join_space(LATER, &late_waker, false);
        wake(waiters.space_available());
        assert_eq!(early.0.load(Ordering::Relaxed), 1);
        let mut released = Vec::new();
        waiters.expire(Instant::from_millis(9), &mut released);
        assert!(released.is_empty());
        waiters.expire(Instant::from_millis(10), &mut released);
        released.drain(..).for_each(Waker::wake);
        assert_eq!(waiters.turn(a, &early_waker), Turn::Gone);
        assert_eq!((waiters.turn(b, &late_waker), late.0.load(Ordering::Relaxed)), (Turn::Yes, 1));
        assert_eq!(waiters.next_deadline(), Some(LATER));
        waiters.close(true, &mut released);
        assert_eq!((released.len(), waiters.turn(b, &late_waker)), (1, Turn::Gone));
        assert_eq!(waiters.leave_space(b).map(|_| ()), None);
    }

    #[test]
    fn flushes_end_in_the_order_of_their_epochs() {
        let mut waiters = Waiters::default();
        let (count, waker) = waker();
        waiters.join_flush(1, &waker);
        let second = waiters.join_flush(2, &waker);
        let mut released = Vec::new();
        waiters.release_flushes(1, &mut released);
        assert!(released.is_empty());
        waiters.release_flushes(2, &mut released);
        assert_eq!(released.len(), 1);
        waiters.leave_flush(second);
        waiters.release_flushes(9, &mut released);
        assert_eq!((released.len(), count.0.load(Ordering::Relaxed)), (1, 0));
    }
}

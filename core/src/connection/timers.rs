//! Timers of connections, brokers and single purposes, and what they do when they fire.

use crate::Instant;
use crate::error::{DeliveryError, Disconnect, ErrorCode};
use crate::event::{Deadline, Timer};
use crate::state::State;
use crate::state::connection::{ConnectionState, Life, Peer};
use crate::state::list::NIL;
use crate::state::partition::NONE;
use crate::state::queues::RETRY_LEVELS;
use crate::state::storage::SINGLE_TIMERS;

/// The timers that exist once, in the order of their owner numbers behind connections and brokers.
#[derive(Clone, Copy)]
enum Single {
    Metadata = 0,
    Bootstrap = 1,
    ProducerId = 2,
    Close = 3,
}

const _: () = assert!(Single::Close as usize + 1 == SINGLE_TIMERS);

impl State<'_> {
    fn broker_owner(&self, broker: u16) -> u16 {
        (self.connections.len() as u16).wrapping_add(broker)
    }

    fn single_owner(&self, single: Single) -> u16 {
        self.broker_owner(self.brokers.len() as u16).wrapping_add(single as u16)
    }

    fn set_timer(&mut self, owner: u16, at: Instant) {
        let earliest = self.timers.peek().map_or(Instant::NEVER, |(at, _)| at);
        self.timers.set(owner, at);
        self.wake |= at < earliest;
    }

    pub(crate) fn set_metadata_timer(&mut self, at: Instant) {
        self.set_timer(self.single_owner(Single::Metadata), at);
    }

    pub(crate) fn set_bootstrap_timer(&mut self, at: Instant) {
        self.set_timer(self.single_owner(Single::Bootstrap), at);
    }

    pub(crate) fn set_producer_id_timer(&mut self, at: Instant) {
        self.set_timer(self.single_owner(Single::ProducerId), at);
    }

    pub(crate) fn set_close_timer(&mut self, at: Instant) {
        self.set_timer(self.single_owner(Single::Close), at);
    }

    pub(crate) fn set_broker_timer(&mut self, broker: u16, at: Instant) {
        self.set_timer(self.broker_owner(broker), at);
    }

    pub(crate) fn clear_broker_timer(&mut self, broker: u16) {
        self.timers.clear(self.broker_owner(broker));
    }

    pub(crate) fn clear_connection_timer(&mut self, slot: u16) {
        self.timers.clear(slot);
    }

    /// No timers at all: everything has ended.
    pub(crate) fn clear_all_timers(&mut self) {
        while let Some((_, owner)) = self.timers.peek() {
            self.timers.clear(owner);
        }
    }

    /// Every state of a connection has a deadline (PITFALLS 40): set-up, the oldest request's answer,
    /// the end of a throttle while something waits for it, or idleness.
    pub(crate) fn set_connection_timer(&mut self, slot: u16) {
        let connection = self.connections.at(slot.into());
        let at = match connection.state {
            ConnectionState::Free | ConnectionState::Closing => Instant::NEVER,
            ConnectionState::Resolving | ConnectionState::Connecting => connection.setup_deadline,
            ConnectionState::Negotiating | ConnectionState::Ready => {
                let timeout_ms = self.config.request_timeout_ms;
                let request = connection.oldest().map(|request| request.deadline(timeout_ms));
                let answer = request.unwrap_or_else(|| self.idle_deadline(slot));
                let throttled = connection.throttled_until > self.now;
                if throttled { answer.min(connection.throttled_until) } else { answer }
            }
        };
        self.set_timer(slot, at);
    }

    fn idle_deadline(&self, slot: u16) -> Instant {
        let connection = self.connections.at(slot.into());
        if !connection.outgoing.is_idle() || connection.state == ConnectionState::Negotiating {
            // A request that the transport does not take, or a greeting that was not even formed.
            return connection.last_used.after_ms(self.config.request_timeout_ms);
        }
        match self.config.connections_max_idle_ms {
            0 => Instant::NEVER,
            idle => connection.last_used.after_ms(idle),
        }
    }

    /// Work whose time has come.
    pub(crate) fn fire_timers(&mut self) {
        self.end_due_lingers();
        self.end_due_backoffs();
        self.expire_due();
        while let Some((at, owner)) = self.timers.peek() {
            if at > self.now {
                break;
            }
            self.timers.clear(owner);
            let connections = self.connections.len() as u16;
            let brokers = self.brokers.len() as u16;
            if owner < connections {
                self.connection_timer(owner);
            } else if owner < connections.wrapping_add(brokers) {
                self.broker_timer(owner.wrapping_sub(connections));
            } else {
                self.single_timer(owner.wrapping_sub(connections).wrapping_sub(brokers));
            }
        }
    }

    fn connection_timer(&mut self, slot: u16) {
        let connection = self.connections.at(slot.into());
        let timeout_ms = self.config.request_timeout_ms;
        let request_late = connection.oldest().is_some_and(|request| request.deadline(timeout_ms) <= self.now);
        let stuck = !connection.outgoing.is_idle() && self.idle_deadline(slot) <= self.now;
        match connection.state {
            ConnectionState::Free | ConnectionState::Closing => {}
            ConnectionState::Resolving | ConnectionState::Connecting => {
                self.abort_connection(slot, ErrorCode::NETWORK_EXCEPTION, Disconnect::TimedOut);
            }
            ConnectionState::Negotiating | ConnectionState::Ready if request_late || stuck => {
                // Never only forget a late request: its answer would be taken for the next one's
                // (PITFALLS 43). The whole connection goes, and all its requests with it.
                self.stats.request_timeouts = self.stats.request_timeouts.wrapping_add(1);
                self.abort_connection(slot, ErrorCode::REQUEST_TIMED_OUT, Disconnect::TimedOut);
            }
            ConnectionState::Negotiating => {
                self.abort_connection(slot, ErrorCode::NETWORK_EXCEPTION, Disconnect::TimedOut);
            }
            ConnectionState::Ready => {
                let idle = connection.oldest().is_none() && self.idle_deadline(slot) <= self.now;
                if idle && !self.has_something_to_send(slot) {
                    self.disconnect(slot);
                    self.serve_waiting();
                } else {
                    if idle {
                        // Only a throttle holds it back: its idleness begins anew.
                        self.connections.at_mut(slot.into()).last_used = self.now;
                    }
                    // A throttle ended: whatever waited for it may be asked now.
                    self.mark_writable(slot);
                    self.set_connection_timer(slot);
                    self.pursue_metadata();
                    self.pursue_producer_id();
                }
            }
        }
    }

    fn has_something_to_send(&self, slot: u16) -> bool {
        let connection = self.connections.at(slot.into());
        let broker = self.broker_of(slot);
        let ready = broker != NONE && !self.brokers.at(broker.into()).ready.is_empty();
        ready || connection.wants_metadata || connection.wants_producer_id || connection.wants_api_versions
    }

    fn broker_timer(&mut self, broker: u16) {
        if !self.brokers.at(broker.into()).ready.is_empty() {
            self.kick_broker(broker);
        }
        self.pursue_metadata();
        self.pursue_producer_id();
    }

    fn single_timer(&mut self, single: u16) {
        if single == Single::Metadata as u16 {
            self.metadata_timer();
        } else if single == Single::Close as u16 {
            self.give_up_all(DeliveryError::Closed);
            self.end_if_drained();
        } else {
            self.pursue_metadata();
            self.pursue_producer_id();
        }
    }

    /// The earliest deadline of all: a look at the front of each list.
    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        let mut next = self.timers.peek().map(|(at, owner)| Deadline { at, timer: self.timer_kind(owner) });
        let mut consider = |at: Instant, timer: Timer| {
            if next.is_none_or(|next| at < next.at) {
                next = Some(Deadline { at, timer });
            }
        };
        if let Some(batch) = self.lingering_batch() {
            consider(self.batches.at(batch).created_at.after_ms(self.config.linger_ms), Timer::Linger);
        }
        let oldest = self.accumulator.by_age.front();
        if oldest != NIL {
            consider(self.batches.at(oldest).created_at.after_ms(self.config.delivery_timeout_ms), Timer::Delivery);
        }
        for level in 0..RETRY_LEVELS {
            if let Some(batch) = self.first_backing_off(level) {
                consider(self.batches.at(batch).retry_at, Timer::Retry);
            }
        }
        next
    }

    fn timer_kind(&self, owner: u16) -> Timer {
        let connections = self.connections.len() as u16;
        let singles = connections.wrapping_add(self.brokers.len() as u16);
        match owner {
            owner if owner < connections => Timer::Connection,
            owner if owner < singles => Timer::Reconnect,
            owner => match owner.wrapping_sub(singles) {
                0 => Timer::Metadata,
                1 => Timer::Bootstrap,
                2 => Timer::ProducerId,
                _ => Timer::Close,
            },
        }
    }

    /// While closing: once every outcome is decided, the connections go.
    pub(crate) fn end_if_drained(&mut self) {
        if self.net.life != Life::Closing || self.accumulator.live > 0 {
            return;
        }
        self.net.life = Life::Ending;
        for connection in 0..self.connections.len() {
            self.disconnect(connection as u16);
        }
        self.clear_all_timers();
    }

    pub(crate) fn broker_of(&self, slot: u16) -> u16 {
        match self.connections.at(slot.into()).peer {
            Peer::Broker(broker) => broker,
            Peer::Bootstrap(_) => NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests of each timer, in the simulation. A timer that is added has none yet: this does not build.
    const fn cases(timer: Timer) -> &'static [&'static str] {
        match timer {
            Timer::Linger => &["linger_counts_from_the_first_record"],
            Timer::Delivery => &["delivery_timeout_ends_a_batch_in_its_moment"],
            Timer::Retry => &["retries_back_off", "without_a_retry_backoff_nothing_waits"],
            Timer::Connection => {
                &["connection_setup_times_out", "requests_time_out", "throttles_end", "idle_connections_end"]
            }
            Timer::Reconnect => &["reconnects_back_off"],
            Timer::Bootstrap => &["bootstrap_servers_are_left_alone_for_a_while"],
            Timer::Metadata => &["metadata_grows_old", "metadata_backs_off", "a_long_outage_triggers_a_rebootstrap"],
            Timer::ProducerId => &["producer_ids_are_asked_for_with_a_backoff"],
            Timer::Close => &["close_ends_in_its_moment"],
        }
    }

    #[test]
    fn every_timer_has_its_tests() {
        let tests = include_str!("../../../tests/simulation/tests/timers.rs");
        let timers = [
            Timer::Linger,
            Timer::Delivery,
            Timer::Retry,
            Timer::Connection,
            Timer::Reconnect,
            Timer::Bootstrap,
            Timer::Metadata,
            Timer::ProducerId,
            Timer::Close,
        ];
        for name in timers.into_iter().flat_map(cases) {
            assert!(tests.contains(&std::format!("#[test]\nfn {name}()")), "{name}");
        }
    }
}

//! What the application wants.

use crate::state::connection::Life;
use crate::state::identity::IdentityState;
use crate::state::partition::NONE;
use core::time::Duration;

use crate::error::{DeliveryError, ErrorCode, SendError};
use crate::event::{Accepted, TopicId};
use crate::record::Record;
use crate::state::State;
use crate::{Instant, Producer};

impl Producer<'_> {
    /// The id of a topic, which is tracked from now on until [`forget_topic`](Self::forget_topic). Its
    /// metadata is asked for at once. The same name gives the same id.
    ///
    /// # Errors
    /// [`SendError::TopicName`], [`SendError::TooManyTopics`], [`SendError::Closed`].
    pub fn topic(&mut self, name: &str) -> Result<TopicId, SendError> {
        if self.state.net.closing() {
            return Err(SendError::Closed);
        }
        self.state.add_topic(name)
    }

    /// Forgets a topic and frees its slots. `false` while records of it have no outcome, or a metadata
    /// request that names it is under way.
    pub fn forget_topic(&mut self, topic: TopicId) -> bool {
        self.state.topic_slot(topic).is_some_and(|slot| self.state.remove_topic(slot))
    }

    /// Declares how many partitions a topic has, so that keyed records are accepted before the first
    /// metadata. Should that prove wrong, those records fail with
    /// [`DeliveryError::NoSuchPartition`] and a
    /// [`Problem::DeclaredPartitions`](crate::Problem::DeclaredPartitions) says so. Without effect once
    /// the count is known.
    pub fn declare_partitions(&mut self, topic: TopicId, count: u32) {
        let Some(slot) = self.state.topic_slot(topic) else { return };
        let known = self.state.topics.at(slot.into());
        if let (true, Ok(count @ 1..)) = (known.partitions < 0 || known.declared, i32::try_from(count)) {
            self.state.set_partition_count(slot, count, true);
        }
    }

    /// Takes a record. It is written into the arena in its final form; nothing is kept of `record`
    /// itself.
    ///
    /// Accepted records have exactly one outcome, within `delivery.timeout.ms`, in an
    /// [`Event::Batch`](crate::Event::Batch) that names [`Accepted::id`]'s batch.
    ///
    /// # Errors
    /// See [`SendError`]; nothing of the record was kept then.
    pub fn send(&mut self, now: Instant, topic: TopicId, record: &Record<'_>) -> Result<Accepted, SendError> {
        self.state.advance_clock(now);
        let slot = self.state.topic_slot(topic).ok_or(SendError::UnknownTopic)?;
        self.state.send_record(slot, record)
    }

    /// Nothing waits for more records any longer: what was accepted so far leaves as soon as it can.
    /// [`Event::Flushed`](crate::Event::Flushed) follows once all of it has its outcome.
    pub fn flush(&mut self, now: Instant) {
        self.state.advance_clock(now);
        let last = self.state.accumulator.next_batch_id.wrapping_sub(1);
        self.state.accumulator.flush_up_to = Some(last);
        self.state.end_all_lingers();
    }

    /// Refuses further records and drains what there is. What has no outcome after `within` fails with
    /// [`DeliveryError::Closed`]. Then connections close and [`Event::Closed`](crate::Event::Closed)
    /// is the last event.
    pub fn close(&mut self, now: Instant, within: Duration) {
        self.state.advance_clock(now);
        match self.state.net.life {
            Life::Running => {
                self.state.net.life = Life::Closing;
                #[cfg(feature = "fast")]
                self.state.refuse_plain();
            }
            Life::Closing => {}
            // Nothing is left to be drained, so no deadline is set for it.
            Life::Ending | Life::Ended => return,
        }
        let at = self.state.now.after(within);
        self.state.set_close_timer(at);
        self.state.end_all_lingers();
        self.state.end_if_drained();
    }

    /// Closes by force: every record without an outcome fails with [`DeliveryError::Closed`] now.
    pub fn fail_all(&mut self, now: Instant) {
        self.close(now, Duration::ZERO);
        self.state.give_up_all(DeliveryError::Closed);
        self.state.end_if_drained();
    }

    /// Says what time it is: records without a timestamp get it from here. May be repeated to correct
    /// drift. Until the first call such records are stamped by uptime and corrected when their batch
    /// leaves, or leave without a timestamp (−1) if the time is still not known then.
    pub fn set_wall_clock(&mut self, now: Instant, unix_ms: i64) {
        self.state.advance_clock(now);
        self.state.set_wall_clock(unix_ms);
    }

    /// Gives the partition's next batch this sequence (0 … 2³¹−1), as if that many records had gone before it. For tests of the wrap at
    /// 2³¹; the cluster under test must have forgotten the producer, since brokers expect the sequence that follows the last.
    ///
    /// False, and nothing changes, unless the partition has been sent to in the current epoch and has no batches.
    #[cfg(feature = "test-hooks")]
    pub fn continue_sequence_at(&mut self, topic: TopicId, partition: i32, sequence: i32) -> bool {
        let Some(topic) = self.state.topic_slot(topic) else { return false };
        let slot = self.state.find_partition(topic, partition);
        if slot == crate::state::list::NIL || sequence < 0 {
            return false;
        }
        let current = self.state.partitions.at(slot).carries(&self.state.identity);
        let partition = self.state.partitions.at_mut(slot);
        if !current || partition.queued > 0 {
            return false;
        }
        partition.next_sequence = sequence;
        partition.last_acked = sequence.wrapping_sub(1); // −1 before 0
        partition.proven = false;
        true
    }
}

impl State<'_> {
    /// One record, from choice of partition to its bytes in the arena. Without `fast` every record takes
    /// the general way: the short ones cost 3 KB of flash.
    #[cfg(not(feature = "fast"))]
    fn send_record(&mut self, topic: u16, record: &Record<'_>) -> Result<Accepted, SendError> {
        self.send_any(topic, record)
    }

    /// One record, from choice of partition to its bytes in the arena.
    #[cfg(feature = "fast")]
    #[inline]
    fn send_record(&mut self, topic: u16, record: &Record<'_>) -> Result<Accepted, SendError> {
        if record.key.is_some() {
            return self.send_keyed(topic, record);
        }
        match self.append_plain(topic, record) {
            Some(accepted) => Ok(accepted),
            None => self.send_any(topic, record),
        }
    }

    #[cfg(feature = "fast")]
    #[inline(never)] // the keyless case has no registers to spare
    fn send_keyed(&mut self, topic: u16, record: &Record<'_>) -> Result<Accepted, SendError> {
        match self.append_plain_keyed(topic, record) {
            Some(accepted) => Ok(accepted),
            None => self.send_any(topic, record),
        }
    }

    /// The general case of [`Self::send_record`].
    #[inline(never)]
    fn send_any(&mut self, topic: u16, record: &Record<'_>) -> Result<Accepted, SendError> {
        if self.net.closing() {
            return Err(SendError::Closed);
        }
        if self.identity.state == IdentityState::Fatal {
            return Err(SendError::Fatal(self.fatal_error()));
        }
        #[cfg(feature = "fast")]
        if let Some(accepted) = self.append_plain_across(topic, record) {
            return Ok(accepted);
        }
        let sized = self.size_record(record)?;
        self.wake = false;
        #[cfg(feature = "codecs")]
        {
            self.new_job = false;
        }
        let mut choice = self.choose_partition(topic, record)?;
        if choice.sticky {
            choice.slot = self.end_turn_if_full(topic, choice.slot, sized)?;
        }
        let bytes_before = self.stats.bytes_accepted;
        let mut accepted = self.append(choice.slot, record, sized)?;
        if choice.sticky {
            let bytes = self.stats.bytes_accepted.wrapping_sub(bytes_before) as u32;
            self.count_sticky(topic, choice.slot, bytes, accepted.new_batch);
        }
        if accepted.new_batch {
            self.opened_batch(topic, choice.slot);
        }
        if choice.hashed && self.topics.at(topic.into()).declared {
            self.batches.at_mut(accepted.slot).declared = true;
        }
        accepted.wake = self.wake;
        #[cfg(feature = "codecs")]
        {
            accepted.compress = self.new_job;
        }
        Ok(accepted)
    }

    /// A batch was opened: what it needs to leave is asked for.
    fn opened_batch(&mut self, topic: u16, slot: u32) {
        if self.partitions.at(slot).leader == NONE && !self.topics.at(topic.into()).wanted {
            self.want_topic(topic);
        }
        if self.identity.state == IdentityState::Needed {
            self.pursue_producer_id();
        }
    }

    /// What made the producer unusable.
    fn fatal_error(&self) -> ErrorCode {
        self.identity.fatal
    }
}

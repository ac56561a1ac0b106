//! What an answer, a lost connection or a timeout does to a batch (PRODUCER j).

#[cfg(feature = "split")]
use crate::compression::Records;
use crate::error::{DeliveryError, ErrorCode, Fate, Problem};
use crate::event::Failed;
use crate::protocol::error_code::ProduceAction;
use crate::record::batch::{sequence_after, sequence_distance};
use crate::state::State;
use crate::state::batch::{BatchState, InQueue, Outcome};
use crate::state::identity::IdentityState;
use crate::state::list::{List, NIL};
use crate::state::reading::Answer;

/// A batch that was sent so often and never taken has a leader that is none: whatever is said of leaders next is believed.
const DOUBTFUL_ATTEMPTS: u32 = 6;

impl State<'_> {
    /// A batch, already out of its request, was answered.
    pub(crate) fn answered(&mut self, batch: u32, answer: &Answer) {
        let slot = self.landed(batch);
        let action = answer.error.produce_action(answer.base_offset);
        if let ProduceAction::Retry { refresh: true, .. } = action {
            let topic = self.partitions.at(slot).topic;
            // Without an id, which brokers before 2.8 do not tell even if others did, nothing tells a topic that was made again, its
            // epochs from 0, from an answer that lags behind (KAFKA-13488): after a refusal the next answer is believed. A hint of a
            // former topic's leader (KIP-951), to a request by name, misleads even where there are ids: then after some refusals.
            if !self.topics.at(topic.into()).id_told || self.batches.at(batch).attempts >= DOUBTFUL_ATTEMPTS {
                self.partitions.at_mut(slot).leader_epoch = -1;
            }
            self.want_topic(topic);
        }
        if matches!(action, ProduceAction::Success | ProduceAction::SuccessWithoutOffset) {
            self.acknowledge_sequence(slot, batch);
            self.note_taken(batch);
        }
        if self.batches.at(batch).expired {
            self.release_expired(batch);
        } else {
            self.act(slot, batch, action, answer);
        }
        self.resolve(slot);
        self.settle(slot);
    }

    /// A batch's request will not be answered. `written` says whether the broker can have acted on
    /// it: a request that was not handed over whole was never complete there.
    pub(crate) fn lost(&mut self, batch: u32, error: ErrorCode, written: bool) {
        let slot = self.landed(batch);
        if self.batches.at(batch).expired {
            self.release_expired(batch);
        } else if self.batches.at(batch).has_text() {
            // Its answer began with a final error; its bytes hold the broker's words by now.
            let error = self.batches.at(batch).last_error;
            self.leave_hole(batch);
            self.fail(batch, DeliveryError::Broker(error), Fate::Unknown);
        } else {
            self.batches.at_mut(batch).uncertain |= written;
            self.retry(batch, error);
        }
        self.resolve(slot);
        self.settle(slot);
    }

    /// With `acks=0`, writing is all there is (promise 8).
    pub(crate) fn written_unacknowledged(&mut self, batch: u32) {
        let slot = self.landed(batch);
        if self.batches.at(batch).expired {
            self.release_expired(batch);
        } else {
            self.finish(batch, Outcome::Delivered { base_offset: -1, log_append_time: -1 });
        }
        self.settle(slot);
    }

    /// The batch is no longer in flight; returns its partition's slot.
    fn landed(&mut self, batch: u32) -> u32 {
        let slot = self.batches.at(batch).partition;
        let partition = self.partitions.at_mut(slot);
        partition.in_flight = partition.in_flight.wrapping_sub(1);
        slot
    }

    fn act(&mut self, slot: u32, batch: u32, action: ProduceAction, answer: &Answer) {
        match action {
            ProduceAction::Success => {
                let log_append_time = self.log_append_time(batch, answer);
                self.finish(batch, Outcome::Delivered { base_offset: answer.base_offset, log_append_time });
            }
            ProduceAction::SuccessWithoutOffset => {
                self.finish(batch, Outcome::Delivered { base_offset: -1, log_append_time: -1 });
            }
            ProduceAction::Retry { definite, .. } => {
                self.batches.at_mut(batch).uncertain |= !definite;
                self.retry(batch, answer.error);
            }
            // The wire may have flipped a bit; the same bytes refused twice will be refused for ever.
            ProduceAction::RetryOnce if self.batches.at(batch).last_error != answer.error => {
                self.retry(batch, answer.error);
            }
            ProduceAction::RetryOnce => self.refuse(batch, answer, true),
            ProduceAction::Split => self.too_large(batch, answer),
            ProduceAction::Sequence if self.batches.at(batch).sequenced => self.sequence_refused(slot, batch, answer),
            // A broker that speaks of sequences to a producer that has none: there is nothing to weigh.
            ProduceAction::Sequence => {
                let definite = answer.error.proves_not_appended(answer.base_offset);
                self.refuse(batch, answer, definite);
            }
            ProduceAction::Epoch => self.refuse(batch, answer, true),
            ProduceAction::Fail { fatal, definite } => {
                self.refuse(batch, answer, definite);
                if fatal && self.config.enable_idempotence {
                    self.become_fatal(answer.error);
                }
            }
        }
    }

    /// For a duplicate, brokers answer with the largest timestamp of the batch in their log, whatever the
    /// topic's timestamps are. That is no append time.
    fn log_append_time(&self, batch: u32, answer: &Answer) -> i64 {
        let batch = self.batches.at(batch);
        let duplicate = batch.attempts > 1 && answer.log_append_time == batch.max_timestamp;
        if duplicate { -1 } else { answer.log_append_time }
    }

    /// Sends the batch again after a backoff, unless its retries are used up.
    pub(crate) fn retry(&mut self, batch: u32, error: ErrorCode) {
        let slot = self.batches.at_mut(batch);
        slot.last_error = error;
        if slot.attempts > self.config.retries {
            let fate = slot.fate();
            self.leave_hole(batch);
            self.fail(batch, DeliveryError::Broker(error), fate);
            return;
        }
        self.back_off(batch);
    }

    /// The broker will not take it.
    fn refuse(&mut self, batch: u32, answer: &Answer, definite: bool) {
        self.batches.at_mut(batch).uncertain |= !definite;
        let slot = self.batches.at(batch);
        // Only one that there is can be to blame.
        let (fate, record) = (slot.fate(), answer.record.filter(|&record| record < slot.count));
        self.leave_hole(batch);
        let error = DeliveryError::Broker(answer.error);
        self.finish(batch, Outcome::Failed(Failed { error, fate, record }));
    }

    /// `MESSAGE_TOO_LARGE`: two halves, or a record that is too large by itself.
    fn too_large(&mut self, batch: u32, answer: &Answer) {
        if self.batches.at(batch).count <= 1 {
            let fate = self.batches.at(batch).fate();
            self.leave_hole(batch);
            self.fail(batch, DeliveryError::RecordTooLarge, fate);
        } else {
            self.refused_as_too_large(batch, answer);
        }
    }

    /// Without spare blocks for the halves the batch comes back to this later.
    #[cfg(feature = "split")]
    fn refused_as_too_large(&mut self, batch: u32, answer: &Answer) {
        match self.make_splittable(batch) {
            Records::There => self.split_or_retry(batch, answer.error),
            #[cfg(any(feature = "lz4", feature = "codecs"))]
            Records::NoRoom => self.retry(batch, answer.error),
            #[cfg(feature = "codecs")]
            Records::Outside => self.batches.at_mut(batch).last_error = answer.error,
        }
    }

    /// Its records fail; those that come later go in batches of half its size.
    #[cfg(not(feature = "split"))]
    fn refused_as_too_large(&mut self, batch: u32, answer: &Answer) {
        let refused = self.batches.at(batch).wire_bytes();
        let topic = self.partitions.at(self.batches.at(batch).partition).topic;
        let topic = self.topics.at_mut(topic.into());
        topic.batch_limit = topic.batch_limit.min(refused / 2);
        self.refuse(batch, answer, true);
    }

    /// Splits a batch whose records can be read; without room for that it is sent again as it is.
    #[cfg(feature = "split")]
    pub(crate) fn split_or_retry(&mut self, batch: u32, error: ErrorCode) {
        if self.split(batch).is_some() {
            // The refusal was final for the whole; the halves have not been tried.
            self.batches.at_mut(batch).last_error = ErrorCode::NONE;
        } else {
            self.retry(batch, error);
        }
    }

    /// OUT_OF_ORDER_SEQUENCE_NUMBER or UNKNOWN_PRODUCER_ID (k.5).
    fn sequence_refused(&mut self, slot: u32, batch: u32, answer: &Answer) {
        let partition = self.partitions.at(slot);
        let expected = if partition.last_acked < 0 { 0 } else { sequence_after(partition.last_acked, 1) };
        let base = self.batches.at(batch).base_sequence;
        let distance = sequence_distance(expected, base);
        let first_in_line = partition.queue.front() == batch;
        let state_lost = if answer.error == ErrorCode::UNKNOWN_PRODUCER_ID {
            // Without a log start offset the broker is too old to tell; it asks for patience.
            answer.log_start_offset >= 0
        } else if distance < 0 {
            // A later batch is in the log, so this one can be appended no more. An earlier attempt may have
            // been, if nobody knows what became of it: the broker forgets all but five batches.
            let fate = self.batches.at(batch).fate();
            self.fail(batch, DeliveryError::SequenceGap, fate);
            return;
        } else {
            // An earlier batch failed: it is sent again first. With none before it, the gap is real, or
            // the broker forgot us.
            first_in_line && !partition.unresolved
        };
        self.batches.at_mut(batch).last_error = answer.error;
        if state_lost {
            self.partitions.at_mut(slot).gap = true;
            self.batches.at_mut(batch).state = BatchState::Retry;
        } else {
            self.retry(batch, answer.error);
        }
    }

    /// Nothing can be sent any more.
    pub(crate) fn become_fatal(&mut self, error: ErrorCode) {
        self.identity.state = IdentityState::Fatal;
        #[cfg(feature = "fast")]
        self.refuse_plain();
        self.identity.fatal = error;
        self.problems.report(Problem::Fatal(error));
        self.give_up_all(DeliveryError::Broker(error));
    }

    /// The batch of the request `request` for a partition, if it has one that is not answered yet.
    pub(crate) fn batch_in_request(&self, topic: u16, index: i32, request: u32) -> Option<u32> {
        let slot = self.find_partition(topic, index);
        if slot == NIL {
            return None;
        }
        let mut batch = self.partitions.at(slot).queue.front();
        while batch != NIL {
            let candidate = self.batches.at(batch);
            if candidate.state == BatchState::InFlight && candidate.request == request {
                return Some(batch);
            }
            batch = List::<InQueue>::after(&self.batches, batch);
            if candidate.state != BatchState::InFlight && candidate.attempts == 0 {
                break; // never sent, and so is everything behind it
            }
        }
        None
    }
}

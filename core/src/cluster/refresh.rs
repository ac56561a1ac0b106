//! When to ask for metadata, and whom (PRODUCER g.1).
//!
//! One request at a time; whatever is wanted meanwhile is only noted. New topics are asked for at once
//! and alone; everything else backs off, on failures and on answers without news alike (KIP-580).

use crate::Instant;
use crate::error::ErrorCode;
use crate::state::State;

use super::metadata::MetadataOutcome;

impl State<'_> {
    /// Metadata is wanted: of every topic, or only of those marked.
    pub(crate) fn refresh_metadata(&mut self, full: bool) {
        self.cluster.refresh.needed = true;
        self.cluster.refresh.full |= full;
        self.pursue_metadata();
    }

    /// A new topic: asked for at once, whatever the backoff.
    pub(crate) fn want_new_topic(&mut self, topic: u16) {
        self.topics.at_mut(topic.into()).wanted = true;
        self.cluster.refresh.without_news = 0;
        if self.cluster.refresh.failures == 0 {
            self.cluster.refresh.not_before = self.now;
        }
        self.refresh_metadata(false);
    }

    /// A topic's leaders are in doubt.
    pub(crate) fn want_topic(&mut self, topic: u16) {
        self.topics.at_mut(topic.into()).wanted = true;
        self.refresh_metadata(true);
    }

    /// Finds someone to ask as soon as it is time.
    pub(crate) fn pursue_metadata(&mut self) {
        let refresh = &self.cluster.refresh;
        if self.net.closed() || refresh.under_way {
            return;
        }
        if !refresh.needed {
            let at = refresh.last_success.after_ms(self.config.metadata_max_age_ms);
            return self.set_metadata_timer(at);
        }
        if refresh.not_before > self.now {
            return self.set_metadata_timer(refresh.not_before);
        }
        self.set_metadata_timer(Instant::NEVER);
        if self.cluster.refresh.outage_since.is_none() {
            self.cluster.refresh.outage_since = Some(self.now);
        }
        if self.outage_is_long() {
            return self.rebootstrap();
        }
        match self.least_loaded() {
            Some(connection) => {
                self.cluster.refresh.under_way = true;
                self.connections.at_mut(connection.into()).wants_metadata = true;
                self.mark_writable(connection);
            }
            None => self.open_any(),
        }
    }

    fn outage_is_long(&self) -> bool {
        let trigger = self.config.metadata_recovery_rebootstrap_trigger_ms;
        let since = self.cluster.refresh.outage_since;
        self.may_rebootstrap() && since.is_some_and(|since| since.after_ms(trigger) <= self.now && trigger > 0)
    }

    /// The metadata timer fired: due now, or by age.
    pub(crate) fn metadata_timer(&mut self) {
        if !self.cluster.refresh.needed {
            return self.refresh_metadata(true);
        }
        self.pursue_metadata();
    }

    /// The request was lost, or the answer was of no use.
    pub(crate) fn metadata_failed(&mut self) {
        let refresh = &mut self.cluster.refresh;
        refresh.under_way = false;
        let failures = refresh.failures;
        refresh.failures = failures.saturating_add(1);
        for topic in 0..self.topics.len() {
            let topic = self.topics.at_mut(topic);
            topic.wanted |= topic.asked && topic.in_use;
            topic.asked = false;
        }
        let wait = self.backoff_ms(self.config.retry_backoff_ms, self.config.retry_backoff_max_ms, failures);
        self.cluster.refresh.not_before = self.now.after_ms(wait);
        self.refresh_metadata(true);
    }

    /// The answer was read to its end.
    pub(crate) fn metadata_answered(&mut self) {
        match self.end_metadata() {
            MetadataOutcome::Empty => self.metadata_failed(),
            MetadataOutcome::Rebootstrap => {
                self.cluster.refresh.under_way = false;
                self.rebootstrap();
            }
            MetadataOutcome::Applied { progress, again } => self.metadata_applied(progress, again),
        }
    }

    fn metadata_applied(&mut self, progress: bool, again: bool) {
        let wanted = self.topics.iter().any(|(_, topic)| topic.in_use && topic.wanted);
        let refresh = &mut self.cluster.refresh;
        refresh.under_way = false;
        refresh.failures = 0;
        refresh.outage_since = None;
        refresh.last_success = self.now;
        refresh.without_news = if progress { 0 } else { refresh.without_news.saturating_add(1) };
        let without_news = refresh.without_news;
        // What was wanted since the request was formed is still wanted; new topics at once.
        refresh.needed = again || wanted;
        refresh.full |= again;
        if without_news > 0 || again {
            let (initial, max) = (self.config.retry_backoff_ms, self.config.retry_backoff_max_ms);
            let wait = self.backoff_ms(initial, max, without_news.saturating_sub(1));
            self.cluster.refresh.not_before = self.now.after_ms(wait);
        }
        self.pursue_metadata();
    }

    /// The last error that kept a topic's metadata away.
    pub(crate) fn topic_error(&self, topic: u16) -> ErrorCode {
        self.topics.at(topic.into()).error
    }
}

//! Every accepted record and its one outcome.

use crate::batch::StoredRecord;
use klamm_core::{Accepted, BatchOutcome, DeliveryError, Fate, Record, TopicId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a record consists of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// The key, if any.
    pub key: Option<Vec<u8>>,
    /// The value, if any.
    pub value: Option<Vec<u8>>,
    /// Header keys and values in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl From<&Record<'_>> for Content {
    fn from(record: &Record<'_>) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Self {
            key: owned(record.key),
            value: owned(record.value),
            headers: record.headers.iter().map(|header| (header.key.to_owned(), owned(header.value))).collect(),
        }
    }
}

impl From<&StoredRecord> for Content {
    fn from(record: &StoredRecord) -> Self {
        Self { key: record.key.clone(), value: record.value.clone(), headers: record.headers.clone() }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was delivered.
    Delivered {
        /// Where.
        partition: i32,
        /// −1 if the broker did not say.
        offset: i64,
        /// The broker's time, for topics with `LogAppendTime`.
        log_append_time: Option<i64>,
    },
    /// It failed.
    Failed {
        /// Its partition; −1 if none was chosen.
        partition: i32,
        /// Why.
        error: DeliveryError,
        /// Whether it can be in the log all the same.
        fate: Fate,
        /// The broker named this very record as the bad one.
        named: bool,
    },
}

impl Outcome {
    /// Whether the record was delivered.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered { .. })
    }

    /// The partition; −1 if none was chosen.
    #[must_use]
    pub fn partition(&self) -> i32 {
        match self {
            Self::Delivered { partition, .. } | Self::Failed { partition, .. } => *partition,
        }
    }

    /// The offset, if it was delivered and the broker told it.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        match self {
            Self::Delivered { offset, .. } if *offset >= 0 => Some(*offset),
            _ => None,
        }
    }

    /// Why it failed.
    #[must_use]
    pub fn error(&self) -> Option<DeliveryError> {
        match self {
            Self::Delivered { .. } => None,
            Self::Failed { error, .. } => Some(*error),
        }
    }

    /// What is known of it, if it failed.
    #[must_use]
    pub fn fate(&self) -> Option<Fate> {
        match self {
            Self::Delivered { .. } => None,
            Self::Failed { fate, .. } => Some(*fate),
        }
    }

    /// Whether the record can be in a log.
    pub(crate) fn may_be_written(&self) -> bool {
        self.fate() != Some(Fate::NotWritten)
    }
}

/// One accepted record.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its topic's name.
    pub topic: String,
    /// What it consists of.
    pub content: Content,
    /// What `send` said of it.
    pub accepted: Accepted,
    /// When it was accepted, in microseconds of the world's clock.
    pub accepted_us: u64,
    /// What became of it, once that is known.
    pub outcome: Option<Outcome>,
    /// When that was told.
    pub settled_us: u64,
}

/// What became of records that the world did not send itself; see [`World::with_producer`](super::World::with_producer).
#[derive(Debug, Clone)]
pub(crate) struct Stranger {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) count: u32,
    /// The first one's offset, or the fate of them all.
    pub(crate) result: Result<i64, Fate>,
}

/// All of them, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    /// The records of each batch by their index; `None` for a stranger.
    batches: BTreeMap<u32, Vec<Option<usize>>>,
    topics: BTreeMap<TopicId, String>,
    /// How many records of each batch are not settled; without strangers.
    open: BTreeMap<u32, u32>,
    unsettled: usize,
    /// All before this one are settled.
    first_open: usize,
    /// `delivery.timeout.ms`, in microseconds.
    delivery_us: u64,
    /// Offsets keep the order of acceptance.
    ordered: bool,
    /// Runs of delivered records by their topic, partition and first record: the first offset, and how many.
    runs: BTreeMap<(TopicId, i32, usize), (i64, u32)>,
    strangers: Vec<Stranger>,
    strangers_accepted: u64,
    strangers_settled: u64,
    /// When strangers were accepted, and how many by then.
    strangers_due: VecDeque<(u64, u64)>,
    /// The ranges of each batch with strangers that were told.
    told: BTreeMap<u32, Vec<(u32, u32)>>,
}

impl Ledger {
    pub(crate) fn new(delivery_us: u64, ordered: bool) -> Self {
        Self { delivery_us, ordered, ..Self::default() }
    }

    pub(crate) fn know_topic(&mut self, id: TopicId, name: &str) {
        if self.topics.get(&id).is_none_or(|known| known != name) {
            self.topics.insert(id, name.to_owned());
        }
    }

    /// Each once, in the order of their names.
    pub(crate) fn topic_names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.topics.values().collect();
        names.into_iter().cloned().collect()
    }

    pub(crate) fn topic_name(&self, id: TopicId) -> &str {
        self.topics.get(&id).map_or("", String::as_str)
    }

    /// The last batch that was opened.
    pub(crate) fn last_batch(&self) -> u32 {
        self.batches.last_key_value().map_or(0, |(batch, _)| *batch)
    }

    /// When a batch was opened, and how many records it was filled with.
    pub(crate) fn batch(&self, batch: u32) -> Option<(u64, usize)> {
        let records = self.batches.get(&batch)?;
        let first = records.first().copied().flatten()?;
        Some((self.entries[first].accepted_us, records.len()))
    }

    /// All records before this one are settled.
    pub(crate) fn settled_to(&self) -> usize {
        self.first_open
    }

    /// Whether a record of this batch or of an earlier one is not settled.
    pub(crate) fn is_open_to(&self, batch: u32) -> bool {
        self.open.first_key_value().is_some_and(|(first, _)| *first <= batch)
    }

    /// Others sent records, too.
    pub(crate) fn has_strangers(&self) -> bool {
        self.strangers_accepted > 0
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn strangers(&self) -> &[Stranger] {
        &self.strangers
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled + (self.strangers_accepted - self.strangers_settled) as usize
    }

    /// How many records were accepted, strangers included.
    pub(crate) fn accepted(&self) -> u64 {
        self.entries.len() as u64 + self.strangers_accepted
    }

    pub(crate) fn strangers_accepted(&self) -> u64 {
        self.strangers_accepted
    }

    /// Books records that the producer accepted from somebody else.
    pub(crate) fn accept_strangers(&mut self, now_us: u64, count: u64) {
        self.strangers_accepted += count;
        self.strangers_due.push_back((now_us, self.strangers_accepted));
    }

    pub(crate) fn accept(
        &mut self,
        now_us: u64,
        topic: TopicId,
        record: &Record<'_>,
        accepted: Accepted,
    ) -> Result<usize, String> {
        let position = self.entries.len();
        let batch = self.batches.entry(accepted.id.batch).or_default();
        let index = accepted.id.index as usize;
        let between = index.checked_sub(batch.len());
        if between.is_none_or(|between| between as u64 > self.strangers_accepted) {
            return Err(format!("{:?} is not the next record of its batch, which has {}", accepted.id, batch.len()));
        }
        if accepted.new_batch != (index == 0) {
            return Err(format!("new_batch is wrong in {accepted:?}"));
        }
        batch.resize(index, None);
        batch.push(Some(position));
        self.entries.push(Entry {
            topic: self.topics.get(&topic).cloned().unwrap_or_default(),
            content: Content::from(record),
            accepted,
            accepted_us: now_us,
            outcome: None,
            settled_us: 0,
        });
        self.unsettled += 1;
        *self.open.entry(accepted.id.batch).or_default() += 1;
        Ok(position)
    }

    /// Books an outcome. Each record has exactly one, in time, and deliveries keep the order of acceptance.
    pub(crate) fn settle(&mut self, now_us: u64, told: &BatchOutcome) -> Result<(), String> {
        let topic = self.topics.get(&told.topic).ok_or_else(|| format!("no such topic: {told:?}"))?;
        if told.count == 0 {
            return Err(format!("an outcome of nothing: {told:?}"));
        }
        if self.strangers_accepted == 0 && !self.batches.contains_key(&told.batch) {
            return Err(format!("no batch {}: {told:?}", told.batch));
        }
        let (mut strangers, mut first): (Vec<(u32, u32)>, _) = (Vec::new(), None);
        for position in 0..told.count {
            let index = told.first_index + position;
            let batch = self.batches.get(&told.batch);
            let Some(own) = batch.and_then(|batch| *batch.get(index as usize)?) else {
                match strangers.last_mut().filter(|(from, count)| from + count == position) {
                    Some((_, count)) => *count += 1,
                    None => strangers.push((position, 1)),
                }
                continue;
            };
            let entry = &mut self.entries[own];
            if let Some(before) = entry.outcome {
                return Err(format!("a second outcome for {:?}: {told:?} after {before:?}", entry.accepted.id));
            }
            if entry.topic != *topic {
                return Err(format!("{told:?} names {topic}, the record went to {}", entry.topic));
            }
            if now_us > entry.accepted_us + self.delivery_us {
                let late = now_us - entry.accepted_us;
                return Err(format!("{:?} was settled {late} us after its acceptance: {told:?}", entry.accepted.id));
            }
            entry.outcome = Some(outcome(told, position));
            entry.settled_us = now_us;
            self.unsettled -= 1;
            first.get_or_insert((own, position));
        }
        let strange: u32 = strangers.iter().map(|(_, count)| count).sum();
        if let Some(open) = self.open.get_mut(&told.batch) {
            *open -= told.count - strange;
            if *open == 0 {
                self.open.remove(&told.batch);
            }
        }
        while self.entries.get(self.first_open).is_some_and(|entry| entry.outcome.is_some()) {
            self.first_open += 1;
        }
        let topic = topic.clone();
        if let (true, Some((own, position)), Ok(delivered)) = (self.ordered, first, told.result) {
            self.keeps_order(own, delivered.offset(position), told)?;
        }
        if self.strangers_accepted == 0 && strangers.is_empty() {
            return Ok(());
        }
        self.settle_strangers(told, &topic, &strangers)
    }

    /// Records that were accepted earlier have lower offsets. (They may be told later: the first of five batches whose answer
    /// was lost is asked for again, while the answers of the others count.)
    fn keeps_order(&mut self, own: usize, offset: i64, told: &BatchOutcome) -> Result<(), String> {
        if offset < 0 {
            return Ok(());
        }
        let all = |records: std::ops::Range<usize>| {
            (told.topic, told.partition, records.start)..(told.topic, told.partition, records.end)
        };
        let before = self.runs.range(all(0..own)).next_back().map(|(_, (base, count))| base + i64::from(*count));
        let behind = self.runs.range(all(own + 1..usize::MAX)).next().map(|(_, (base, _))| *base);
        if before.is_some_and(|end| end > offset) || behind.is_some_and(|base| base < offset + i64::from(told.count)) {
            return Err(format!("record {own} is not between its neighbours {before:?} and {behind:?}: {told:?}"));
        }
        self.runs.insert((told.topic, told.partition, own), (offset, told.count));
        Ok(())
    }

    /// The same for the records of a batch that are not in the ledger: runs of them, as position and count.
    fn settle_strangers(&mut self, told: &BatchOutcome, topic: &str, runs: &[(u32, u32)]) -> Result<(), String> {
        let ranges = self.told.entry(told.batch).or_default();
        let range = (told.first_index, told.first_index + told.count);
        if ranges.iter().any(|before| before.0 < range.1 && range.0 < before.1) {
            return Err(format!("a second outcome for some of {told:?}"));
        }
        let count: u64 = runs.iter().map(|(_, count)| u64::from(*count)).sum();
        if self.strangers_settled + count > self.strangers_accepted {
            return Err(format!("an outcome for records that nobody sent: {told:?}"));
        }
        ranges.push(range);
        self.strangers_settled += count;
        self.strangers.extend(runs.iter().map(|&(position, count)| Stranger {
            topic: topic.to_owned(),
            partition: told.partition,
            count,
            result: told.result.map(|delivered| delivered.offset(position)).map_err(|failed| failed.fate),
        }));
        Ok(())
    }

    /// When the record was accepted that waits longest for its outcome; 0 if that cannot be known.
    pub(crate) fn oldest_open_us(&self) -> Option<u64> {
        if self.strangers_settled < self.strangers_accepted {
            return Some(0);
        }
        self.entries.get(self.first_open).map(|entry| entry.accepted_us)
    }

    /// A record whose outcome is overdue, in words.
    pub(crate) fn overdue(&mut self, now_us: u64) -> Option<String> {
        if let Some(entry) = self.entries.get(self.first_open)
            && now_us > entry.accepted_us + self.delivery_us
        {
            return Some(format!("{:?} was accepted at {} us", entry.accepted.id, entry.accepted_us));
        }
        while let Some((accepted_us, count)) = self.strangers_due.front() {
            if now_us <= accepted_us + self.delivery_us {
                break;
            }
            if self.strangers_settled < *count {
                return Some(format!("{count} records were accepted by {accepted_us} us"));
            }
            self.strangers_due.pop_front();
        }
        None
    }
}

fn outcome(told: &BatchOutcome, position: u32) -> Outcome {
    let partition = told.partition;
    match told.result {
        Ok(delivered) => Outcome::Delivered {
            partition,
            offset: delivered.offset(position),
            log_append_time: delivered.log_append_time,
        },
        Err(failed) => Outcome::Failed {
            partition,
            error: failed.error,
            fate: failed.fate,
            named: failed.record == Some(position),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klamm_core::{Config, Delivered, Failed, Instant, Limits, Producer, RecordId, Storage};

    /// A producer is the only one who gives out topic ids.
    fn topic() -> TopicId {
        let storage = Storage::heap(&Limits { buffer_memory: 64 << 10, ..Limits::default() });
        Producer::new(Config::new("a:1"), storage, [0; 32], Instant::ZERO).unwrap().topic("t").unwrap()
    }

    fn accepted(batch: u32, index: u32) -> Accepted {
        let id = RecordId { batch, index };
        let new_batch = index == 0;
        Accepted {
            id,
            slot: 0,
            timestamp: 0,
            new_batch,
            wake: false,
            #[cfg(feature = "codecs")]
            compress: false,
        }
    }

    fn told(batch: u32, first_index: u32, count: u32, base_offset: i64) -> BatchOutcome {
        let result = Ok(Delivered { base_offset, log_append_time: None });
        BatchOutcome { batch, slot: 0, first_index, count, topic: topic(), partition: 0, result }
    }

    /// Two batches of two records each, accepted at 0 and 10; outcomes within 100.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(100, true);
        ledger.know_topic(topic(), "t");
        for batch in 0..2 {
            for index in 0..2 {
                let record = Record::value(b"v");
                ledger.accept(u64::from(batch) * 10, topic(), &record, accepted(batch, index)).unwrap();
            }
        }
        ledger
    }

    fn wrong(ledger: &mut Ledger, now_us: u64, told: &BatchOutcome) -> String {
        ledger.settle(now_us, told).unwrap_err()
    }

    #[test]
    fn each_record_has_one_outcome_and_nobody_else_has_any() {
        assert!(wrong(&mut ledger(), 0, &told(0, 0, 0, 0)).contains("an outcome of nothing"));
        assert!(wrong(&mut ledger(), 0, &told(7, 0, 1, 0)).contains("no batch 7"));
        assert!(wrong(&mut ledger(), 0, &told(0, 0, 3, 0)).contains("nobody sent"));
        let mut twice = ledger();
        twice.settle(0, &told(0, 0, 2, 0)).unwrap();
        assert!(wrong(&mut twice, 0, &told(0, 1, 1, 1)).contains("a second outcome"));
        let mut gap = ledger();
        let skipped = gap.accept(0, topic(), &Record::value(b"v"), accepted(1, 3));
        assert!(skipped.unwrap_err().contains("not the next record"));
    }

    #[test]
    fn outcomes_come_in_time() {
        let mut late = ledger();
        assert_eq!(late.overdue(100), None);
        assert!(late.overdue(101).unwrap().contains("accepted at 0 us"));
        assert!(wrong(&mut late, 101, &told(0, 0, 2, 0)).contains("101 us after"));
        let mut ledger = ledger();
        ledger.settle(100, &told(0, 0, 2, 0)).unwrap();
        assert_eq!((ledger.overdue(110), ledger.unsettled()), (None, 2));
        assert!(ledger.overdue(111).is_some());
    }

    #[test]
    fn offsets_keep_the_order_of_acceptance() {
        for (first, second, fits) in [(0, 2, true), (5, 9, true), (2, 0, false), (0, 1, false), (4, 4, false)] {
            for swapped in [false, true] {
                let mut ledger = ledger();
                let mut outcomes = [told(0, 0, 2, first), told(1, 0, 2, second)];
                if swapped {
                    outcomes.reverse();
                }
                ledger.settle(20, &outcomes[0]).unwrap();
                assert_eq!(ledger.settle(20, &outcomes[1]).is_ok(), fits, "{first} {second} {swapped}");
            }
        }
    }

    #[test]
    fn strangers_have_their_outcomes_too() {
        let mut ledger = ledger();
        ledger.accept_strangers(20, 3);
        // Two behind the world's own in batch 1, one in a batch of its own.
        assert_eq!((ledger.unsettled(), ledger.accepted()), (7, 7));
        ledger.settle(20, &told(1, 0, 4, 0)).unwrap();
        assert!(wrong(&mut ledger, 20, &told(1, 3, 1, 3)).contains("a second outcome"));
        assert!(ledger.overdue(121).is_some());
        ledger.settle(20, &told(2, 0, 1, 9)).unwrap();
        assert!(wrong(&mut ledger, 20, &told(3, 0, 1, 10)).contains("nobody sent"));
        let failed = Failed { error: DeliveryError::Closed, fate: Fate::NotWritten, record: None };
        ledger.settle(20, &BatchOutcome { result: Err(failed), ..told(0, 0, 2, 0) }).unwrap();
        assert_eq!((ledger.unsettled(), ledger.overdue(1000), ledger.strangers().len()), (0, None, 2));
    }
}

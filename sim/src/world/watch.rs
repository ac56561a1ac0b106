//! What a producer must keep to, whatever the cluster and the network do: judged from the requests that brokers read.

use crate::cluster::ConnectionId;
use crate::history::{SeenBatch, SeenRequest};
use klamm_core::{Acks, Compression, Config, ErrorCode};
use std::collections::{BTreeMap, BTreeSet};

/// Sequence numbers that lie behind another one by less than this are later, the others earlier: they wrap.
const HALF: i32 = 1 << 30;

/// Codes that are no news of leaders, so that a batch has to back off: REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS (_AFTER_APPEND).
const PATIENCE: [i16; 3] = [7, 19, 20];

/// What a configuration promises, in microseconds and bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) delivery_us: u64,
    pub(crate) request_us: u64,
    pub(crate) linger_us: u64,
    /// Longest time for opening a connection, jitter included.
    pub(crate) setup_us: u64,
    pub(crate) metadata_age_us: u64,
    pub(crate) max_in_flight: usize,
    pub(crate) max_request_size: usize,
    pub(crate) idempotent: bool,
    /// Produce requests are answered.
    pub(crate) answered: bool,
    /// Batches leave without help from codecs outside the core.
    pub(crate) self_contained: bool,
    /// A batch is sent until its time is over.
    pub(crate) persistent: bool,
    /// The shortest time that a batch backs off.
    pub(crate) backoff_us: u64,
    /// A record gets through within this time where nothing is wrong any more: its linger, one request that is answered late, and
    /// the backoffs of what is asked on its way: a connection, metadata, a producer id, the batch.
    pub(crate) patience_us: u64,
    /// By how much the times that the producer is told may have been older than the world's: what it does early by that is in time.
    pub(crate) lag_us: u64,
}

impl Terms {
    pub(crate) fn of(config: &Config<'_>) -> Self {
        let us = |ms: u32| u64::from(ms) * 1000;
        #[cfg(feature = "codecs")]
        let in_core = config.compression == Compression::Lz4 && config.lz4_in_place;
        #[cfg(not(feature = "codecs"))]
        let in_core = config.compression == Compression::Lz4;
        let setup_ms = config.socket_connection_setup_timeout_max_ms.max(config.socket_connection_setup_timeout_ms);
        Self {
            delivery_us: us(config.delivery_timeout_ms),
            request_us: us(config.request_timeout_ms),
            linger_us: us(config.linger_ms),
            setup_us: us(setup_ms) / 5 * 6,
            metadata_age_us: us(config.metadata_max_age_ms),
            max_in_flight: config.max_in_flight_requests_per_connection.into(),
            max_request_size: config.max_request_size as usize,
            idempotent: config.enable_idempotence,
            answered: config.acks != Acks::None,
            self_contained: config.compression == Compression::None || in_core,
            persistent: config.retries >= i32::MAX as u32,
            patience_us: us(config.linger_ms)
                + us(config.request_timeout_ms)
                + 2 * us(config.reconnect_backoff_max_ms.max(config.reconnect_backoff_ms))
                + 4 * us(config.retry_backoff_max_ms.max(config.retry_backoff_ms))
                + 1_000_000,
            lag_us: 0,
            backoff_us: us(config.retry_backoff_ms.min(config.retry_backoff_max_ms)) / 5 * 4,
        }
    }
}

/// Names a batch for good: topic, partition, producer id, epoch, first sequence number.
type Name = (u32, i32, i64, i16, i32);

/// What a batch consists of, as far as its header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frozen {
    crc: u32,
    records: i32,
    bytes: usize,
    /// Every broker that read it refused it.
    refused: bool,
    /// One found it too large, so it may come in parts: each record keeps its sequence number.
    too_large: bool,
}

impl Frozen {
    fn of(batch: &SeenBatch) -> Self {
        Self {
            crc: batch.crc,
            records: batch.records,
            bytes: batch.bytes,
            refused: batch.error_code != crate::error::NONE && !batch.appended,
            too_large: batch.error_code == crate::error::MESSAGE_TOO_LARGE,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.crc, self.records, self.bytes) == (other.crc, other.records, other.bytes)
    }

    /// Whether another batch may have its first sequence number. What was too large comes in parts, or as it was, but no longer
    /// compressed, if there was no room to split it.
    fn may_become(&self, other: &Self) -> bool {
        self.refused || self.too_large && other.records <= self.records
    }
}

/// A batch that waits for an answer, in a request.
#[derive(Debug, Clone, Copy)]
struct Carried {
    part: (u32, i32),
    identity: (i64, i16),
    base_sequence: i32,
    crc: u32,
    records: i32,
    stored: bool,
    code: i16,
}

/// What is known of one partition's batches.
#[derive(Debug, Default)]
struct Part {
    identity: (i64, i16),
    /// Batches of this identity that brokers read and the producer has no good answer for: first sequence number and CRC.
    open: Vec<(i32, u32)>,
    /// One was answered well.
    proven: bool,
    /// Batches of this identity that were refused, and not answered well or for good since.
    refused: Vec<Refused>,
    /// Some were refused under an earlier identity. They may come under this one, each in its time, and nothing tells which they are.
    renamed: bool,
}

/// A batch that was refused.
#[derive(Debug, Clone, Copy)]
struct Refused {
    base_sequence: i32,
    crc: u32,
    /// When the producer read that.
    at_us: u64,
    /// What was known of leaders when it was sent.
    news: u64,
    code: i16,
}

impl Refused {
    fn is(&self, base_sequence: i32, crc: u32) -> bool {
        (self.base_sequence, self.crc) == (base_sequence, crc)
    }
}

/// Reads the history once, as it grows.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) terms: Terms,
    topics: BTreeMap<String, u32>,
    frozen: BTreeMap<Name, Vec<Frozen>>,
    parts: BTreeMap<(u32, i32), Part>,
    asked: BTreeMap<(ConnectionId, i32), Vec<Carried>>,
    /// A broker read batches of a topic that nobody knows any more.
    nameless: bool,
    /// Codes that were answered, by topic and partition; without a topic if the broker did not know its id.
    codes: BTreeSet<(Option<u32>, i32, i16)>,
    /// How often the producer may have heard of leaders: where there is a new one, nothing backs off (KAFKA-15415).
    pub(crate) refreshes: u64,
    pub(crate) heard: u64,
    /// Partitions for which leaders were elected since their topic was made.
    moved: BTreeSet<(u32, i32)>,
    moves: u64,
    /// Connections that ended. What they had carried may arrive late.
    ended: BTreeSet<ConnectionId>,
    /// Bytes changed on their way to the producer: what it read is not what was answered.
    pub(crate) deceived: bool,
    /// The cluster keeps no history: what brokers answered is not known.
    pub(crate) blind: bool,
}

impl Watch {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            topics: BTreeMap::new(),
            frozen: BTreeMap::new(),
            parts: BTreeMap::new(),
            asked: BTreeMap::new(),
            nameless: false,
            codes: BTreeSet::new(),
            refreshes: 0,
            heard: 0,
            moved: BTreeSet::new(),
            moves: 0,
            ended: BTreeSet::new(),
            deceived: false,
            blind: false,
        }
    }

    /// A broker read a request. What is wrong with it, in words.
    pub(crate) fn read(&mut self, now_us: u64, request: &SeenRequest) -> Result<(), String> {
        if request.batches.is_empty() {
            return Ok(());
        }
        self.fits(request)?;
        let mut carried = Vec::with_capacity(request.batches.len());
        self.nameless |= request.batches.iter().any(|batch| batch.topic.is_empty());
        // Which topic an id stood for that nobody has any more is not known: two of them are not one.
        for batch in &request.batches {
            if batch.topic.is_empty() {
                self.codes.insert((None, batch.partition, batch.error_code));
                self.found_too_large(batch);
                continue;
            }
            let topic = self.topic(&batch.topic);
            if batch.error_code != crate::error::NONE {
                self.codes.insert((Some(topic), batch.partition, batch.error_code));
            }
            let part = (topic, batch.partition);
            if carried.iter().any(|other: &Carried| other.part == part) {
                return Err(format!("two batches for one partition in {request:?}"));
            }
            carried.push(Carried {
                part,
                identity: (batch.producer_id, batch.producer_epoch),
                base_sequence: batch.base_sequence,
                crc: batch.crc,
                records: batch.records,
                stored: is_stored(batch.error_code),
                code: batch.error_code,
            });
            if !self.ended.contains(&request.connection) {
                self.backed_off(now_us, part, batch)?;
            }
            let is_new = self.freeze(topic, batch)?;
            self.open(part, batch, is_new)?;
        }
        if self.terms.answered {
            self.asked.insert((request.connection, request.correlation_id), carried);
        }
        Ok(())
    }

    /// Batches share a request only within `max.request.size`.
    fn fits(&self, request: &SeenRequest) -> Result<(), String> {
        let bytes: usize = request.batches.iter().map(|batch| batch.bytes).sum();
        if bytes > self.terms.max_request_size {
            let most = self.terms.max_request_size;
            return Err(format!("{bytes} bytes of batches in a request, max.request.size is {most}: {request:?}"));
        }
        Ok(())
    }

    /// A leader was elected for this partition.
    pub(crate) fn leader_moved(&mut self, topic: &str, partition: i32) {
        let topic = self.topic(topic);
        self.moved.insert((topic, partition));
    }

    /// Sequence numbers of this partition begin anew.
    pub(crate) fn forget(&mut self, topic: &str, partition: i32) {
        let topic = self.topic(topic);
        self.frozen.retain(|name, _| (name.0, name.1) != (topic, partition));
        self.parts.remove(&(topic, partition));
    }

    fn topic(&mut self, name: &str) -> u32 {
        if let Some(topic) = self.topics.get(name) {
            return *topic;
        }
        let topic = self.topics.len() as u32;
        self.topics.insert(name.to_owned(), topic);
        topic
    }

    /// One sequence number, one batch: other records get it only if brokers refused the earlier ones each time, or if they
    /// are the first part of a batch that was found too large. Whether it is the first time that a broker sees this batch.
    fn freeze(&mut self, topic: u32, batch: &SeenBatch) -> Result<bool, String> {
        if batch.producer_id < 0 {
            return Ok(true);
        }
        let named = |sequence| (topic, batch.partition, batch.producer_id, batch.producer_epoch, sequence);
        let name = named(batch.base_sequence);
        let now = Frozen::of(batch);
        // One that was seen before may arrive late, behind those that took its place.
        let known = self.frozen.entry(name).or_default();
        if let Some(before) = known.iter_mut().find(|before| before.is_same(&now)) {
            before.refused &= now.refused;
            before.too_large |= now.too_large;
            return Ok(false);
        }
        if let Some(before) = known.iter().find(|before| !before.may_become(&now)) {
            return Err(format!("a sequence number was given to other records: {before:?} became {batch:?}"));
        }
        known.push(now);
        if batch.base_sequence > HALF {
            // Numbers wrap: those that lie so far behind will be given again.
            let behind = self.frozen.range(named(0)..named(batch.base_sequence - HALF)).map(|(name, _)| *name);
            for name in behind.collect::<Vec<_>>() {
                self.frozen.remove(&name);
            }
        }
        Ok(true)
    }

    /// The script may have a broker call a batch too large whose topic it does not know any more: the producer splits it, and the
    /// topic that it was frozen in must know.
    fn found_too_large(&mut self, batch: &SeenBatch) {
        let now = Frozen::of(batch);
        if !now.too_large {
            return;
        }
        for topic in self.topics.values() {
            let name = (*topic, batch.partition, batch.producer_id, batch.producer_epoch, batch.base_sequence);
            let known = self.frozen.get_mut(&name).into_iter().flatten();
            known.filter(|before| before.is_same(&now)).for_each(|before| before.too_large = true);
        }
    }

    /// Counts what the producer may have heard of leaders.
    pub(crate) fn news(&self) -> u64 {
        self.refreshes + self.heard + self.moves
    }

    /// A batch that was refused comes again only after `retry.backoff.ms`, less its jitter.
    fn backed_off(&self, now_us: u64, key: (u32, i32), batch: &SeenBatch) -> Result<(), String> {
        // Where its leader moves, a batch leaves for the new one at once (KAFKA-15415), however the producer heard of it.
        let Some(part) = self.parts.get(&key).filter(|_| !self.moved.contains(&key)) else { return Ok(()) };
        if part.identity != (batch.producer_id, batch.producer_epoch) {
            return Ok(());
        }
        let known = part.refused.iter().find(|known| known.is(batch.base_sequence, batch.crc));
        match known.filter(|known| PATIENCE.contains(&known.code)).filter(|known| {
            known.news == self.news() && now_us + self.terms.lag_us < known.at_us + self.terms.backoff_us
        }) {
            Some(known) => Err(format!("refused at {} us and sent again without a backoff: {batch:?}", known.at_us)),
            None => Ok(()),
        }
    }

    /// A broker remembers five batches of a producer and partition: more must not be in doubt.
    fn open(&mut self, key: (u32, i32), batch: &SeenBatch, is_new: bool) -> Result<(), String> {
        let part = self.parts.entry(key).or_default();
        let identity = (batch.producer_id, batch.producer_epoch);
        if identity > part.identity {
            *part = Part { identity, renamed: part.renamed || !part.refused.is_empty(), ..Part::default() };
        }
        let own = (batch.base_sequence, batch.crc);
        if identity < part.identity || !is_new || part.open.contains(&own) {
            return Ok(()); // a late arrival, or sent again
        }
        part.open.retain(|(sequence, _)| batch.base_sequence < 0 || *sequence != batch.base_sequence);
        part.open.push(own);
        if self.terms.idempotent && part.open.len() > self.terms.max_in_flight {
            return Err(format!("{} batches of a partition without an answer: {batch:?}", part.open.len()));
        }
        Ok(())
    }

    /// What a request was answered with in the end.
    pub(crate) fn amend(&mut self, request: &SeenRequest) {
        let Some(carried) = self.asked.get_mut(&(request.connection, request.correlation_id)) else { return };
        for batch in carried {
            let (topic, partition) = batch.part;
            let own = |seen: &&SeenBatch| seen.partition == partition && self.topics.get(&seen.topic) == Some(&topic);
            let Some(seen) = request.batches.iter().find(own).filter(|seen| seen.error_code != batch.code) else {
                continue;
            };
            batch.code = seen.error_code;
            batch.stored = is_stored(seen.error_code);
            self.codes.insert((Some(topic), partition, seen.error_code));
        }
    }

    /// The producer read the answer to a request.
    /// `news`: what [`Self::news`] was when the request was formed.
    pub(crate) fn answered(&mut self, now_us: u64, connection: ConnectionId, correlation_id: i32, news: u64) {
        let carried = self.asked.remove(&(connection, correlation_id)).unwrap_or_default();
        let moved = |batch: &&Carried| ErrorCode::from(batch.code).is_retriable() && !PATIENCE.contains(&batch.code);
        self.moves += carried.iter().filter(moved).count() as u64;
        for batch in carried.iter().filter(|batch| !batch.stored) {
            if let Some(part) = self.parts.get_mut(&batch.part).filter(|part| part.identity == batch.identity) {
                let Carried { base_sequence, crc, records, code, .. } = *batch;
                part.refused.retain(|known| !known.is(base_sequence, crc));
                // One record that is too large cannot be split.
                if is_final(code) || code == crate::error::MESSAGE_TOO_LARGE && records == 1 {
                    part.open.retain(|own| *own != (base_sequence, crc));
                } else if code != crate::error::MESSAGE_TOO_LARGE {
                    part.refused.push(Refused { base_sequence, crc, at_us: now_us, news, code });
                }
            }
        }
        for batch in carried.iter().filter(|batch| batch.stored) {
            let Some(part) = self.parts.get_mut(&batch.part).filter(|part| part.identity == batch.identity) else {
                continue;
            };
            part.proven = true;
            part.refused.retain(|known| !known.is(batch.base_sequence, batch.crc));
            // With sequence numbers a stored batch proves that all before it are stored.
            part.open.retain(|(sequence, crc)| {
                let later = batch.base_sequence >= 0 && is_later(*sequence, batch.base_sequence);
                later || batch.base_sequence < 0 && *crc != batch.crc
            });
        }
    }

    /// The producer gave up a batch because of its sequence number: batches that were refused for theirs are in doubt no longer.
    pub(crate) fn gave_up(&mut self, topic: &str, partition: i32) {
        let Some(topic) = self.topics.get(topic) else { return };
        let Some(part) = self.parts.get_mut(&(*topic, partition)) else { return };
        let mut gone = part.refused.iter().filter(|known| is_out_of_order(known.code));
        if let Some(gone) = gone.next().copied() {
            part.refused.retain(|known| !known.is(gone.base_sequence, gone.crc));
            part.open.retain(|own| *own != (gone.base_sequence, gone.crc));
        }
    }

    /// Whether a broker answered with this code for a partition.
    pub(crate) fn was_answered(&self, topic: &str, partition: i32, code: ErrorCode) -> bool {
        self.deceived || self.blind || self.surely_answered(topic, partition, code)
    }

    /// The same where that is known.
    pub(crate) fn surely_answered(&self, topic: &str, partition: i32, code: ErrorCode) -> bool {
        let code = code.code();
        let known = self.topics.get(topic);
        let by_name = known.is_some_and(|topic| self.codes.contains(&(Some(*topic), partition, code)));
        by_name || self.codes.contains(&(None, partition, code))
    }

    /// Takes one code for another, for tests.
    #[cfg(test)]
    pub(crate) fn mistake(&mut self, code: ErrorCode, other: ErrorCode) {
        let of = |(topic, partition, own)| (topic, partition, if own == code.code() { other.code() } else { own });
        self.codes = std::mem::take(&mut self.codes).into_iter().map(of).collect();
    }

    /// Whether a record of a partition may fail with this code; −1 is none.
    pub(crate) fn may_fail(&self, topic: &str, partition: i32, code: ErrorCode) -> bool {
        // What the cluster says of a topic, it says of records that wait for a partition. What may pass is final only when
        // the retries are used up, and then it may be the producer's own word on a connection.
        let by_topic = matches!(code, ErrorCode::INVALID_TOPIC_EXCEPTION | ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        by_topic && partition < 0
            || !self.terms.persistent && code.is_retriable()
            || self.was_answered(topic, partition, code)
    }

    /// A connection ended: nothing more is answered on it.
    pub(crate) fn ended(&mut self, connection: ConnectionId) {
        self.ended.insert(connection);
        let all = (connection, i32::MIN)..=(connection, i32::MAX);
        let left: Vec<_> = self.asked.range(all).map(|(key, _)| *key).collect();
        for key in left {
            self.asked.remove(&key);
        }
    }

    /// Whether all that a partition was sent is stored, and the producer knows it: nothing there waits for a retry.
    pub(crate) fn is_clear(&self, topic: &str, partition: i32) -> bool {
        let part = self.topics.get(topic).and_then(|topic| self.parts.get(&(*topic, partition)));
        // A batch without a name may be one of this partition's, and in doubt.
        let clear = |part: &Part| part.proven && part.open.is_empty() && part.refused.is_empty() && !part.renamed;
        !self.nameless && part.is_some_and(clear)
    }
}

/// Codes that say that the batch is in the log.
fn is_stored(code: i16) -> bool {
    matches!(code, crate::error::NONE | crate::error::DUPLICATE_SEQUENCE_NUMBER)
}

/// Whether a batch that is answered with this code never comes again. (What is too large comes in parts, what is corrupt once more, and
/// what is out of sequence under another epoch.)
fn is_final(code: i16) -> bool {
    !ErrorCode::from(code).is_retriable() && !matches!(code, 0 | 10 | 45 | 46 | 59)
}

fn is_out_of_order(code: i16) -> bool {
    let code = ErrorCode::from(code);
    matches!(code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID)
}

/// Whether a sequence number comes after another one; after `i32::MAX` comes 0.
fn is_later(sequence: i32, than: i32) -> bool {
    let distance = sequence.wrapping_sub(than) & i32::MAX;
    distance != 0 && distance < HALF
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        let mut config = Config::new("a:1");
        config.max_request_size = 1000;
        Watch::new(Terms::of(&config))
    }

    fn batch(partition: i32, base_sequence: i32) -> SeenBatch {
        SeenBatch {
            topic: "t".to_owned(),
            partition,
            producer_id: 7,
            producer_epoch: 0,
            base_sequence,
            records: 2,
            bytes: 100,
            crc: 1000 + base_sequence as u32,
            error_code: 0,
            base_offset: base_sequence.into(),
            appended: true,
        }
    }

    fn request(correlation_id: i32, batches: Vec<SeenBatch>) -> SeenRequest {
        SeenRequest {
            now_ms: 0,
            broker: 1,
            connection: ConnectionId(1),
            api_key: 0,
            api_version: 9,
            correlation_id,
            client_id: None,
            bytes: 0,
            acks: -1,
            batches,
        }
    }

    #[test]
    fn a_batch_may_come_again_but_not_with_other_records() {
        let mut watch = watch();
        watch.read(0, &request(1, vec![batch(0, 0)])).unwrap();
        watch.read(0, &request(2, vec![batch(0, 0)])).unwrap();
        for change in [
            |batch: &mut SeenBatch| batch.crc += 1,
            |batch: &mut SeenBatch| batch.records += 1,
            |batch: &mut SeenBatch| batch.bytes += 1,
        ] {
            let mut other = batch(0, 0);
            change(&mut other);
            let wrong = self::watch();
            let mut wrong = Watch { frozen: watch.frozen.clone(), topics: watch.topics.clone(), ..wrong };
            assert!(wrong.read(0, &request(3, vec![other])).unwrap_err().contains("given to other records"));
        }
        // Refused records are nowhere, so others may have their place.
        let refused = SeenBatch { error_code: 10, appended: false, ..batch(0, 2) };
        watch.read(0, &request(4, vec![refused])).unwrap();
        watch.read(0, &request(5, vec![SeenBatch { records: 1, ..batch(0, 2) }])).unwrap();
        let again = SeenBatch { error_code: 10, appended: false, ..batch(0, 2) };
        watch.read(0, &request(6, vec![again])).unwrap();
        assert!(watch.read(0, &request(6, vec![SeenBatch { records: 3, ..batch(0, 2) }])).is_err());
        // A batch of unknown fate that was found too large comes in parts, never in more records.
        watch.read(0, &request(8, vec![batch(0, 4)])).unwrap();
        watch.read(0, &request(8, vec![SeenBatch { error_code: 10, appended: false, ..batch(0, 4) }])).unwrap();
        assert!(watch.read(0, &request(8, vec![SeenBatch { records: 3, crc: 1, ..batch(0, 4) }])).is_err());
        watch.read(0, &request(8, vec![SeenBatch { records: 1, crc: 1, ..batch(0, 4) }])).unwrap();
        // After the wrap the first numbers come again.
        let mut round = self::watch();
        round.read(0, &request(9, vec![batch(0, 0)])).unwrap();
        round.read(0, &request(9, vec![batch(0, i32::MAX - 1)])).unwrap();
        round.read(0, &request(9, vec![SeenBatch { crc: 7, ..batch(0, 0) }])).unwrap();
        // Another epoch is another name.
        let other = SeenBatch { producer_epoch: 1, crc: 5, ..batch(0, 0) };
        watch.read(0, &request(7, vec![other])).unwrap();
    }

    #[test]
    fn a_request_holds_one_batch_of_a_partition_and_no_more_than_allowed() {
        let twice = request(1, vec![batch(0, 0), batch(1, 0), batch(0, 2)]);
        assert!(watch().read(0, &twice).unwrap_err().contains("two batches for one partition"));
        let large = request(1, (0..11).map(|partition| batch(partition, 0)).collect());
        assert!(watch().read(0, &large).unwrap_err().contains("max.request.size is 1000"));
        watch().read(0, &request(1, (0..10).map(|partition| batch(partition, 0)).collect())).unwrap();
        // Two topics, of neither of which the broker knows the id.
        let nameless = || SeenBatch { topic: String::new(), error_code: 100, appended: false, ..batch(0, 0) };
        watch().read(0, &request(1, vec![nameless(), nameless()])).unwrap();
    }

    #[test]
    fn no_more_than_five_batches_of_a_partition_are_in_doubt() {
        let mut watch = watch();
        for n in 0..5 {
            watch.read(0, &request(n, vec![batch(0, 2 * n)])).unwrap();
        }
        // Again is not more, and another partition has its own five.
        watch.read(0, &request(5, vec![batch(0, 4)])).unwrap();
        watch.read(0, &request(6, vec![batch(1, 0)])).unwrap();
        assert!(!watch.is_clear("t", 0));
        watch.answered(0, ConnectionId(1), 1, 0);
        for n in 5..7 {
            watch.read(0, &request(n + 2, vec![batch(0, 2 * n)])).unwrap();
        }
        assert!(watch.read(0, &request(9, vec![batch(0, 14)])).unwrap_err().contains("6 batches"));
    }

    #[test]
    fn refusals_keep_a_batch_in_doubt_and_later_answers_settle_earlier_batches() {
        let mut watch = watch();
        let refused = SeenBatch { error_code: crate::error::NOT_LEADER_OR_FOLLOWER, ..batch(0, 0) };
        watch.read(0, &request(1, vec![refused])).unwrap();
        watch.answered(0, ConnectionId(1), 1, 0);
        assert!(!watch.is_clear("t", 0));
        watch.read(0, &request(2, vec![batch(0, 2)])).unwrap();
        watch.answered(0, ConnectionId(1), 2, 0);
        // A log that was made anew may hold what comes behind a batch that was refused.
        assert!(!watch.is_clear("t", 0) && watch.parts[&(0, 0)].open.is_empty());
        watch.read(0, &request(5, vec![batch(0, 0)])).unwrap();
        watch.answered(0, ConnectionId(1), 5, 0);
        assert!(watch.is_clear("t", 0) && !watch.is_clear("t", 1) && !watch.is_clear("u", 0));
        // What failed for good is not in doubt: it never comes again.
        watch.read(0, &request(4, (4..8).map(|n| SeenBatch { error_code: 87, ..batch(n, 0) }).collect())).unwrap();
        watch.answered(0, ConnectionId(1), 4, 0);
        assert!((4..8).all(|n| watch.parts[&(0, n)].open.is_empty()));
        // Nor is a record that is too large; several go on in parts.
        let parts = [(8, 1), (9, 2)].map(|(n, records)| SeenBatch { error_code: 10, records, ..batch(n, 0) });
        watch.read(0, &request(6, parts.to_vec())).unwrap();
        watch.answered(0, ConnectionId(1), 6, 0);
        assert_eq!([8, 9].map(|n| watch.parts[&(0, n)].open.len()), [0, 1]);
        // A connection that ended answers nothing any more.
        watch.read(0, &request(3, vec![batch(0, 4)])).unwrap();
        watch.ended(ConnectionId(1));
        watch.answered(0, ConnectionId(1), 3, 0);
        assert!(!watch.is_clear("t", 0));
    }

    #[test]
    fn a_batch_that_was_given_up_for_its_sequence_is_in_doubt_no_longer() {
        let mut watch = watch();
        let refused = SeenBatch { error_code: 45, ..batch(0, 0) };
        watch.read(0, &request(1, vec![refused])).unwrap();
        watch.answered(0, ConnectionId(1), 1, 0);
        assert_eq!(watch.parts[&(0, 0)].open.len(), 1);
        watch.gave_up("t", 0);
        assert!(watch.parts[&(0, 0)].open.is_empty() && watch.parts[&(0, 0)].refused.is_empty());
    }

    #[test]
    fn a_refused_batch_may_wait_under_a_new_identity() {
        for (code, clear) in [(45, false), (0, true)] {
            let mut watch = watch();
            watch.read(0, &request(1, vec![SeenBatch { error_code: code, ..batch(0, 0) }])).unwrap();
            watch.answered(0, ConnectionId(1), 1, 0);
            watch.read(0, &request(2, vec![SeenBatch { producer_epoch: 1, ..batch(0, 0) }])).unwrap();
            watch.answered(0, ConnectionId(1), 2, 0);
            assert_eq!(watch.is_clear("t", 0), clear);
        }
    }

    #[test]
    fn a_refused_batch_backs_off() {
        let refused = SeenBatch { error_code: 19, appended: false, ..batch(0, 0) };
        let begin = || {
            let mut watch = watch();
            watch.read(0, &request(1, vec![refused.clone()])).unwrap();
            watch.answered(1000, ConnectionId(1), 1, 0);
            watch
        };
        assert!(begin().read(80_999, &request(2, vec![batch(0, 0)])).unwrap_err().contains("without a backoff"));
        begin().read(81_000, &request(2, vec![batch(0, 0)])).unwrap();
        begin().read(2000, &request(2, vec![batch(1, 0)])).unwrap();
        // There may be a new leader, or a connection that ended long ago speaks.
        let mut news = begin();
        news.refreshes += 1;
        news.read(2000, &request(2, vec![batch(0, 0)])).unwrap();
        let mut late = begin();
        late.ended(ConnectionId(1));
        late.read(2000, &request(2, vec![batch(0, 0)])).unwrap();
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert!(is_later(1, 0) && !is_later(0, 1) && !is_later(5, 5));
        assert!(is_later(0, i32::MAX) && !is_later(i32::MAX, 0) && is_later(3, i32::MAX - 3));
    }
}

//! What must hold of a version's evidence, one function per column of the table. The text of an error names the scenario.

use std::collections::BTreeMap;
use std::fmt::Debug;

use klamm_kafka_harness::LogBatch;

use crate::evidence::{Pair, Run, Scenario};

type Verdict = Result<(), String>;

/// klamm reads the clock every few milliseconds, not for each record; a busy machine can make that longer.
const SLACK_MS: i64 = 1000;

impl Scenario {
    fn name(&self) -> String {
        let Self { codec, acks, idempotence, timestamps, .. } = self;
        format!("codec {codec}, acks {acks}, idempotence {idempotence}, {timestamps}")
    }

    fn pairs(&self) -> Result<&[Pair], String> {
        self.records.as_deref().map_err(|error| format!("{}: {error}", self.name()))
    }

    fn expect<T: PartialEq + Debug>(&self, what: &str, got: T, wanted: T, of: impl Debug) -> Verdict {
        if got == wanted {
            return Ok(());
        }
        Err(format!("{}: {what} is {got:?}, not {wanted:?}, of {of:?}", self.name()))
    }
}

/// Batches are compressed as asked, whole and in the current format; every record is what was sent, byte for byte.
pub(crate) fn codec(run: &Run, codec: &str) -> Verdict {
    let mut found = 0;
    for scenario in run.scenarios.iter().filter(|scenario| scenario.codec == codec) {
        found += 1;
        let (mut records, mut compressed) = (0, 0);
        for batch in &scenario.batches {
            scenario.expect("CRC valid", batch.is_valid, true, batch)?;
            scenario.expect("magic", batch.magic, 2, batch)?;
            // A batch that compression would not make smaller travels as it is.
            let is_as_asked = batch.codec == codec;
            scenario.expect("codec", is_as_asked || batch.codec == "none", true, batch)?;
            records += batch.count;
            compressed += if is_as_asked { batch.count } else { 0 };
        }
        scenario.expect("most records compressed", compressed * 10 >= records * 9, true, (compressed, records))?;
        for pair in scenario.pairs()? {
            let (sent, read) = (&pair.sent, &pair.read);
            let headers: Vec<_> =
                sent.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            scenario.expect(
                "record",
                (&read.key, &read.value, &read.headers),
                (&sent.key, &sent.value, &headers),
                &pair.told,
            )?;
        }
    }
    if found == 8 { Ok(()) } else { Err(format!("{found} scenarios with codec {codec} were played, not 8")) }
}

/// With acks, the place that was told is the place; without, records arrive in order all the same.
pub(crate) fn acks(run: &Run) -> Verdict {
    for scenario in &run.scenarios {
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        for pair in scenario.pairs()? {
            let next = next.entry(pair.read.partition).or_default();
            let told = if scenario.acks == "0" { -1 } else { *next };
            scenario.expect("offset", pair.told.offset, told, &pair.sent)?;
            // One thread sends, and nothing else writes to the topic: offsets go up one by one.
            scenario.expect("offset read", pair.read.offset, *next, &pair.sent)?;
            scenario.expect("value", &pair.read.value, &pair.sent.value, &pair.told)?;
            *next += 1;
        }
    }
    Ok(())
}

/// Null, empty, text and binary keys come back as they are, each key always to the same partition.
pub(crate) fn keys(run: &Run) -> Verdict {
    for scenario in &run.scenarios {
        let mut home: BTreeMap<&[u8], i32> = BTreeMap::new();
        for pair in scenario.pairs()? {
            scenario.expect("key", &pair.read.key, &pair.sent.key, &pair.told)?;
            if let Some(key) = &pair.sent.key {
                let home = *home.entry(key).or_insert(pair.told.partition);
                scenario.expect("partition", pair.told.partition, home, key)?;
            }
        }
        scenario.expect("kinds of keys", home.len(), 3, "the scenario")?;
    }
    Ok(())
}

/// Headers come back in order: none, empty, null, repeated, non-ASCII, binary.
pub(crate) fn headers(run: &Run) -> Verdict {
    for scenario in &run.scenarios {
        for pair in scenario.pairs()? {
            let sent = pair.sent.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            scenario.expect("headers", &pair.read.headers, &sent.collect(), &pair.told)?;
        }
    }
    Ok(())
}

/// The record's own time, the time of the send, or the broker's where the topic says so; and klamm told the same.
pub(crate) fn timestamps(run: &Run) -> Verdict {
    for scenario in &run.scenarios {
        for pair in scenario.pairs()? {
            let (read, told, (before, after)) = (pair.read.timestamp, pair.told.timestamp, pair.sent_between);
            scenario.expect("timestamp type", pair.read.timestamp_type.as_str(), scenario.timestamps, &pair.told)?;
            let is_brokers = scenario.timestamps == "LogAppendTime";
            match pair.sent.timestamp {
                _ if is_brokers => scenario.expect("later than the send", read >= before, true, &pair.told)?,
                Some(given) => scenario.expect("timestamp", read, given, &pair.told)?,
                None => {
                    let is_near = (before - SLACK_MS..=after + SLACK_MS).contains(&read);
                    scenario.expect("the time of the send", is_near, true, &pair.told)?;
                }
            }
            // Without an answer nobody can tell the broker's time.
            if !(is_brokers && scenario.acks == "0") {
                scenario.expect("timestamp told", told, read, &pair.sent)?;
            }
        }
    }
    Ok(())
}

/// Sequences go up without a gap per producer, epoch and partition, from 0; without idempotence there are none.
pub(crate) fn idempotence(run: &Run) -> Verdict {
    let mut several = 0;
    for scenario in &run.scenarios {
        scenario.pairs()?;
        let mut next: BTreeMap<(i32, i64, i16), i32> = BTreeMap::new();
        for batch in &scenario.batches {
            let LogBatch { partition, producer_id, producer_epoch, base_sequence, last_sequence, count, .. } = *batch;
            if !scenario.idempotence {
                let identity = (producer_id, producer_epoch, base_sequence, last_sequence);
                scenario.expect("producer id, epoch, sequences", identity, (-1, -1, -1, -1), batch)?;
                continue;
            }
            scenario.expect("a producer id", producer_id >= 0 && producer_epoch >= 0, true, batch)?;
            let next = next.entry((partition, producer_id, producer_epoch)).or_default();
            several += i32::from(*next > 0);
            scenario.expect("base sequence", base_sequence, *next, batch)?;
            scenario.expect("last sequence", last_sequence, base_sequence + count - 1, batch)?;
            *next = last_sequence + 1;
        }
        if scenario.idempotence {
            scenario.expect("producer ids and epochs per partition", next.len(), 2, &next)?;
        }
    }
    if several > 10 { Ok(()) } else { Err(format!("only {several} batches followed another: nothing was tested")) }
}

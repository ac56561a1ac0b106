//! Holds what Kafka's own consumer read against what the producers said.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::PARTITIONS;
use crate::ledger::{Ledger, Told};
use crate::profile::{Content, HEADERS, Key, Profile, identity};

/// How many contradictions are told in words; all are counted.
const EXAMPLES: usize = 200;

/// A way in which the log and the producers' words can contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Acknowledged, and not there.
    Lost,
    /// There twice.
    Doubled,
    /// Behind a record of the same producer and partition that was sent later.
    Reordered,
    /// Elsewhere than told.
    Misplaced,
    /// There, although it was said not to be, or was never accepted.
    Unwanted,
    /// Not as it was sent.
    Altered,
    /// Nobody sent it.
    Stranger,
    /// It has no outcome.
    Open,
    /// It had a second outcome.
    ToldTwice,
}

/// What is known of one producer.
#[derive(Debug)]
struct Party {
    profile: Profile,
    ledger: Arc<Ledger>,
    /// How many numbers it used.
    used: u64,
    seen: Vec<u64>,
    /// The number of the last record in each partition.
    last: Vec<Option<u64>>,
    /// Records of unknown fate that are there.
    unknown_written: u64,
}

impl Party {
    /// Marks a record as seen; true if it was already.
    fn see(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        let before = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        before
    }

    fn has_seen(&self, number: u64) -> bool {
        self.seen[(number / 64) as usize] & 1 << (number % 64) != 0
    }
}

/// The judge of a run.
#[derive(Debug, Default)]
pub struct Judge {
    parties: Vec<Party>,
    /// Records read.
    pub read: u64,
    counts: BTreeMap<Wrong, u64>,
    examples: Vec<String>,
    /// Partitions with contradictions.
    pub partitions: std::collections::BTreeSet<u32>,
    /// The partition of each key.
    keys: BTreeMap<String, u32>,
    content: Content,
}

/// A line of the console consumer.
#[derive(Debug)]
struct Line<'a> {
    partition: u32,
    offset: u64,
    headers: &'a str,
    key: &'a str,
    value: &'a str,
}

/// What the console consumer prints for null.
pub const NULL: &str = "NULL";

/// `Partition:0<TAB>Offset:4<TAB>name:value,name:value<TAB>key<TAB>value`
fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut fields = std::str::from_utf8(line).ok()?.split('\t');
    let partition = fields.next()?.strip_prefix("Partition:")?.parse().ok()?;
    let offset = fields.next()?.strip_prefix("Offset:")?.parse().ok()?;
    let line = Line { partition, offset, headers: fields.next()?, key: fields.next()?, value: fields.next()? };
    (partition < PARTITIONS && fields.next().is_none()).then_some(line)
}

impl Judge {
    /// Adds a producer that used so many numbers; its number is the count of those before.
    pub fn party(&mut self, profile: Profile, ledger: Arc<Ledger>, used: u64) {
        self.parties.push(Party {
            profile,
            ledger,
            used,
            seen: vec![0; (used / 64 + 1) as usize],
            last: vec![None; PARTITIONS as usize],
            unknown_written: 0,
        });
    }

    fn wrong(&mut self, wrong: Wrong, partition: Option<u32>, text: impl FnOnce() -> String) {
        *self.counts.entry(wrong).or_default() += 1;
        self.partitions.extend(partition);
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{wrong:?}: {}", text()));
        }
    }

    /// Looks at a line that Kafka's consumer printed.
    pub fn line(&mut self, line: &[u8]) {
        self.read += 1;
        let shown = || String::from_utf8_lossy(line).into_owned();
        let Some(line) = parse(line) else { return self.wrong(Wrong::Stranger, None, shown) };
        let at = Some(line.partition);
        let Some((producer, number)) = identity(line.value)
            .filter(|&(producer, number)| self.parties.get(producer).is_some_and(|party| number < party.used))
        else {
            return self.wrong(Wrong::Stranger, at, shown);
        };
        if !self.is_as_sent(producer, number, &line) {
            self.wrong(Wrong::Altered, at, shown);
        }
        let party = &mut self.parties[producer];
        let doubled = party.see(number);
        let last = party.last[line.partition as usize].replace(number);
        let told = party.ledger.told(number);
        party.unknown_written += u64::from(told == Told::Unknown && !doubled);
        if doubled {
            self.wrong(Wrong::Doubled, at, || format!("{} ({told:?})", shown()));
        } else if let Some(last) = last.filter(|&last| last >= number) {
            self.wrong(Wrong::Reordered, at, || format!("behind {last}: {} ({told:?})", shown()));
        }
        match told {
            Told::Delivered { partition, offset } => {
                let there = partition == line.partition && offset.is_none_or(|offset| offset == line.offset);
                if !there && !doubled {
                    self.wrong(Wrong::Misplaced, at, || format!("{} ({told:?})", shown()));
                }
            }
            Told::Unknown => {}
            _ => self.wrong(Wrong::Unwanted, at, || format!("{} ({told:?})", shown())),
        }
    }

    fn is_as_sent(&mut self, producer: usize, number: u64, line: &Line<'_>) -> bool {
        let content = &mut self.content;
        content.make(producer, number);
        let [name, other] = HEADERS;
        let headers = format!("{name}:{},{other}:{}", content.headers[0], content.headers[1]);
        let place = match self.parties[producer].profile.key {
            Key::Null => line.key == NULL,
            Key::Partition => line.key == NULL && line.partition == content.partition,
            Key::Some => {
                // Equal keys go to equal partitions, whichever producer sends them.
                let home = match self.keys.get(line.key) {
                    Some(&home) => home,
                    None => *self.keys.entry(line.key.to_owned()).or_insert(line.partition),
                };
                line.key == content.key && home == line.partition
            }
        };
        place && line.headers == headers && line.value == content.value
    }

    /// Looks for what was not read, and sums up.
    pub fn verdict(mut self) -> Verdict {
        let mut verdict = Verdict { read: self.read, ..Verdict::default() };
        for at in 0..self.parties.len() {
            let (ledger, used) = (Arc::clone(&self.parties[at].ledger), self.parties[at].used);
            for number in 0..used {
                let told = ledger.told(number);
                match told {
                    Told::Delivered { partition, offset } => {
                        verdict.delivered += 1;
                        verdict.offset_not_told += u64::from(offset.is_none());
                        if !self.parties[at].has_seen(number) {
                            self.wrong(Wrong::Lost, Some(partition), || {
                                format!("{number} of producer {at} ({told:?})")
                            });
                        }
                    }
                    Told::Unknown => verdict.unknown += 1,
                    Told::NotWritten => verdict.not_written += 1,
                    Told::Refused => verdict.refused += 1,
                    Told::Nothing | Told::Open => {
                        self.wrong(Wrong::Open, None, || format!("{number} of producer {at}"));
                    }
                }
            }
            verdict.sent += used;
            verdict.unknown_written += self.parties[at].unknown_written;
            for _ in 0..ledger.again() {
                self.wrong(Wrong::ToldTwice, None, || format!("a record of producer {at}"));
            }
        }
        verdict.wrong = self.counts;
        verdict.examples = self.examples;
        verdict.partitions = self.partitions.into_iter().collect();
        verdict
    }
}

/// The outcome of a run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Numbers used.
    pub sent: u64,
    /// Records acknowledged.
    pub delivered: u64,
    /// Of those, records whose offset the broker did not tell.
    pub offset_not_told: u64,
    /// Records that failed and may be there.
    pub unknown: u64,
    /// Of those, records that are.
    pub unknown_written: u64,
    /// Records that failed and are not there.
    pub not_written: u64,
    /// Records that were not accepted.
    pub refused: u64,
    /// Records that the consumer read.
    pub read: u64,
    /// Contradictions by kind.
    pub wrong: BTreeMap<Wrong, u64>,
    /// Some of them, in words.
    pub examples: Vec<String>,
    /// Partitions with contradictions.
    pub partitions: Vec<u32>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wrong| self.wrong.get(&wrong).copied().unwrap_or(0);
        writeln!(
            f,
            "records: {} sent, {} acknowledged ({} without an offset), {} failed with fate Unknown ({} of them written), \
             {} failed NotWritten, {} not accepted; {} read back",
            self.sent,
            self.delivered,
            self.offset_not_told,
            self.unknown,
            self.unknown_written,
            self.not_written,
            self.refused,
            self.read
        )?;
        write!(
            f,
            "{} lost, {} doubled, {} reordered, {} misplaced, {} unwanted, {} altered, {} strangers, {} without outcome, {} with two",
            count(Wrong::Lost),
            count(Wrong::Doubled),
            count(Wrong::Reordered),
            count(Wrong::Misplaced),
            count(Wrong::Unwanted),
            count(Wrong::Altered),
            count(Wrong::Stranger),
            count(Wrong::Open),
            count(Wrong::ToldTwice)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::PROFILES;

    /// A judge of one keyed producer, and the line of each of its records, all in partition 5.
    fn judge(outcomes: &[Told]) -> (Judge, Vec<String>) {
        let ledger = Arc::new(Ledger::new(outcomes.len()));
        let mut lines = Vec::new();
        for (number, told) in outcomes.iter().enumerate() {
            ledger.open(number as u64);
            ledger.set(number as u64, *told);
            let mut content = Content::default();
            content.make(0, number as u64);
            let Content { key, value, .. } = content;
            lines.push(format!("Partition:5\tOffset:{number}\tproducer:0,number:{number}\t{key}\t{value}"));
        }
        let mut judge = Judge::default();
        judge.party(PROFILES[0], ledger, outcomes.len() as u64);
        (judge, lines)
    }

    fn delivered(offset: u64) -> Told {
        Told::Delivered { partition: 5, offset: Some(offset) }
    }

    fn wrongs(outcomes: &[Told], read: impl FnOnce(&mut Judge, &[String])) -> Vec<(Wrong, u64)> {
        let (mut judge, lines) = judge(outcomes);
        read(&mut judge, &lines);
        judge.verdict().wrong.into_iter().collect()
    }

    #[test]
    fn the_truth_is_accepted() {
        let outcomes = [delivered(0), Told::Unknown, Told::NotWritten, Told::Refused, delivered(4), Told::Unknown];
        let found = wrongs(&outcomes, |judge, lines| [0, 1, 4].iter().for_each(|&at| judge.line(lines[at].as_bytes())));
        assert_eq!(found, []);
    }

    #[test]
    fn every_lie_is_found() {
        let two = [delivered(0), delivered(1)];
        let read = |order: &'static [usize]| {
            move |judge: &mut Judge, lines: &[String]| order.iter().for_each(|&at| judge.line(lines[at].as_bytes()))
        };
        assert_eq!(wrongs(&two, read(&[0])), [(Wrong::Lost, 1)]);
        assert_eq!(wrongs(&two, read(&[0, 1, 1])), [(Wrong::Doubled, 1)]);
        assert_eq!(wrongs(&two, read(&[1, 0])), [(Wrong::Reordered, 1)]);
        assert_eq!(wrongs(&[delivered(1), delivered(1)], read(&[0, 1])), [(Wrong::Misplaced, 1)]);
        assert_eq!(wrongs(&[Told::NotWritten], read(&[0])), [(Wrong::Unwanted, 1)]);
        assert_eq!(wrongs(&[Told::Refused], read(&[0])), [(Wrong::Unwanted, 1)]);
        assert_eq!(wrongs(&[Told::Open], |_, _| ()), [(Wrong::Open, 1)]);
        let changed = wrongs(&[delivered(0)], |judge, lines| {
            judge.line(lines[0].replace("number:0", "number:1").as_bytes());
        });
        assert_eq!(changed, [(Wrong::Altered, 1)]);
        let strange =
            wrongs(&[Told::Refused], |judge, _| judge.line(b"Partition:0\tOffset:0\tNO_HEADERS\tNULL\thello"));
        assert_eq!(strange, [(Wrong::Stranger, 1)]);
    }
}

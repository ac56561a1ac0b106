//! Names that are known, but not settings: what to say about each.

/// Properties of the Java client that klamm does not implement yet, and what works instead.
pub(super) const NOT_YET: &[(&str, &str)] = &[
    ("transactional.id", "leave it out; idempotence keeps order and drops duplicates without it"),
    ("transaction.timeout.ms", "leave it out, together with transactional.id"),
    ("transaction.two.phase.commit.enable", "leave it out"),
    ("client.rack", "leave it out"),
    ("partitioner.rack.aware", "leave it out"),
    ("compression.gzip.level", "compression.type is none or lz4"),
    ("compression.lz4.level", "leave it out: lz4 has one level"),
    ("compression.zstd.level", "compression.type is none or lz4"),
    ("metadata.max.idle.ms", "leave it out: a topic makes room when the table is full"),
    ("metadata.cluster.check.enable", "leave it out"),
    ("bootstrap.resolve.timeout.ms", "leave it out: names are resolved when they are needed"),
    ("interceptor.classes", "leave it out"),
];

/// Prefixes of such properties.
pub(super) const NOT_YET_PREFIXES: &[(&str, &str)] =
    &[("sasl.", "connect to a listener without SASL"), ("ssl.", "connect to a PLAINTEXT listener")];

/// Properties that configure parts of the JVM or of the Java client.
pub(super) const NO_COUNTERPART: &[&str] = &[
    "auto.include.jmx.reporter",
    "buffer.memory.allocation.strategy",
    "config.providers",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "security.providers",
];

/// librdkafka's names for the same settings.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("allow.auto.create.topic", "allow.auto.create.topics"),
    ("bootstrap.server", "bootstrap.servers"),
    ("compression.codec", "compression.type"),
    ("message.max.bytes", "max.request.size"),
    ("message.send.max.retries", "retries"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("partitioner", "partitioner.class"),
    ("queue.buffering.max.kbytes", "buffer.memory"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("socket.receive.buffer.bytes", "receive.buffer.bytes"),
    ("socket.send.buffer.bytes", "send.buffer.bytes"),
    ("socket.timeout.ms", "request.timeout.ms"),
    ("topic.metadata.refresh.interval.ms", "metadata.max.age.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
];

/// The known name nearest to `name`, if it is near enough to be meant.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], ".");
    let wanted = plain(name);
    if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| *alias == wanted) {
        return Some(meant);
    }
    let (distance, nearest) =
        known.map(|known| (distance(&wanted, &plain(known)), known)).min_by_key(|found| found.0)?;
    (distance <= 2 + wanted.len() / 8).then_some(nearest)
}

/// How many letters must change to get from one name to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 2)] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn typing_errors_are_guessed_and_nonsense_is_not() {
        let known = || ["linger.ms", "batch.size", "bootstrap.servers"].into_iter();
        assert_eq!(nearest("linger_ms", known()), Some("linger.ms"));
        assert_eq!(nearest("Linger.m", known()), Some("linger.ms"));
        assert_eq!(nearest("queue.buffering.max.ms", known()), Some("linger.ms"));
        assert_eq!(nearest("fetch.min.bytes", known()), None);
    }
}

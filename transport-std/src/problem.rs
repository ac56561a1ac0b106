//! Sentences about the core's [`Problem`]s.

use klamm_core::Problem;

/// [`describe`], for a program that wants to hear of problems: others do not have its code.
pub(crate) type Describe = fn(&Problem, &klamm_core::Producer<'_>) -> String;

pub(crate) fn describe(problem: &Problem, core: &klamm_core::Producer<'_>) -> String {
    let topic = |id| core.topic_name(id).unwrap_or("?").to_owned();
    match *problem {
        Problem::Unreachable(why) => format!("no bootstrap server can be reached ({why:?}); trying on"),
        Problem::Peer(error) => format!("a server does not behave like a Kafka broker: {error}; trying on"),
        Problem::Fatal(code) => format!("the producer cannot go on: {code}"),
        Problem::TooManyBrokers => "more brokers than Limits::brokers: some partitions have to wait".to_owned(),
        Problem::HostTooLong => "a broker's host name is longer than Limits::host_bytes: it cannot be used".to_owned(),
        Problem::BrokerAddress => "a broker has no possible host or port: it cannot be used".to_owned(),
        Problem::DeclaredPartitions(id) => format!("topic {}: the declared partition count is wrong", topic(id)),
        Problem::Topic(id, code) => format!("topic {}: {code}", topic(id)),
        Problem::EpochBumped => "a gap in a partition's sequence: the producer went on with a new epoch".to_owned(),
        ref other => format!("{other:?}"),
    }
}

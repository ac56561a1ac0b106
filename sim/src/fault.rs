//! Faults by script: what goes wrong, for which request, how often.

use crate::protocol::Api;

/// What happens to a request or its answer.
///
/// Several actions of one [`Fault`] add up, such as an error with a message and a delay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Answers with this code and does nothing else: per partition for Produce, Fetch and ListOffsets, per topic (or per
    /// partition, if the fault names one) for Metadata, at the top for InitProducerId, ApiVersions and FindCoordinator.
    Error(i16),
    /// Produce: appends as usual and answers with this code all the same, as for `REQUEST_TIMED_OUT` and
    /// `NOT_ENOUGH_REPLICAS_AFTER_APPEND`.
    AppendThenError(i16),
    /// Produce v8+: the error message of the partition.
    Message(String),
    /// Produce v8+: record errors of the partition, as batch index and message.
    RecordErrors(Vec<(i32, Option<String>)>),
    /// Produce: the base offset in the answer.
    BaseOffset(i64),
    /// Produce v5+: the log start offset in the answer.
    LogStartOffset(i64),
    /// The request is never processed; the connection closes.
    CloseBefore,
    /// The request is processed; the connection closes without an answer.
    CloseAfter,
    /// The request is processed; the connection closes after this many bytes of the answer.
    CloseAfterBytes(usize),
    /// The answer, and with it every later one of the connection, comes this much later.
    Delay(u64),
    /// The request is processed and never answered. The connection stays open; nothing behind it is answered either, because
    /// answers keep the order of requests.
    NoAnswer,
    /// The same, but the request is not even processed.
    Ignore,
    /// The throttle time in the answer, in milliseconds.
    Throttle(i32),
    /// The partition is missing in the answer, although it was processed.
    DropPartition,
    /// The topic is missing in the answer.
    DropTopic,
    /// Every partition of the topic comes twice.
    DuplicatePartitions,
    /// The topic comes twice.
    DuplicateTopic,
    /// The partitions of each topic come in the opposite order.
    ReversePartitions,
    /// The topics come in the opposite order.
    ReverseTopics,
    /// Produce: a partition that was not asked for is answered as well.
    ExtraPartition(i32),
    /// These bytes are sent instead of the answer, frame size and all.
    Garbage(Vec<u8>),
    /// The answer carries this correlation id.
    CorrelationId(i32),
    /// These bytes stand behind the body, inside the frame.
    TrailingBytes(Vec<u8>),
    /// Produce v10+: no current leader and no node endpoints (KIP-951), although the error calls for them.
    OmitLeaderHint,
    /// Produce v10+: this current leader, with the endpoint if one is given.
    LeaderHint {
        /// Node id of the alleged leader.
        leader_id: i32,
        /// Its epoch.
        leader_epoch: i32,
        /// Its host and port; without, the node endpoints stay empty.
        endpoint: Option<(String, u16)>,
    },
    /// InitProducerId: this epoch instead of 0.
    ProducerEpoch(i16),
    /// Produce with acks=0 is answered, as some servers do against the protocol.
    AnswerAcksZero,
    /// Metadata: the partition (or every one of the topic) has no leader: error 5, leader -1.
    Leaderless,
    /// Metadata: another leader and epoch than the truth.
    Leader {
        /// Node id of the alleged leader.
        leader_id: i32,
        /// Its epoch.
        leader_epoch: i32,
    },
    /// Metadata: the leader epoch is lower by this much.
    StaleEpoch(i32),
    /// Metadata: no brokers at all.
    NoBrokers,
    /// Metadata: this broker is missing.
    OmitBroker(i32),
    /// Metadata: this broker is said to listen at this port, which may be none.
    BrokerPort {
        /// Node id of the broker.
        node_id: i32,
        /// As it stands in the answer.
        port: i32,
    },
    /// Metadata v13+: the error code of the whole answer, such as `REBOOTSTRAP_REQUIRED`.
    TopLevelError(i16),
    /// ApiVersions: error 35 in the layout of version 0, as for a version that the broker does not know.
    UnsupportedVersion {
        /// The highest version in the entry for ApiVersions; `None` leaves the list empty, as brokers before 2.4 do.
        max: Option<i16>,
    },
}

/// One scripted fault: a match and what happens on it.
///
/// ```
/// use klamm_sim::{Action, Api, Cluster, ClusterOptions, Fault, error};
/// let mut cluster = Cluster::new(ClusterOptions::default());
/// let fault = Fault::on(Api::Produce)
///     .topic("events")
///     .partition(1)
///     .skip(2)
///     .times(3)
///     .then(Action::AppendThenError(error::REQUEST_TIMED_OUT));
/// cluster.faults().push(fault);
/// // … and after the test: did it strike at all?
/// assert_eq!(cluster.faults().struck(), 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    api: Option<Api>,
    broker: Option<i32>,
    versions: Option<(i16, i16)>,
    topic: Option<String>,
    partition: Option<u32>,
    from_ms: u64,
    skip: u32,
    times: u32,
    actions: Vec<Action>,
}

impl Fault {
    /// A fault on one request of this API.
    #[must_use]
    pub fn on(api: Api) -> Self {
        Self { api: Some(api), ..Self::on_any() }
    }

    /// A fault on one request of any API.
    #[must_use]
    pub fn on_any() -> Self {
        Self {
            api: None,
            broker: None,
            versions: None,
            topic: None,
            partition: None,
            from_ms: 0,
            skip: 0,
            times: 1,
            actions: Vec::new(),
        }
    }

    /// Only at this broker.
    #[must_use]
    pub fn broker(mut self, broker: i32) -> Self {
        self.broker = Some(broker);
        self
    }

    /// Only for these request versions, inclusive.
    #[must_use]
    pub fn versions(mut self, min: i16, max: i16) -> Self {
        self.versions = Some((min, max));
        self
    }

    /// Only for requests that name this topic, and only for it.
    #[must_use]
    pub fn topic(mut self, topic: &str) -> Self {
        self.topic = Some(topic.to_owned());
        self
    }

    /// Only for requests that name this partition (of the topic, if one is set), and only for it.
    #[must_use]
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Only from this time on.
    #[must_use]
    pub fn from_ms(mut self, now_ms: u64) -> Self {
        self.from_ms = now_ms;
        self
    }

    /// Lets this many matching requests pass first.
    #[must_use]
    pub fn skip(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Strikes this many times (once, unless told).
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Strikes until the script is cleared.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Adds an action.
    #[must_use]
    pub fn then(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    fn hits(&self, topic: &str, partition: Option<i32>) -> bool {
        let topic_fits = self.topic.as_deref().is_none_or(|own| own == topic);
        let partition_fits = match (self.partition, partition) {
            (Some(own), Some(partition)) => i64::from(own) == i64::from(partition),
            // A Metadata request names topics only: the partition is looked for in the answer.
            _ => true,
        };
        topic_fits && partition_fits
    }

    fn matches(&self, request: &Sighting) -> bool {
        self.api.is_none_or(|api| api == request.api)
            && self.broker.is_none_or(|broker| broker == request.broker)
            && self.versions.is_none_or(|(min, max)| (min..=max).contains(&request.version))
            && request.now_ms >= self.from_ms
            && (self.topic.is_none() && self.partition.is_none()
                || request.targets.iter().any(|(t, p)| self.hits(t, *p)))
    }
}

/// What the script sees of a request.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) now_ms: u64,
    pub(crate) api: Api,
    pub(crate) broker: i32,
    pub(crate) version: i16,
    /// Topics, with a partition where the request names one.
    pub(crate) targets: Vec<(String, Option<i32>)>,
}

/// The faults to come.
///
/// For each request the script is read from its front. A fault that matches strikes and counts down; a later one with the same topic and
/// partition waits for a later request. So faults on one target strike one after the other, and faults on different partitions
/// of one request strike together.
#[derive(Debug, Clone, Default)]
pub struct FaultScript {
    faults: Vec<Fault>,
    struck: u64,
}

impl FaultScript {
    /// Adds a fault at the end.
    pub fn push(&mut self, fault: Fault) -> &mut Self {
        self.faults.push(fault);
        self
    }

    /// Forgets all that has not struck yet.
    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// Faults that have not been used up, those struck with [`Fault::always`] included.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.faults.len()
    }

    /// How often any fault struck so far.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults that strike this request, each used up once.
    pub(crate) fn strike(&mut self, request: &Sighting) -> Effects {
        let mut struck: Vec<Fault> = Vec::new();
        for fault in &mut self.faults {
            let taken = |other: &Fault| other.topic == fault.topic && other.partition == fault.partition;
            if !fault.matches(request) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.times == 0 || struck.iter().any(taken) {
                continue;
            }
            if fault.times != u32::MAX {
                fault.times -= 1;
            }
            self.struck += 1;
            struck.push(fault.clone());
        }
        self.faults.retain(|fault| fault.times > 0);
        Effects { struck }
    }
}

/// The faults that struck one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    struck: Vec<Fault>,
}

impl Effects {
    pub(crate) fn is_empty(&self) -> bool {
        self.struck.is_empty()
    }

    /// Every action, wherever it was aimed.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Action> {
        self.struck.iter().flat_map(|fault| &fault.actions)
    }

    /// The actions for one topic and, if given, partition.
    pub(crate) fn at<'s>(&'s self, topic: &'s str, partition: Option<i32>) -> impl Iterator<Item = &'s Action> {
        self.struck.iter().filter(move |fault| fault.hits(topic, partition)).flat_map(|fault| &fault.actions)
    }

    /// The actions for a whole topic, without those for one of its partitions.
    pub(crate) fn at_topic<'s>(&'s self, topic: &'s str) -> impl Iterator<Item = &'s Action> {
        self.struck
            .iter()
            .filter(move |fault| fault.partition.is_none() && fault.hits(topic, None))
            .flat_map(|fault| &fault.actions)
    }

    /// The code of the first [`Action::Error`].
    pub(crate) fn error(&self) -> Option<i16> {
        self.all().find_map(|action| match action {
            Action::Error(code) => Some(*code),
            _ => None,
        })
    }

    pub(crate) fn throttle_time_ms(&self) -> i32 {
        self.all()
            .find_map(|action| match action {
                Action::Throttle(ms) => Some(*ms),
                _ => None,
            })
            .unwrap_or(0)
    }

    pub(crate) fn has(&self, action: &Action) -> bool {
        self.all().any(|own| own == action)
    }
}

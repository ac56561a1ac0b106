//! What brokers say about the cluster.

use super::Cluster;
use super::node::Broker;
use super::serve::{Origin, reshape};
use super::topic::{Partition, Topic};
use crate::cluster::TopicOptions;
use crate::error;
use crate::fault::{Action, Effects};
use crate::protocol::metadata::{self as wire, NOT_REQUESTED, Request, Response};
use crate::wire::Uuid;

impl Broker {
    /// Whether it is in the cluster, for somebody who knows the metadata up to this version.
    fn is_there(&self, known: u64) -> bool {
        self.fenced.at(known).is_none_or(|(_, fenced)| !fenced)
    }

    /// Its entry in Metadata and Produce answers.
    pub(super) fn described(&self, node_id: i32) -> wire::Broker {
        wire::Broker { node_id, host: self.host.clone(), port: i32::from(self.port), rack: None }
    }
}

impl Cluster {
    pub(super) fn metadata(&mut self, origin: Origin, request: &Request<'_>, effects: &Effects) -> Response {
        let mut topics = Vec::new();
        match &request.topics {
            Some(asked) => {
                for topic in asked {
                    topics.push(self.asked_topic(origin, request, topic));
                }
            }
            None => {
                let known = self.brokers[&origin.broker].known;
                let names = self.topic_numbers.keys().filter_map(|name| self.topic_known(origin.broker, name));
                let all = names.map(|number| &self.topics[&number]);
                topics.extend(all.map(|topic| self.described_topic(known, topic)));
            }
        }
        let known = self.brokers[&origin.broker].known;
        let alive = self.brokers.iter().filter(|(_, broker)| broker.is_there(known));
        let mut response = Response {
            throttle_time_ms: effects.throttle_time_ms(),
            brokers: alive.map(|(id, broker)| broker.described(*id)).collect(),
            cluster_id: Some(self.cluster_id.clone()),
            controller_id: -1,
            topics,
            cluster_authorized_operations: NOT_REQUESTED,
            error_code: error::NONE,
        };
        response.controller_id = response.brokers.first().map_or(-1, |first| first.node_id);
        distort(&mut response, effects);
        response
    }

    fn asked_topic(&mut self, origin: Origin, request: &Request<'_>, asked: &wire::RequestTopic<'_>) -> wire::Topic {
        let known = self.brokers[&origin.broker].known;
        let Some(name) = asked.name else {
            // v10 and v11 have the field, but brokers refuse to look it up (KAFKA-13543).
            let code = if origin.version < 12 { error::UNSUPPORTED_VERSION } else { error::UNKNOWN_TOPIC_ID };
            let topic = self.topic_known_by_id(origin.broker, &asked.topic_id);
            return match topic.filter(|_| origin.version >= 12) {
                Some(number) => self.described_topic(known, &self.topics[&number]),
                None => failed_topic(code, None, asked.topic_id),
            };
        };
        if let Some(number) = self.topic_known(origin.broker, name) {
            return self.described_topic(known, &self.topics[&number]);
        }
        let code = self.create_on_demand(origin.broker, name, request.allow_auto_topic_creation);
        failed_topic(code, Some(name), [0; 16])
    }

    /// A topic that is asked for and missing: perhaps created, but in any case not there for this answer.
    fn create_on_demand(&mut self, broker: i32, name: &str, allowed: bool) -> i16 {
        if !is_legal_topic_name(name) {
            return error::INVALID_TOPIC_EXCEPTION;
        }
        if !allowed || !self.options.auto_create_topics {
            return error::UNKNOWN_TOPIC_OR_PARTITION;
        }
        let options = TopicOptions { partitions: self.options.default_partitions, ..TopicOptions::default() };
        self.create_topic_with(name, options);
        if self.brokers[&broker].versions.creating_is_leaderless {
            error::LEADER_NOT_AVAILABLE
        } else {
            error::UNKNOWN_TOPIC_OR_PARTITION
        }
    }

    fn described_topic(&self, known: u64, topic: &Topic) -> wire::Topic {
        let partitions = topic.known_partitions(known).iter().enumerate();
        wire::Topic {
            error_code: error::NONE,
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: false,
            partitions: partitions
                .map(|(index, partition)| self.described_partition(known, index as i32, partition))
                .collect(),
            topic_authorized_operations: NOT_REQUESTED,
        }
    }

    fn described_partition(&self, known: u64, index: i32, partition: &Partition) -> wire::Partition {
        let state = partition.states.at(known).map_or_else(|| partition.state(), |(_, state)| state);
        let offline = |node: &i32| !self.brokers[node].is_there(known);
        wire::Partition {
            error_code: if state.leader == -1 { error::LEADER_NOT_AVAILABLE } else { error::NONE },
            partition_index: index,
            leader_id: state.leader,
            leader_epoch: state.leader_epoch,
            replica_nodes: partition.nodes().collect(),
            isr_nodes: state.isr.clone(),
            offline_replicas: partition.nodes().filter(offline).collect(),
        }
    }
}

fn failed_topic(error_code: i16, name: Option<&str>, topic_id: Uuid) -> wire::Topic {
    wire::Topic {
        error_code,
        name: name.map(str::to_owned),
        topic_id,
        is_internal: false,
        partitions: Vec::new(),
        topic_authorized_operations: NOT_REQUESTED,
    }
}

fn is_legal_topic_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}

/// Applies the faults that make an answer wrong.
fn distort(response: &mut Response, effects: &Effects) {
    if effects.is_empty() {
        return;
    }
    for action in effects.all() {
        match action {
            Action::NoBrokers => response.brokers.clear(),
            Action::OmitBroker(id) => response.brokers.retain(|broker| broker.node_id != *id),
            Action::BrokerPort { node_id, port } => {
                let named = response.brokers.iter_mut().filter(|broker| broker.node_id == *node_id);
                named.for_each(|broker| broker.port = *port);
            }
            Action::TopLevelError(code) => response.error_code = *code,
            _ => {}
        }
    }
    for topic in &mut response.topics {
        let name = topic.name.clone().unwrap_or_default();
        for partition in &mut topic.partitions {
            let actions = effects.at(&name, Some(partition.partition_index));
            actions.for_each(|action| distort_partition(partition, action));
        }
        for action in effects.at_topic(&name) {
            if let Action::Error(code) = action {
                topic.error_code = *code;
                topic.partitions.clear();
            }
        }
    }
    reshape(
        &mut response.topics,
        effects,
        |topic| topic.name.clone().unwrap_or_default(),
        |topic| &mut topic.partitions,
        |partition| partition.partition_index,
    );
}

fn distort_partition(partition: &mut wire::Partition, action: &Action) {
    match action {
        Action::Error(code) => partition.error_code = *code,
        Action::Leaderless => {
            partition.error_code = error::LEADER_NOT_AVAILABLE;
            partition.leader_id = -1;
        }
        Action::Leader { leader_id, leader_epoch } => {
            partition.error_code = error::NONE;
            partition.leader_id = *leader_id;
            partition.leader_epoch = *leader_epoch;
        }
        Action::StaleEpoch(by) => {
            partition.leader_epoch = partition.leader_epoch.saturating_sub(*by).max(0);
        }
        _ => {}
    }
}

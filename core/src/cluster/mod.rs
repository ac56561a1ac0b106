//! What is known of the cluster: brokers, topics, leaders; and when to ask again.
//!
//! * [`topics`]: the topic table and its names in wire form.
//! * [`brokers`]: the broker table, leaders, hosts.
//! * [`refresh`]: when metadata is due, who is asked, what a failure means (PRODUCER g.1, g.4).
//! * [`metadata`]: the request as it is written, the response as it streams by (g.2).
//! * [`bootstrap`]: the way in, and the way back.

pub(crate) mod bootstrap;
pub(crate) mod broker;
mod brokers;
pub(crate) mod metadata;
pub(crate) mod refresh;
pub(crate) mod topic;
mod topics;

use crate::config::Config;
use crate::error::ConfigError;
use crate::state::State;

use bootstrap::Bootstrap;
use broker::Broker;
use metadata::MetadataResponse;
use refresh::Refresh;
use topic::Topic;

/// Knowledge of the cluster beyond the tables of topics and brokers.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Broker slots in use.
    pub(crate) brokers: u32,
    /// Brokers that wait for a connection slot.
    pub(crate) waiting: u32,
    /// Topics whose [`Event::Topic`](crate::Event::Topic) is due.
    pub(crate) topics_changed: u32,
    pub(crate) refresh: Refresh,
    pub(crate) reading: MetadataResponse,
    pub(crate) bootstrap: Bootstrap,
}

impl Cluster {
    pub(crate) fn new(config: &Config<'_>, host_max: usize) -> Result<Self, ConfigError> {
        let mut servers = 0u16;
        for entry in config.bootstrap() {
            let (host, _) = entry?;
            if host.len() > host_max {
                return Err(ConfigError::HostTooLong { max: host_max as u32 });
            }
            servers = servers.saturating_add(1);
        }
        Ok(Self {
            brokers: 0,
            waiting: 0,
            topics_changed: 0,
            refresh: Refresh::new(),
            reading: MetadataResponse::new(),
            bootstrap: Bootstrap::new(servers),
        })
    }
}

impl State<'_> {
    /// Fresh tables. Storage may have served another producer before.
    pub(crate) fn init_cluster(&mut self) {
        for topic in 0..self.topics.len() {
            *self.topics.at_mut(topic) = Topic::new();
        }
        for broker in 0..self.brokers.len() {
            *self.brokers.at_mut(broker) = Broker::new();
        }
        self.init_connections();
        // Like every Kafka client, learn the cluster before the first record asks for it.
        self.refresh_metadata(true);
    }
}

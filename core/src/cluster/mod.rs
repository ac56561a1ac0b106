//! What is known of the cluster: brokers, topics, leaders; and when to ask again.
//!
//! * [`topics`]: the topic table and its names in wire form.
//! * [`brokers`]: the broker table, leaders, hosts.
//! * [`refresh`]: when metadata is due, who is asked, what a failure means (PRODUCER g.1, g.4).
//! * [`metadata`]: the request as it is written, the response as it streams by (g.2).
//! * [`bootstrap`]: the way in, and the way back.

pub(crate) mod bootstrap;
mod brokers;
pub(crate) mod metadata;
pub(crate) mod refresh;
mod topics;

use crate::state::State;
use crate::state::broker::Broker;
use crate::state::topic::Topic;

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

//! The controller: what it decides, whom it takes for alive, which ISRs it grants.

use super::agenda::Due;
use super::topic::{Place, State};
use super::{Cluster, TopicOptions};
use std::collections::{BTreeMap, BTreeSet};

/// The controller's node, as an end of the links of [`Cluster::cut`].
pub const CONTROLLER: i32 = 0;

#[derive(Debug)]
pub(super) struct Controller {
    pub(super) running: bool,
    /// Its decisions are numbered; a broker's knowledge is the number up to which it heard of them.
    pub(super) version: u64,
    /// The partitions that each decision touched, for the brokers that have a replica.
    pub(super) changes: BTreeMap<u64, BTreeMap<i32, Vec<Place>>>,
    /// Partitions whose leaders ask for another ISR.
    wishes: BTreeSet<Place>,
    altering: bool,
    /// What it is asked to do while it does not run.
    postponed: Vec<Command>,
}

/// What an administrator asks of the controller.
#[derive(Debug)]
pub(super) enum Command {
    Create(String, TopicOptions),
    Delete(String),
    Recreate(String),
    Grow(String, u32),
    Move(String, u32, i32),
}

/// A decision in the making.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) version: u64,
    /// What every broker knows already.
    pub(super) oldest: u64,
    touched: BTreeMap<i32, Vec<Place>>,
}

impl Draft {
    pub(super) fn touch(&mut self, node: i32, place: Place) {
        self.touched.entry(node).or_default().push(place);
    }
}

impl Controller {
    pub(super) fn new() -> Self {
        Self {
            running: true,
            version: 0,
            changes: BTreeMap::new(),
            wishes: BTreeSet::new(),
            altering: false,
            postponed: Vec::new(),
        }
    }
}

impl Cluster {
    // ---- decisions ----

    pub(super) fn draft(&mut self) -> Draft {
        self.controller.version += 1;
        let running = self.brokers.values().filter(|broker| broker.is_running());
        let oldest = running.map(|broker| broker.known).min().unwrap_or(self.controller.version);
        while let Some(change) = self.controller.changes.first_entry().filter(|change| *change.key() <= oldest) {
            change.remove();
        }
        Draft { version: self.controller.version, oldest, touched: BTreeMap::new() }
    }

    /// Puts a partition's new state into a decision.
    pub(super) fn decide(&mut self, draft: &mut Draft, place: Place, state: State) {
        let Some(topic) = self.topics.get_mut(&place.topic) else { return };
        let Some(partition) = topic.partitions.get_mut(place.partition as usize) else { return };
        let before = partition.state();
        if before.leader_epoch != state.leader_epoch {
            let State { leader, leader_epoch, isr } = &state;
            let clean = before.isr.contains(leader) || *leader == -1 || isr.len() > 1;
            let kind = if clean { "" } else { ", unclean" };
            let line = format!("{}-{}: leader {leader} epoch {leader_epoch}{kind}", topic.name, place.partition);
            self.news.push(line);
        }
        if before.isr != state.isr {
            self.news.push(format!("{}-{}: ISR {:?} -> {:?}", topic.name, place.partition, before.isr, state.isr));
        }
        for node in partition.nodes() {
            draft.touch(node, place);
        }
        partition.states.set(draft.version, state, draft.oldest);
    }

    /// A decision is made: the brokers are going to hear of it.
    pub(super) fn publish(&mut self, draft: Draft) {
        self.controller.changes.insert(draft.version, draft.touched);
        self.tell_all();
    }

    /// Keeps a command for later if there is no controller to obey. Whether it did.
    pub(super) fn postpone(&mut self, command: impl FnOnce() -> Command) -> bool {
        let absent = !self.controller.running;
        if absent {
            self.controller.postponed.push(command());
        }
        absent
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Create(name, options) => self.create_topic_with(&name, options),
            Command::Delete(name) => self.delete_topic(&name),
            Command::Recreate(name) => self.recreate_topic(&name),
            Command::Grow(name, more) => self.add_partitions(&name, more),
            Command::Move(name, partition, broker) => self.move_leader(&name, partition, broker),
        }
    }

    // ---- the controller itself ----

    /// Stops the controller: no leader is elected, no ISR changes, no topic is created, and nobody's death is noticed, until it starts
    /// again. Then it does what it was asked in between.
    pub fn stop_controller(&mut self) {
        if !self.controller.running {
            return;
        }
        self.controller.running = false;
        self.news.push("controller stops".to_owned());
        let sessions: Vec<_> = self.brokers.values_mut().map(|broker| broker.session.take()).collect();
        sessions.into_iter().for_each(|session| self.agenda.cancel(session));
    }

    /// Starts the controller again. Every broker has a whole session time to show itself.
    pub fn start_controller(&mut self, now_ms: u64) {
        self.advance(now_ms);
        if self.controller.running {
            return;
        }
        self.controller.running = true;
        self.news.push("controller starts".to_owned());
        let draft = self.draft();
        self.publish(draft);
        let nodes: Vec<i32> = self.brokers.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.reassess(node));
        for command in std::mem::take(&mut self.controller.postponed) {
            self.obey(command);
        }
        let all = self.topics.iter().flat_map(|(&topic, state)| {
            (0..state.partitions.len() as u32).map(move |partition| Place { topic, partition })
        });
        self.controller.wishes.extend(all);
        self.alter_soon();
        self.settle();
    }

    // ---- sessions ----

    /// Whether the controller gets a broker's heartbeats.
    fn is_heard(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.is_running() && !broker.paused)
            && !self.cuts.contains(&(broker, CONTROLLER))
    }

    /// Whether broker and controller can ask each other and answer.
    pub(super) fn is_in_touch(&self, broker: i32) -> bool {
        self.controller.running && self.is_heard(broker) && !self.cuts.contains(&(CONTROLLER, broker))
    }

    /// A broker may have become silent, or be heard again.
    pub(super) fn reassess(&mut self, node: i32) {
        let (heard, in_touch) = (self.is_heard(node), self.is_in_touch(node));
        if !self.controller.running {
            return;
        }
        let ends_ms = self.now_ms.saturating_add(self.options.replication.session_ms);
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        let fenced = *broker.fenced.latest();
        if heard {
            let session = broker.session.take();
            self.agenda.cancel(session);
            if fenced && in_touch {
                self.unfence(node);
            }
        } else if !fenced && broker.session.is_none() {
            broker.session = Some(self.agenda.add(ends_ms, Due::Session(node)));
        }
    }

    pub(super) fn end_session(&mut self, node: i32) {
        if let Some(broker) = self.brokers.get_mut(&node) {
            broker.session = None;
            self.fence(node);
        }
    }

    /// The controller takes a broker for dead.
    pub(super) fn fence(&mut self, node: i32) {
        let mut draft = self.draft();
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        let session = broker.session.take();
        broker.fenced.set(draft.version, true, draft.oldest);
        self.agenda.cancel(session);
        self.news.push(format!("broker {node} fenced"));
        self.remove_from_partitions(&mut draft, node);
        self.publish(draft);
    }

    fn unfence(&mut self, node: i32) {
        let mut draft = self.draft();
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        broker.fenced.set(draft.version, false, draft.oldest);
        self.news.push(format!("broker {node} unfenced"));
        self.elect_leaderless(&mut draft, node);
        self.publish(draft);
        // Leaders whose follower it is may have been refused before.
        let hosted = self.hosted(node);
        self.controller.wishes.extend(hosted);
        self.alter_soon();
    }

    // ---- ISRs ----

    /// A leader asks for another ISR (AlterPartition).
    pub(super) fn wish_isr(&mut self, place: Place) {
        self.controller.wishes.insert(place);
        self.alter_soon();
    }

    /// The same for every partition of a broker.
    pub(super) fn wish_isrs_of(&mut self, node: i32) {
        let hosted = self.hosted(node);
        self.controller.wishes.extend(hosted);
        self.alter_soon();
    }

    fn alter_soon(&mut self) {
        if !self.controller.altering && !self.controller.wishes.is_empty() {
            self.controller.altering = true;
            self.agenda.add(self.now_ms, Due::AlterIsr);
        }
    }

    /// All wishes of one moment are one decision. A wish that cannot be granted now is made again when that changes.
    pub(super) fn alter_isrs(&mut self) {
        self.controller.altering = false;
        let wishes = std::mem::take(&mut self.controller.wishes);
        if !self.controller.running {
            return;
        }
        let mut granted = Vec::new();
        for place in wishes {
            if let Some((leader, isr)) = self.granted_isr(place) {
                granted.push((place, leader, isr));
            }
        }
        if granted.is_empty() {
            return;
        }
        let mut draft = self.draft();
        let version = draft.version;
        for (place, leader, isr) in &granted {
            let Some(partition) = self.partition_at(*place) else { continue };
            let state = State { isr: isr.clone(), ..partition.state().clone() };
            self.decide(&mut draft, *place, state);
            // The leader has it from the controller's answer.
            if let Some(replica) = self.partition_at_mut(*place).and_then(|partition| partition.replica_mut(*leader)) {
                replica.version = version;
                if let Some(leadership) = replica.leadership_mut() {
                    leadership.isr.clone_from(isr);
                }
            }
        }
        self.publish(draft);
        for (place, leader, _) in granted {
            self.tend(place, leader);
        }
    }

    /// The ISR that a leader wants and may have, if that is a change.
    fn granted_isr(&self, place: Place) -> Option<(i32, Vec<i32>)> {
        let partition = self.partition_at(place)?;
        let state = partition.state();
        let leader = partition.replica(state.leader)?;
        let leadership = leader.leadership()?;
        // A leader that does not know the latest state is refused (INVALID_UPDATE_VERSION), and a deposed one fenced.
        let current = leader.epoch == state.leader_epoch && leader.version == partition.states.since();
        if !current || !self.is_in_touch(leader.node) || !self.is_usable(leader.node) {
            return None;
        }
        let limit = self.options.replication.lag_time_max_ms;
        let lags = |since: u64| self.now_ms.saturating_sub(since) > limit;
        let isr = partition.isr_of(|node| {
            let member = state.isr.contains(&node);
            node == leader.node
                || leadership.keeps_up(node, leader.high_watermark, lags) && (member || self.is_usable(node))
        });
        (isr != state.isr).then_some((leader.node, isr))
    }
}

//! What goes wrong, drawn from a seed.
//!
//! A [`Nemesis`] works against a [`World`]: it kills brokers, breaks connections, loses answers, moves leaders, and so on, at
//! times of its own on the world's virtual clock. Which [`Trouble`]s it uses, how often and how hard, follows from one seed. Not
//! every world has every trouble: some have few, some have many, since two troubles at a time find what twenty would hide.
//!
//! Each trouble draws from a generator of its own. Leaving one out ([`Nemesis::without`]) leaves the choices of the others as they were,
//! so that a failure can be reduced to the troubles that it takes.
//!
//! ```
//! use klamm_sim::nemesis::{Nemesis, Trouble};
//! use klamm_sim::world::{World, WorldOptions};
//!
//! let nemesis = Nemesis::only(7, &[Trouble::Kills, Trouble::LostAcks]);
//! let mut world = World::new(WorldOptions::seeded(7).nemesis(nemesis));
//! world.cluster_mut().create_topic("readings", 3);
//! let topic = world.topic("readings");
//! for reading in 0..100 {
//!     world.send_value(topic, format!("{reading}")).unwrap();
//!     world.run_for(50);
//! }
//! world.calm();
//! assert!(world.run_until_idle(120_001));
//! world.verify();
//! ```

mod check;
mod cluster;
mod network;
mod script;
mod trouble;

pub use check::{check, check_with};
pub use trouble::{Trouble, UnknownTrouble};

use crate::world::{Checks, Random, World};
use klamm_core::Acks;
use std::collections::BTreeMap;
use std::fmt;

/// Ends what a trouble began.
type Undo = Box<dyn FnOnce(&mut World)>;

/// What a trouble did.
struct Deed {
    /// For the trace.
    what: String,
    /// Some troubles last, others are over at once.
    undo: Option<Undo>,
}

impl Deed {
    fn once(what: String) -> Self {
        Self { what, undo: None }
    }

    fn until(what: String, undo: impl FnOnce(&mut World) + 'static) -> Self {
        Self { what, undo: Some(Box::new(undo)) }
    }
}

/// One trouble at work.
struct Actor {
    trouble: Trouble,
    random: Random,
    /// About how long there is peace.
    every_ms: u64,
    /// About how long there is trouble.
    lasts_ms: u64,
    due_us: u64,
    undo: Option<Undo>,
}

impl Actor {
    fn act(&mut self, world: &mut World) -> bool {
        let now_us = world.now_us();
        if let Some(undo) = self.undo.take() {
            undo(world);
            world.note(format_args!("nemesis: {} ends", self.trouble));
            self.due_us = now_us + 1000 * about(&mut self.random, self.every_ms);
            return false;
        }
        let deed = begin(self.trouble, &mut self.random, world);
        let did = deed.is_some();
        if let Some(deed) = deed {
            world.note(format_args!("nemesis: {}: {}", self.trouble, deed.what));
            self.undo = deed.undo;
        }
        let pause_ms = if self.undo.is_some() { self.lasts_ms } else { self.every_ms };
        self.due_us = now_us + 1000 * about(&mut self.random, pause_ms);
        did
    }
}

/// A quarter to nearly twice of it, never nothing.
fn about(random: &mut Random, ms: u64) -> u64 {
    random.within(&(ms / 4..=ms * 7 / 4)).max(1)
}

/// See the [module's documentation](self).
pub struct Nemesis {
    actors: Vec<Actor>,
    counts: BTreeMap<Trouble, u64>,
}

impl fmt::Debug for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nemesis").field(&self.troubles()).finish()
    }
}

impl Nemesis {
    /// The troubles of a seed, lossy ones ([`Trouble::is_lossy`]) included.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let permille = *Random::new(seed).pick(&[0, 40, 80, 150, 150, 300, 500]);
        Self::draw(seed, |trouble, random| random.chance(permille / trouble.rarity()))
    }

    /// These troubles, as hard as the seed makes them.
    #[must_use]
    pub fn only(seed: u64, troubles: &[Trouble]) -> Self {
        Self::draw(seed, |trouble, _| troubles.contains(&trouble))
    }

    fn draw(seed: u64, mut has: impl FnMut(Trouble, &mut Random) -> bool) -> Self {
        let actor = |&trouble: &Trouble| {
            let mut random = Random::new(seed ^ trouble.salt()).fork();
            let mut own = random.fork();
            if !has(trouble, &mut random) {
                return None;
            }
            let every_ms = *own.pick(&[30, 200, 1000, 1000, 5000, 20_000]);
            let lasts_ms = *own.pick(&[10, 100, 1000, 1000, 5000, 20_000]);
            let due_us = own.below(every_ms) * 1000;
            Some(Actor { trouble, random: own, every_ms, lasts_ms, due_us, undo: None })
        };
        Self { actors: Trouble::ALL.iter().filter_map(actor).collect(), counts: BTreeMap::new() }
    }

    /// The same without these.
    #[must_use]
    pub fn without(mut self, troubles: &[Trouble]) -> Self {
        self.actors.retain(|actor| !troubles.contains(&actor.trouble));
        self
    }

    /// The same without those that make the cluster lose or invent records.
    #[must_use]
    pub fn without_lossy(mut self) -> Self {
        self.actors.retain(|actor| !actor.trouble.is_lossy());
        self
    }

    /// Which troubles there are, in the order of [`Trouble::ALL`].
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        self.actors.iter().map(|actor| actor.trouble).collect()
    }

    /// How often each struck so far. A trouble that lasts counts once each time.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<Trouble, u64> {
        &self.counts
    }

    /// What can be said of the logs of a producer with these acks under these troubles.
    #[must_use]
    pub fn leaves(&self, acks: Acks) -> Checks {
        let replicated = acks == Acks::All || !self.actors.iter().any(|actor| actor.trouble.loses_unreplicated());
        let all = Checks { offsets: replicated, fates: true, once_in_order: true };
        self.actors.iter().map(|actor| actor.trouble.leaves()).fold(all, Checks::and)
    }

    /// When it acts next, in microseconds.
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.actors.iter().map(|actor| actor.due_us).min()
    }

    /// Does what is due. Whether anything was.
    pub(crate) fn act(&mut self, world: &mut World) -> bool {
        let now_us = world.now_us();
        let mut acted = false;
        for actor in self.actors.iter_mut().filter(|actor| actor.due_us <= now_us) {
            acted = true;
            if actor.act(world) {
                *self.counts.entry(actor.trouble).or_default() += 1;
            }
        }
        acted
    }

    /// Ends every trouble that lasts, and lets none begin again.
    pub(crate) fn end(&mut self, world: &mut World) {
        for mut actor in std::mem::take(&mut self.actors) {
            if let Some(undo) = actor.undo.take() {
                undo(world);
            }
        }
    }
}

/// Lets a trouble strike. `None` if there is nothing to strike at.
fn begin(trouble: Trouble, random: &mut Random, world: &mut World) -> Option<Deed> {
    network::begin(trouble, random, world)
        .or_else(|| cluster::begin(trouble, random, world))
        .or_else(|| script::begin(trouble, random, world))
}

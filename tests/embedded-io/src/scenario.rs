//! The usual application: some tasks that publish, one that listens, and one that drives.

use klamm_core::{Config, TopicId};
use std::cell::Cell;
use std::time::Duration;

use crate::{Executor, Ledger, SimShared, TOPIC, World, drive, share};

/// An application in its world.
#[derive(Debug)]
pub struct Scenario {
    /// What is outside.
    pub world: World,
    /// The producer.
    pub shared: SimShared,
    /// The account of all records.
    pub ledger: Ledger,
    /// The topic.
    pub topic: TopicId,
    /// Tasks that still publish.
    publishing: Cell<usize>,
}

impl Scenario {
    /// An application that has sent nothing yet.
    ///
    /// # Panics
    /// If the configuration cannot work.
    #[must_use]
    pub fn new(world: World, change: impl FnOnce(&mut Config<'static>)) -> Self {
        let shared = share(&world, change);
        let topic = shared.topic(TOPIC).expect("there is room for a topic");
        Self { world, shared, ledger: Ledger::default(), topic, publishing: Cell::new(0) }
    }

    /// Spawns the listener, `tasks` publishers of `records` each, and with the last of them done, flush and close.
    pub fn spawn_application<'t>(&'t self, executor: &mut Executor<'t>, tasks: u32, records: u32, interval_ms: u64) {
        executor.spawn(self.ledger.listen(&self.shared));
        self.publishing.set(tasks as usize);
        for task in 0..tasks {
            executor.spawn(self.publish(task, records, interval_ms));
        }
    }

    /// Spawns the driver; returns its number.
    pub fn spawn_driver<'t>(&'t self, executor: &mut Executor<'t>) -> usize {
        executor.spawn(async {
            let mut driver = drive(&self.world, &self.shared);
            driver.run().await;
        })
    }

    async fn publish(&self, task: u32, records: u32, interval_ms: u64) {
        for number in 0..records {
            self.ledger.send(&self.shared, self.topic, (task, number)).await.expect("it waits for room");
            if interval_ms > 0 {
                self.world.sleep_ms(interval_ms).await;
            }
        }
        self.publishing.set(self.publishing.get() - 1);
        if self.publishing.get() == 0 {
            self.shared.flush().await;
            let accepted = self.ledger.with(|accounts| accounts.accepted);
            assert_eq!(self.ledger.settled(), accepted, "flushed is flushed");
            self.shared.close(Duration::from_secs(30)).await;
            assert!(self.ledger.with(|accounts| accounts.closed));
        }
    }

    /// Every record that was sent is in the log, once, in order.
    ///
    /// # Panics
    /// If not.
    pub fn verify_all_delivered(&self, expected: usize) {
        self.world.with(|state| self.ledger.verify_all_delivered(&state.cluster, expected));
    }
}

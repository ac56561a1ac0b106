//! A single-threaded executor in simulated time.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::World;

/// Tasks, and the world that they live in.
pub struct Executor<'t> {
    world: World,
    tasks: Vec<Task<'t>>,
}

struct Task<'t> {
    future: Option<Pin<Box<dyn Future<Output = ()> + 't>>>,
    flag: Arc<Flag>,
    polls: usize,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<'t> Executor<'t> {
    /// Without tasks.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), tasks: Vec::new() }
    }

    /// Adds a task and returns its number.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 't) -> usize {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.push(Task { future: Some(Box::pin(future)), flag, polls: 0 });
        self.tasks.len() - 1
    }

    /// How often a task was polled.
    #[must_use]
    pub fn polls(&self, task: usize) -> usize {
        self.tasks[task].polls
    }

    /// Runs for that many milliseconds, or until all tasks have ended. True if they have.
    pub fn run_ms(&mut self, ms: u64) -> bool {
        let until_us = self.world.with(|state| state.now_us) + ms * 1000;
        loop {
            self.poll_woken();
            if self.tasks.iter().all(|task| task.future.is_none()) {
                return true;
            }
            if !self.world.advance(until_us) {
                return false;
            }
        }
    }

    /// Polls every task that was woken, by turns, until none is.
    fn poll_woken(&mut self) {
        let mut polled = 0;
        while self.tasks.iter().any(Task::is_woken) {
            for task in self.tasks.iter_mut().filter(|task| task.is_woken()) {
                task.poll();
                polled += 1;
            }
            assert!(polled < 100_000, "tasks wake each other without end");
        }
    }
}

impl Task<'_> {
    fn is_woken(&self) -> bool {
        self.future.is_some() && self.flag.0.load(Ordering::SeqCst)
    }

    fn poll(&mut self) {
        self.flag.0.store(false, Ordering::SeqCst);
        self.polls += 1;
        let waker = Waker::from(Arc::clone(&self.flag));
        let ended = |future: &mut Pin<Box<dyn Future<Output = ()> + '_>>| {
            future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        };
        if self.future.as_mut().is_some_and(ended) {
            self.future = None;
        }
    }
}

impl std::fmt::Debug for Executor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.tasks.iter().map(|task| (task.polls, task.future.is_some()))).finish()
    }
}

/// Ends after so many polls of the future that did not end it; true if the future ended.
pub async fn for_polls(mut future: Pin<&mut impl Future<Output = ()>>, polls: usize) -> bool {
    let mut left = polls;
    poll_fn(|cx| {
        if future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        match left {
            0 => Poll::Ready(false),
            _ => {
                left -= 1;
                Poll::Pending
            }
        }
    })
    .await
}

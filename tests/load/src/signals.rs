//! What signals and child processes do to a producer: nothing. Run in a process of its own (`klamm-load signals`), because signals
//! go to a whole process: the thread that they are to hit must be the only one that does not block them.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use klamm::{Producer, Record};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::Result;
use crate::child::Server;
use crate::stress::{builder, value};
use crate::verify::Ledger;

const STORM: Signal = Signal::SIGUSR1;
const PATIENCE: Duration = Duration::from_secs(60);
/// A signal follows as soon as the one before it was handled, after a pause that lets the thread get some work done.
const PAUSE: Duration = Duration::from_micros(20);

/// Signals hit the I/O thread, and no other, one after the other while it works. Each interrupts its wait for the sockets (EINTR).
/// Returns how many there were.
///
/// # Errors
/// A record is not delivered.
pub fn storm(bootstrap: &str, records: u64) -> Result<u64> {
    let hit = Arc::new(AtomicBool::new(false));
    let hook = signal_hook::flag::register(STORM as i32, Arc::clone(&hit))?;
    // The thread has the mask of the one that makes it: from here on, all others block the signal.
    let producer = builder(bootstrap).build()?;
    let mut blocked = SigSet::empty();
    blocked.add(STORM);
    blocked.thread_block()?;
    let over = AtomicBool::new(false);
    let signals = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut signals = 0;
            while !over.load(Ordering::Relaxed) {
                kill(Pid::this(), STORM)?;
                let sent = Instant::now();
                while !hit.swap(false, Ordering::Relaxed) {
                    if sent.elapsed() > PATIENCE {
                        return Err("the I/O thread does not get the signal".into());
                    }
                    thread::yield_now();
                }
                signals += 1;
                thread::sleep(PAUSE);
            }
            Result::Ok(signals)
        });
        let delivered = deliver(&producer, records);
        over.store(true, Ordering::Relaxed);
        let signals = sender.join().map_err(|_| "the signals' sender panicked")?;
        delivered.and(signals)
    })?;
    producer.close(PATIENCE)?;
    blocked.thread_unblock()?;
    signal_hook::low_level::unregister(hook);
    Ok(signals)
}

fn deliver(producer: &Producer, records: u64) -> Result<()> {
    let mut ledger = Ledger::default();
    for n in 0..records {
        let value = value(0, n);
        ledger.sent(producer.send(&Record::to("signals").value(&value))?)?;
    }
    if !producer.flush_timeout(PATIENCE) {
        return Err("not flushed in time".into());
    }
    ledger.finish()?;
    ledger.complete()
}

/// Connections are reset again and again while records are written to them, and no SIGPIPE is raised: a program that does not
/// ignore it, such as one written in C that loads klamm as a library, would die. Returns how many connections broke.
///
/// # Errors
/// The signal came, or records are lost.
pub fn broken_pipes(cuts: u64) -> Result<u64> {
    let raised = Arc::new(AtomicBool::new(false));
    let hook = signal_hook::flag::register(Signal::SIGPIPE as i32, Arc::clone(&raised))?;
    let mut brokers = Server::start("soak-brokers", &[])?;
    let began = Instant::now();
    let (mut sent, mut broken) = (0_u64, 0);
    let producer = builder(&brokers.bootstrap).reconnect_backoff_ms(1).reconnect_backoff_max_ms(10).build()?;
    while broken < cuts {
        if began.elapsed() > PATIENCE {
            return Err(format!("only {broken} connections broke").into());
        }
        for n in 0..2_000 {
            let value = value(0, n);
            drop(producer.send(&Record::to("soak").value(&value))?);
            sent += 1;
        }
        let counts = brokers.ask("cut")?;
        broken = counts.split(' ').next().unwrap_or("").parse()?;
    }
    if !producer.flush_timeout(PATIENCE) {
        return Err("not flushed in time".into());
    }
    let stats = producer.stats();
    if stats.records_delivered != sent {
        return Err(format!("{sent} sent, {} delivered", stats.records_delivered).into());
    }
    producer.close(PATIENCE)?;
    signal_hook::low_level::unregister(hook);
    if raised.load(Ordering::Relaxed) { Err("SIGPIPE was raised".into()) } else { Ok(broken) }
}

/// A program started by this process has none of the producer's sockets: it cannot hold a connection open, or write to it.
///
/// # Errors
/// It has one.
pub fn children(bootstrap: &str) -> Result<()> {
    let producer = builder(bootstrap).build()?;
    producer.send(&Record::to("children").value("v"))?.wait()?;
    let child = Command::new("ls").args(["-l", "/proc/self/fd"]).stdin(Stdio::null()).output()?;
    let listed = String::from_utf8_lossy(&child.stdout);
    if !child.status.success() || !listed.contains("/dev/null") {
        return Err(format!("the child's descriptors cannot be seen: {listed}").into());
    }
    for kind in ["socket:", "eventpoll", "eventfd"] {
        if listed.contains(kind) {
            return Err(format!("a child has a descriptor of the producer: {listed}").into());
        }
    }
    producer.close(PATIENCE)?;
    Ok(())
}

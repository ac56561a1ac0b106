//! Ctrl-C and SIGTERM end the reading, not the delivering: what was accepted is still sent, as by the shutdown
//! hook of Kafka's own tool. A second one ends the process at once.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use klamm::Producer;

/// How long the last records may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What shells report for a command that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether the end was asked for.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Ends the process as an interrupt does.
pub(crate) fn end() -> ! {
    exit(INTERRUPTED)
}

/// From now on, an interrupt delivers what `producer` has accepted before the process ends.
pub(crate) fn deliver_first(producer: &Producer) {
    let producer = producer.clone();
    // Without a handler the process just ends, which is no reason to refuse the work.
    let _ = ctrlc::set_handler(move || {
        if ASKED.swap(true, Ordering::Relaxed) {
            exit(INTERRUPTED);
        }
        let producer = producer.clone();
        // In a thread of its own, so that a second interrupt is heard. Reading may be blocked for ever.
        std::thread::spawn(move || {
            let result = producer.close(PATIENCE);
            // The last outcomes are printed meanwhile.
            std::thread::sleep(Duration::from_millis(200));
            match result {
                Ok(()) => eprintln!("klamm: interrupted; every record that was read is delivered"),
                Err(error) => eprintln!("klamm: interrupted; {error}"),
            }
            exit(INTERRUPTED);
        });
    });
}

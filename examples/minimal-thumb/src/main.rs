//! The smallest firmware with klamm's core in it. It is measured and inspected, not run:
//!
//! * `cargo xtask size` reads from it what the core costs in flash, room by room;
//! * `cargo xtask link` finds no allocator and no panic machinery among its symbols.
//!
//! So that neither proves too little, every method of the producer is called, and whatever comes from or goes to the
//! world passes through [`black_box`]: the optimiser must expect any bytes, any times and any settings.
#![no_std]
#![no_main]

use core::hint::{black_box, spin_loop};
use core::mem::MaybeUninit;
use core::net::IpAddr;
use core::time::Duration;

use klamm_core::record::crc32c;
use klamm_core::{
    Action, Config, ConfigError, ConnId, Disconnect, Event, Header, Instant, Producer, Record, SendError, TickExtender,
    TopicId, static_storage,
};

/// 4 KiB for records; one topic with four partitions on two brokers.
type Board = static_storage!(
    block: 256, blocks: 16, batches: 8, partitions: 4, topics: 1, brokers: 2, connections: 2
);

// Statics, so that the linker counts all of the RAM; `cargo xtask size` reads their sizes.
static mut BOARD: Board = Board::new();
static mut PRODUCER: MaybeUninit<Producer<'static>> = MaybeUninit::uninit();

/// Nothing refers to this unless something can panic, and then `cargo xtask link` names it.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The board's entry; a real one sets up stack, `.data` and `.bss` first.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".start")]
pub extern "C" fn _start() -> ! {
    let (board, place) = (&raw mut BOARD, &raw mut PRODUCER);
    // SAFETY: this runs once, before anything else, so that nobody else holds the memory.
    let (board, place) = unsafe { (&mut *board, &mut *place) };
    let _ = black_box(run(board, place));
    loop {
        spin_loop();
    }
}

/// Everything that can be done with a producer.
fn run(board: &'static mut Board, place: &mut MaybeUninit<Producer<'static>>) -> Result<(), ConfigError> {
    let Some(storage) = board.storage() else { return Ok(()) };
    let mut clock = TickExtender::new();
    let mut config = Config::new("192.168.0.2:9092");
    config.crc32c = crc32c::nibble;
    let producer = place.write(Producer::new(black_box(config), storage, black_box([7; 32]), tick(&mut clock))?);
    loop {
        let now = tick(&mut clock);
        if let Ok(topic) = producer.topic(black_box("readings")) {
            let _ = black_box(command(producer, now, topic));
            observe(producer, topic);
        }
        act(producer, now);
        transmit(producer, now);
        while let Some(event) = producer.poll_event() {
            tell(producer, event);
        }
        let _ = black_box(producer.poll_timeout());
    }
}

/// The time, from a free-running counter.
fn tick(clock: &mut TickExtender) -> Instant {
    clock.millis(black_box(0))
}

/// What an application does.
fn command(producer: &mut Producer<'_>, now: Instant, topic: TopicId) -> Result<(), SendError> {
    let headers = [Header { key: black_box("unit"), value: black_box(Some(b"C")) }];
    let record = Record {
        key: black_box(Some(b"kitchen")),
        value: black_box(Some(b"21.5")),
        headers: black_box(&headers),
        timestamp: black_box(None),
        partition: black_box(None),
    };
    black_box(producer.send(now, topic, &record)?);
    match black_box(0) {
        0 => producer.flush(now),
        1 => producer.close(now, black_box(Duration::from_secs(1))),
        2 => producer.fail_all(now),
        3 => producer.set_wall_clock(now, black_box(1_700_000_000_000)),
        4 => producer.declare_partitions(topic, black_box(4)),
        _ => {
            black_box(producer.forget_topic(topic));
        }
    }
    Ok(())
}

/// What a monitor reads.
fn observe(producer: &Producer<'_>, topic: TopicId) {
    let _ = black_box((
        producer.stats(),
        producer.partition_count(topic),
        producer.topic_error(topic),
        producer.topic_name(topic),
        producer.outstanding_batches(),
        producer.buffer_total_bytes(),
        producer.buffer_available_bytes(),
        producer.is_closed(),
    ));
}

/// What a driver does besides moving bytes, and what it hears from the network.
fn act(producer: &mut Producer<'_>, now: Instant) {
    let Some(action) = producer.poll_action() else { return producer.handle_timeout(now) };
    let conn = match black_box(action) {
        Action::Resolve { conn, .. } => {
            producer.handle_resolved(now, conn, black_box(&[IpAddr::V4([192, 168, 0, 2].into())]));
            conn
        }
        Action::Connect { conn, .. } => {
            producer.handle_connected(now, conn);
            conn
        }
        Action::Disconnect { conn } => conn,
        _ => return,
    };
    receive(producer, now, conn);
}

/// Bytes from the network, or its end.
fn receive(producer: &mut Producer<'_>, now: Instant, conn: ConnId) {
    let bytes = [0; 64];
    let _ = black_box(producer.handle_input(now, conn, black_box(&bytes)));
    let _ = black_box((producer.connection_broker(conn), producer.connection_host(conn)));
    if black_box(false) {
        producer.handle_disconnected(now, conn, black_box(Disconnect::Closed));
    }
}

/// Bytes for the network, one slice or several at a time.
fn transmit(producer: &mut Producer<'_>, now: Instant) {
    while let Some(conn) = producer.poll_writable() {
        while let Some(transmit) = producer.poll_transmit(now, conn) {
            let taken = black_box(transmit).bytes.len();
            producer.handle_transmitted(now, conn, taken);
        }
        let mut slices: [&[u8]; 4] = [&[]; 4];
        let count = producer.poll_transmit_vectored(now, conn, &mut slices);
        let taken = black_box(slices).iter().take(count).map(|slice| slice.len()).sum();
        producer.handle_transmitted(now, conn, taken);
    }
}

/// What became of records.
fn tell(producer: &Producer<'_>, event: Event) {
    let _ = black_box((event, producer.error_text()));
}

//! The network's troubles, drawn from a seed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::journal::Journal;
use crate::proxy::{BOTH, Direction, Proxy};

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Cut,
    CutAll,
    Stall,
    StallOneWay,
    Swallow,
    Refuse,
    Quiet,
}

const TROUBLES: [(u64, Trouble); 7] = [
    (40, Trouble::Cut),
    (6, Trouble::CutAll),
    (12, Trouble::Stall),
    (14, Trouble::StallOneWay),
    (8, Trouble::Swallow),
    (10, Trouble::Refuse),
    (10, Trouble::Quiet),
];

/// How often each kind of trouble came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Connections cut, as the proxies count them.
    pub cuts: u64,
    /// Stalls in both directions.
    pub stalls: u64,
    /// Stalls in one direction.
    pub one_way: u64,
    /// Times that all bytes vanished.
    pub holes: u64,
    /// Times that nobody listened.
    pub refusals: u64,
}

/// Troubles one proxy after the other until told to stop, then calms them all.
pub fn run(proxies: &[Proxy], mut chance: Chance, stop: &AtomicBool, journal: &Journal) -> Weather {
    let mut weather = Weather::default();
    while !stop.load(Ordering::Relaxed) {
        rest(chance.millis(200..=2_500), stop);
        let at = chance.within(1..=proxies.len() as u64);
        trouble(&proxies[at as usize - 1], at, &mut chance, &mut weather, journal);
    }
    proxies.iter().for_each(Proxy::calm);
    weather.cuts = proxies.iter().map(Proxy::cuts).sum();
    journal.note("network", "calm");
    weather
}

fn trouble(proxy: &Proxy, at: u64, chance: &mut Chance, weather: &mut Weather, journal: &Journal) {
    let note = |what: String| journal.note("network", format_args!("broker {at}: {what}"));
    match chance.weighted(&TROUBLES) {
        Trouble::Cut => {
            let direction = chance.pick(&BOTH);
            // Answers are short.
            let after = chance.within(0..=if direction == Direction::Request { 40_000 } else { 300 });
            proxy.cut(direction, after as u32);
            note(format!("cut after {after} bytes, {direction:?}"));
        }
        Trouble::CutAll => note(format!("{} connections reset", proxy.cut_all())),
        Trouble::Stall => {
            let time = chance.millis(100..=4_000);
            BOTH.iter().for_each(|&direction| proxy.stall(direction, time));
            weather.stalls += 1;
            note(format!("stalled for {time:?}"));
        }
        Trouble::StallOneWay => {
            let (direction, time) = (chance.pick(&BOTH), chance.millis(100..=8_000));
            proxy.stall(direction, time);
            weather.one_way += 1;
            note(format!("stalled for {time:?}, {direction:?}"));
        }
        Trouble::Swallow => {
            let time = chance.millis(500..=8_000);
            proxy.swallow(time);
            weather.holes += 1;
            note(format!("all bytes vanish for {time:?}"));
        }
        Trouble::Refuse => {
            let time = chance.millis(500..=5_000);
            proxy.refuse(time);
            weather.refusals += 1;
            note(format!("refuses connections for {time:?}"));
        }
        Trouble::Quiet => thread::sleep(chance.millis(500..=3_000)),
    }
}

/// Sleeps, but not beyond the end.
pub(crate) fn rest(time: Duration, stop: &AtomicBool) {
    let began = Instant::now();
    while began.elapsed() < time && !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20).min(time));
    }
}

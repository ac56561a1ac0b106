//! The sensors of the house: what they measure, as bytes for Kafka. Made from the reading's number alone, so that whoever
//! reads them back can say what every one of them must be.

use klamm_core::{Header, Record};

use crate::text::Text;

/// Longest value, in bytes.
pub const VALUE_MAX: usize = 160;

/// A vibration burst starts every so many readings …
const BURST_EVERY: u32 = 50;
/// … and has so many of them.
const BURST: u32 = 8;
/// Acceleration samples in one reading of a burst.
const SAMPLES: u32 = 6;

/// Where temperatures are measured: the keys of their readings, so that each place has its partition and its order.
const PLACES: [&str; 4] = ["boiler", "cellar", "kitchen", "roof"];

/// The two kinds of readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One place after the other.
    Temperature,
    /// Bursts of them, between the others.
    Vibration,
}

impl Kind {
    /// Of the reading with this number.
    #[must_use]
    pub const fn of(number: u32) -> Self {
        if number % BURST_EVERY < BURST { Self::Vibration } else { Self::Temperature }
    }
}

/// One reading: key, value and the one header.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The place of a temperature; a vibration burst has none and goes to whichever partition is at hand.
    pub key: Option<&'static str>,
    /// What the header `unit` says.
    pub unit: &'static str,
    value: Text<VALUE_MAX>,
}

impl Reading {
    /// The reading with this number, counted from 0; its value is filled up with spaces to `len` bytes.
    #[must_use]
    pub fn new(number: u32, len: usize) -> Self {
        match Kind::of(number) {
            Kind::Vibration => Self::vibration(number, len),
            Kind::Temperature => Self::temperature(number, len),
        }
    }

    /// Its headers, for [`record`](Self::record).
    #[must_use]
    pub const fn headers(&self) -> [Header<'static>; 1] {
        [Header { key: "unit", value: Some(self.unit.as_bytes()) }]
    }

    /// What the producer takes.
    #[must_use]
    pub fn record<'r>(&'r self, headers: &'r [Header<'static>]) -> Record<'r> {
        Record {
            key: self.key.map(str::as_bytes),
            value: Some(self.value()),
            headers,
            timestamp: None,
            partition: None,
        }
    }

    /// The value: a JSON object that names the reading's number as `n`.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.value.as_bytes()
    }

    fn temperature(number: u32, len: usize) -> Self {
        let place = PLACES[number as usize % PLACES.len()];
        let mut value = Text::new();
        value.text("{\"n\":").number(number.into()).text(",\"place\":\"").text(place);
        value
            .text("\",\"temperature\":")
            .hundredths(2000 + wave(number / 16) / 4)
            .pad(len.saturating_sub(1))
            .byte(b'}');
        Self { key: Some(place), unit: "C", value }
    }

    fn vibration(number: u32, len: usize) -> Self {
        let mut value = Text::new();
        value.text("{\"n\":").number(number.into()).text(",\"burst\":").number((number / BURST_EVERY).into());
        value.text(",\"acceleration\":[");
        for sample in 0..SAMPLES {
            if sample > 0 {
                value.byte(b',');
            }
            value.hundredths(wave(number.wrapping_mul(SAMPLES).wrapping_add(sample).wrapping_mul(37)));
        }
        value.byte(b']').pad(len.saturating_sub(1)).byte(b'}');
        Self { key: None, unit: "m/s2", value }
    }
}

/// A triangle wave from -1000 to 1000 with a period of 256 steps.
fn wave(step: u32) -> i32 {
    let phase = (step % 256) as i32;
    let ramp = if phase < 128 { phase } else { 255 - phase };
    ramp * 2000 / 127 - 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_objects_of_the_length_asked_for() {
        for number in 0..2000 {
            let reading = Reading::new(number * 4099, 100);
            let value = core::str::from_utf8(reading.value()).expect("text");
            assert_eq!(value.len(), 100, "{value}");
            assert!(value.starts_with("{\"n\":") && value.ends_with('}'), "{value}");
        }
    }

    #[test]
    fn some_have_a_place_and_some_come_in_bursts() {
        assert_eq!(Reading::new(49, 0).key, Some("cellar"));
        assert_eq!(Reading::new(50, 0).key, None);
        let burst = Reading::new(57, 0);
        assert_eq!(burst.unit, "m/s2");
        assert!(
            core::str::from_utf8(burst.value()).expect("text").starts_with("{\"n\":57,\"burst\":1,\"acceleration\":[")
        );
    }
}

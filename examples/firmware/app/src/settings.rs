//! What the firmware is told at its start.

use crate::memory::{RECEIVE_MAX, TRANSMIT_MAX};
use crate::sensor::VALUE_MAX;

/// What to publish, and where to. A product has these in its flash; the emulator hands them over as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// `bootstrap.servers`.
    pub bootstrap: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// How many partitions it has, if that is known: keyed readings are taken before the network is there then.
    pub partitions: Option<u32>,
    /// Readings to publish.
    pub records: u32,
    /// Bytes of each reading's value.
    pub bytes: u32,
    /// Microseconds between two readings; 0: as fast as they can be stored.
    pub pace_us: u32,
    /// Bytes that a socket can receive at a time: the window that brokers see.
    pub receive: usize,
    /// Bytes that a socket holds until they are acknowledged.
    pub transmit: usize,
    /// Milliseconds to stay connected with nothing to do after the last reading was stored.
    pub idle_ms: u32,
    /// Percent of the frames that a board for tests is to lose, each way.
    pub loss_percent: u32,
    /// Milliseconds after which an async driver is dropped and begun anew, for tests, as long as there are readings; 0: never.
    pub drop_ms: u32,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            bootstrap: "10.0.2.2:9092",
            topic: "readings",
            partitions: None,
            records: 10_000,
            bytes: 100,
            pace_us: 0,
            receive: RECEIVE_MAX,
            transmit: TRANSMIT_MAX,
            idle_ms: 0,
            loss_percent: 0,
            drop_ms: 0,
        }
    }
}

impl<'a> Settings<'a> {
    /// Reads `name=value` words, separated by spaces.
    ///
    /// # Errors
    /// The first word that is none of the settings, or no number that it could be.
    pub fn parse(words: &'a str) -> Result<Self, &'a str> {
        let mut settings = Self::default();
        // Through bytes: searching text links the searchers' panics into firmware.
        for word in words.as_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
            let text = core::str::from_utf8(word).unwrap_or_default();
            settings.set(word).ok_or(text)?;
        }
        Ok(settings)
    }

    fn set(&mut self, word: &'a [u8]) -> Option<()> {
        let at = word.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (word.get(..at)?, word.get(at.saturating_add(1)..)?);
        match name {
            b"bootstrap" => self.bootstrap = core::str::from_utf8(value).ok()?,
            b"topic" => self.topic = core::str::from_utf8(value).ok()?,
            b"partitions" => self.partitions = Some(within(value, 1, u32::MAX)?),
            b"records" => self.records = number(value)?,
            b"bytes" => self.bytes = within(value, 0, VALUE_MAX as u32)?,
            b"pace" => self.pace_us = number(value)?,
            b"receive" => self.receive = within(value, 1, RECEIVE_MAX as u32)? as usize,
            b"transmit" => self.transmit = within(value, 1, TRANSMIT_MAX as u32)? as usize,
            b"loss" => self.loss_percent = within(value, 0, 100)?,
            b"drop" => self.drop_ms = number(value)?,
            b"idle" => self.idle_ms = number(value)?,
            _ => return None,
        }
        Some(())
    }
}

fn within(digits: &[u8], min: u32, max: u32) -> Option<u32> {
    number(digits).filter(|number| (min..=max).contains(number))
}

fn number(digits: &[u8]) -> Option<u32> {
    let value = digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit < 10 { value.checked_mul(10)?.checked_add(digit.into()) } else { None }
    });
    value.filter(|_| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_settings() {
        let settings = Settings::parse(" bootstrap=10.0.2.2:1,10.0.2.2:2 topic=t  records=12 receive=536 pace=0");
        let expected = Settings {
            bootstrap: "10.0.2.2:1,10.0.2.2:2",
            topic: "t",
            records: 12,
            receive: 536,
            ..Settings::default()
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn what_is_no_setting_is_named() {
        for bad in ["records=", "records=1x", "colour=red", "topic", "records=4294967296"] {
            assert_eq!(Settings::parse(bad), Err(bad));
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        for bad in ["partitions=0", "bytes=161", "receive=0", "receive=1025", "transmit=2049", "loss=101"] {
            assert_eq!(Settings::parse(bad), Err(bad));
        }
    }
}

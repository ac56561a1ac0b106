//! Text that people write: settings, addresses, lines of a console.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::IpAddr;

use klamm::config::parse_properties;
use klamm_core::{Action, Config, Instant, Limits, Producer, Storage, Target};
use klamm_sim::ClusterOptions;

use crate::input::{Input, Pieces};
use crate::lines::{Line, Lines};
use crate::reader::LineReader;
use crate::rig::Rig;
use crate::setup;

/// A `.properties` text; and entries, written as Java writes them and read back.
pub fn properties(data: &[u8]) {
    let mut input = Input::new(data);
    if input.u8() & 1 == 0 {
        return written_properties(&mut input);
    }
    let text = input.rest();
    let Ok(entries) = parse_properties(text) else { return };
    assert!(entries.len() <= 1 + text.len(), "more entries than lines");
    let mut builder = klamm::Producer::builder();
    for entry in &entries {
        match builder.property(&entry.name, &entry.value) {
            Ok(next) => builder = next,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        }
    }
    for warning in builder.warnings() {
        assert!(!warning.to_string().is_empty());
    }
}

/// `java.util.Properties.store` escapes, and what it wrote is read as it was.
fn written_properties(input: &mut Input<'_>) {
    let mut expected = Vec::new();
    let mut text = String::new();
    while !input.is_empty() && expected.len() < 16 {
        let style = input.u8();
        let part = |input: &mut Input<'_>| String::from_utf8_lossy(input.bytes()).into_owned();
        let (name, value) = (part(input), part(input));
        if style & 1 != 0 {
            text.push_str("# a comment\\\r\n\n  ");
        }
        escape(&mut text, &name, true, style & 2 != 0);
        // White space alone parts a name from its value only if there is a name.
        let separators = ["=", ":", " = ", "\t:", " \u{c}"];
        text.push_str(separators[usize::from(style >> 2) % (separators.len() - usize::from(name.is_empty()))]);
        escape(&mut text, &value, false, style & 2 != 0);
        text.push_str(["\n", "\r", "\r\n"][usize::from(style >> 5) % 3]);
        expected.push((name, value));
    }
    let read = parse_properties(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    let read: Vec<_> = read.into_iter().map(|entry| (entry.name, entry.value)).collect();
    assert_eq!(read, expected, "{text:?}");
}

fn escape(to: &mut String, text: &str, is_name: bool, ascii: bool) {
    // Only leading white space of a value would be lost.
    let mut leading = true;
    for c in text.chars() {
        match c {
            ' ' | '\t' | '\u{c}' if !is_name && !leading => to.push(c),
            ' ' => to.push_str("\\ "),
            '\t' => to.push_str("\\t"),
            '\u{c}' => to.push_str("\\f"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\\' | '=' | ':' | '#' | '!' => to.extend(['\\', c]),
            c if ascii && !c.is_ascii() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    to.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => to.push(c),
        }
        leading = false;
    }
}

/// `bootstrap.servers`, and the hosts that brokers advertise: a name is asked for exactly if it is no address.
pub fn hosts(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, ports) = (input.u8(), input.u16());
    if choice & 1 == 0 {
        return bootstrap(&String::from_utf8_lossy(input.rest()));
    }
    let mut config = Config::new("broker.sim:9092");
    config.resolve_names = choice & 2 == 0;
    let options = ClusterOptions { brokers: 3, auto_create_topics: true, ..setup::cluster(choice & 0xf8) };
    let Some(mut rig) = Rig::new(config, &setup::limits(2), options) else { return };
    for broker in 1..=3 {
        let host = String::from_utf8_lossy(input.bytes()).into_owned();
        rig.cluster.set_address(broker, &host, if broker == 1 { 9092 } else { ports.wrapping_mul(broker as u16) });
    }
    rig.cluster.create_topic("a", 3);
    if let Ok(topic) = rig.stir().topic("a") {
        for partition in 0..3 {
            let _ = rig.send(topic, &klamm_core::Record::value(b"v").to_partition(partition));
        }
    }
    for _ in 0..12 {
        rig.round();
        rig.pass(300_000);
    }
    rig.finish(None);
}

fn bootstrap(servers: &str) {
    let config = Config::new(servers.to_owned());
    let valid = config.validate();
    let limits = Limits { buffer_memory: 1 << 10, ..setup::limits(1) };
    let Ok(mut producer) = Producer::new(config, Storage::heap(&limits), [1; 32], Instant::ZERO) else { return };
    assert_eq!(valid, Ok(()));
    let Ok(_) = producer.topic("t") else { return };
    match producer.poll_action() {
        Some(Action::Resolve { host, .. }) => {
            assert!(servers.contains(host) && !host.is_empty());
            assert!(host.parse::<IpAddr>().is_err(), "an address is to be resolved: {host:?}");
        }
        Some(Action::Connect { target: Target::Address(address), tls_name, .. }) => {
            assert!(servers.contains(tls_name));
            assert_eq!(tls_name.parse::<IpAddr>(), Ok(address.ip()), "{tls_name:?}");
            assert_ne!(address.port(), 0);
        }
        other => panic!("neither resolved nor connected: {other:?}"),
    }
}

/// Hands out its bytes in pieces.
struct Cut<'a>(&'a [u8], Pieces);

impl Read for Cut<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.1.size().min(self.0.len()).min(out.len());
        let (head, tail) = self.0.split_at(n);
        out[..n].copy_from_slice(head);
        self.0 = tail;
        Ok(n)
    }
}

/// Lines of `klamm produce`: cut into lines, taken apart into headers, key and value, which together are the line.
pub fn lines(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, pattern) = (input.u8(), input.u8());
    let mut properties = BTreeMap::new();
    let mut set = |name: &str, value: String| properties.insert(name.to_owned(), value);
    for (bit, name) in [(1, "parse.key"), (2, "parse.headers"), (4, "ignore.error")] {
        set(name, (choice & bit != 0).to_string());
    }
    for (bit, name) in [(8, "key.separator"), (16, "headers.delimiter"), (32, "headers.separator"), (64, "null.marker")]
    {
        if choice & bit != 0 {
            set(name, String::from_utf8_lossy(input.bytes()).into_owned());
        }
    }
    let Ok(reader) = LineReader::new(&properties) else { return };
    let text = input.rest();
    let limit = if choice & 128 == 0 { usize::MAX / 2 } else { 12 };
    let mut lines = Lines::new(Cut(text, Pieces::new(pattern)), limit);
    let (mut number, mut bytes, mut more) = (0, 0, true);
    while more {
        more = matches!(lines.fill(), Ok(true));
        while let Some(line) = lines.next_buffered() {
            number += 1;
            match line {
                Line::Bytes(line) => {
                    assert!(line.len() <= limit && !line.contains(&b'\n'));
                    bytes += line.len();
                    parse(&reader, line, number, &properties);
                }
                Line::TooLong(long) => bytes += long as usize,
            }
        }
    }
    let feeds = text.iter().filter(|byte| **byte == b'\n').count();
    assert!(bytes + feeds <= text.len() && bytes + 2 * feeds + 1 >= text.len(), "bytes are missing or were made up");
}

fn parse(reader: &LineReader, line: &[u8], number: u64, properties: &BTreeMap<String, String>) {
    let parsed = match reader.parse(line, number) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(error.to_string().contains(&number.to_string()));
            return;
        }
    };
    let is = |name: &str| properties.get(name).is_some_and(|value| value == "true");
    let (key, value) = (parsed.key.unwrap_or_default(), parsed.value.unwrap_or_default());
    assert!(key.len() + value.len() <= line.len());
    assert!(is("parse.headers") || parsed.headers.is_empty());
    if !is("parse.headers") && parsed.value.is_some() {
        assert!(line.ends_with(value));
        if let Some(key) = parsed.key {
            let separator = properties.get("key.separator").map_or("\t", String::as_str);
            assert_eq!([key, separator.as_bytes(), value].concat(), line);
        }
    }
}

//! Settings from the environment, files and flags, and the producer they make.
//!
//! A flag wins over a `--command-property`, that over the file, the file over the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use klamm::config::{is_secret, keys, parse_properties};
use klamm::{Builder, ConfigWarning, ConfigWarningKind, Producer};

/// Wrong usage: what to say, without the program's name. Exit status 2.
pub(crate) type Usage = String;

/// Properties of the line reader by name; a later one wins.
pub(crate) type Properties = BTreeMap<String, String>;

/// What environment variables of ours begin with; the property follows, `KLAMM_LINGER_MS` for `linger.ms`.
const PREFIX: &str = "KLAMM_";
/// Kafka's default of `buffer.memory`.
const BUFFER_MEMORY: usize = 32 << 20;

/// A producer property, and where it was given, if that helps to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    place: Option<String>,
    name: String,
    value: String,
}

/// The producer properties of a run. One that is set anew replaces its predecessor, as in Java: a value that is
/// overridden need not be legal.
#[derive(Debug, Default)]
pub(crate) struct Settings(Vec<Setting>);

impl Settings {
    /// What the environment, the file and the `key=value` arguments say; flags of their own are [`set`](Self::set) after.
    pub(crate) fn read(file: Option<&Path>, pairs: &[String]) -> Result<Self, Usage> {
        let mut settings = Self::default();
        settings.add_environment(std::env::vars_os())?;
        for (place, name, value) in read_file(file)? {
            settings.put(Some(place), &name, &value);
        }
        for pair in pairs {
            let (name, value) = split(pair)?;
            settings.put(None, name, value);
        }
        Ok(settings)
    }

    fn add_environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), Usage> {
        for (variable, value) in variables {
            let Some(variable) = variable.to_str().filter(|variable| variable.starts_with(PREFIX)) else { continue };
            let Some(key) = keys().find(|key| variable_of(key.name) == *variable) else {
                // It may be somebody else's, so that only what looks like a slip is worth a word.
                if let Some(meant) = guess(&variable[PREFIX.len()..]) {
                    warn(&format!("unknown variable {variable}: did you mean {}?", variable_of(meant)));
                }
                continue;
            };
            let value = value.to_str().ok_or_else(|| format!("{variable} is not UTF-8"))?;
            self.put(Some(variable.to_owned()), key.name, value);
        }
        Ok(())
    }

    /// Sets a property that has a flag of its own.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.put(None, name, value);
    }

    fn put(&mut self, place: Option<String>, name: &str, value: &str) {
        let name = name.trim();
        self.0.retain(|setting| setting.name != name);
        self.0.push(Setting { place, name: name.to_owned(), value: value.to_owned() });
    }

    /// The value of the property, under any of these names.
    fn last(&self, names: [&str; 2]) -> Option<&Setting> {
        self.0.iter().rfind(|setting| names.contains(&setting.name.as_str()))
    }

    /// `bootstrap.servers`.
    pub(crate) fn servers(&self) -> Result<&str, Usage> {
        let servers = self.last(["bootstrap.servers", "metadata.broker.list"]).map(|setting| setting.value.trim());
        servers
            .filter(|servers| !servers.is_empty())
            .ok_or_else(|| "no broker is named: give --bootstrap-server HOST:PORT".to_owned())
    }

    /// `client.id`, or what Kafka's tool calls itself.
    pub(crate) fn client_id(&self, default: &str) -> String {
        let given = self.last(["client.id"; 2]).map(|setting| setting.value.trim()).filter(|id| !id.is_empty());
        given.unwrap_or(default).to_owned()
    }

    /// `buffer.memory`, for a limit of our own that follows it.
    pub(crate) fn buffer_memory(&self) -> usize {
        let setting = self.last(["buffer.memory", "queue.buffering.max.kbytes"]);
        let Some((name, value)) = setting.and_then(|s| Some((&s.name, s.value.trim().parse::<usize>().ok()?))) else {
            return BUFFER_MEMORY;
        };
        if name == "buffer.memory" { value } else { value << 10 }
    }

    /// Checks the settings; warnings go to standard error.
    pub(crate) fn builder(&self, client_id: &str) -> Result<Builder, Usage> {
        self.servers()?;
        let mut builder = Producer::builder();
        let mut told = 0;
        for Setting { place, name, value } in &self.0 {
            let at = |text: String| place.as_ref().map_or_else(|| text.clone(), |place| format!("{place}: {text}"));
            builder = builder.property(name, value).map_err(|error| at(error.to_string()))?;
            let warnings = builder.warnings();
            let of_names = |w: &&ConfigWarning| !matches!(w.kind, ConfigWarningKind::BufferMemory { .. });
            for warning in warnings.iter().filter(of_names).skip(told) {
                warn(&at(warning.to_string()));
                told += 1;
            }
        }
        builder.warnings().iter().skip(told).for_each(|warning| warn(&warning.to_string()));
        Ok(builder.client_id(self.client_id(client_id)))
    }

    /// The producer that the settings describe.
    pub(crate) fn producer(&self, client_id: &str) -> Result<Producer, Usage> {
        self.builder(client_id)?.build().map_err(|error| error.to_string())
    }
}

/// A warning on standard error. A closed standard error is not an error.
pub(crate) fn warn(text: &str) {
    drop(writeln!(io::stderr(), "klamm: warning: {text}"));
}

/// The environment variable of a property.
fn variable_of(property: &str) -> String {
    PREFIX.to_owned() + &property.to_ascii_uppercase().replace('.', "_")
}

/// The property that a name without counterpart was perhaps meant to be.
fn guess(name: &str) -> Option<&'static str> {
    let builder = Producer::builder().property(&name.to_ascii_lowercase().replace('_', "."), "").ok()?;
    builder.warnings().into_iter().find_map(|warning| match warning.kind {
        ConfigWarningKind::Unknown { suggestion, .. } => suggestion,
        _ => None,
    })
}

/// The entries of a file, if one is named, each with its place.
fn read_file(file: Option<&Path>) -> Result<Vec<(String, String, String)>, Usage> {
    let Some(path) = file else { return Ok(Vec::new()) };
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let entries = parse_properties(&bytes).map_err(|error| format!("{name}, {error}"))?;
    Ok(entries.into_iter().map(|entry| (format!("{name}, line {}", entry.line), entry.name, entry.value)).collect())
}

/// `key=value`: only the first `=` parts; the value may be empty, the key may not.
fn split(pair: &str) -> Result<(&str, &str), Usage> {
    pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
        let shown = if is_secret(pair) { "(hidden)" } else { pair };
        format!("malformed property '{shown}': write KEY=VALUE")
    })
}

/// The properties of the line reader: those of the file, if one is named, and then the arguments.
pub(crate) fn reader_properties(file: Option<&Path>, pairs: &[String]) -> Result<Properties, Usage> {
    let mut properties: Properties = read_file(file)?.into_iter().map(|(_, name, value)| (name, value)).collect();
    for pair in pairs {
        let (name, value) = split(pair)?;
        properties.insert(name.to_owned(), value.to_owned());
    }
    Ok(properties)
}

/// `: did you mean '…'?` if one of the names is close enough to be meant.
pub(crate) fn did_you_mean(name: &str, names: &[&str]) -> String {
    names
        .iter()
        .map(|&known| (distance(name, known), known))
        .min()
        .filter(|&(distance, known)| distance <= known.len() / 3)
        .map_or_else(String::new, |(_, known)| format!(": did you mean '{known}'?"))
}

/// How many letters to insert, delete or change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(environment: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        settings.add_environment(environment.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)))).unwrap();
        settings
    }

    #[test]
    fn pairs() {
        let given = ["a=1", "b==", "a=2", "c="].map(str::to_owned);
        let all = reader_properties(None, &given).unwrap();
        let all: Vec<_> = all.iter().map(|(k, v)| format!("{k}>{v}")).collect();
        assert_eq!(all, ["a>2", "b>=", "c>"]);
        for bad in ["foo", "=x", ""] {
            assert_eq!(split(bad).unwrap_err(), format!("malformed property '{bad}': write KEY=VALUE"));
        }
        assert!(!split("sasl.jaas.config:hunter2").unwrap_err().contains("hunter2"));
    }

    #[test]
    fn files_are_named_in_errors() {
        let error = read_file(Some(Path::new("no/such.properties"))).unwrap_err();
        assert!(error.starts_with("cannot read no/such.properties: "), "{error}");
    }

    #[test]
    fn the_environment_names_properties_in_capitals() {
        let all = settings(&[
            ("KLAMM_BOOTSTRAP_SERVERS", "a:1"),
            ("KLAMM_MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION", "2"),
            ("KLAMM_RECORDS", "5"),
            ("LINGER_MS", "5"),
            ("klamm_linger_ms", "5"),
        ]);
        let names: Vec<_> = all.0.iter().map(|setting| setting.name.as_str()).collect();
        assert_eq!(names, ["bootstrap.servers", "max.in.flight.requests.per.connection"]);
        assert_eq!(guess("LINGR_MS"), Some("linger.ms"));
        assert_eq!(guess("RECORDS"), None);
        let bad = settings(&[("KLAMM_BOOTSTRAP_SERVERS", "a:1"), ("KLAMM_ACKS", "7")]);
        assert!(bad.builder("x").unwrap_err().starts_with("KLAMM_ACKS: acks: expected all, "));
    }

    #[test]
    fn what_is_overridden_need_not_be_legal() {
        let mut all = settings(&[("KLAMM_ACKS", "7"), ("KLAMM_BOOTSTRAP_SERVERS", "a:1")]);
        all.set("acks", "1");
        assert!(all.builder("x").is_ok());
        assert_eq!((all.buffer_memory(), all.client_id("x").as_str()), (BUFFER_MEMORY, "x"));
        all.set("queue.buffering.max.kbytes", "4");
        assert_eq!(all.buffer_memory(), 4096);
        all.set("buffer.memory", "5");
        assert_eq!(all.buffer_memory(), 5);
    }

    #[test]
    fn suggestions() {
        let names = ["parse.key", "parse.headers", "null.marker"];
        assert_eq!(did_you_mean("parse.kye", &names), ": did you mean 'parse.key'?");
        assert_eq!(did_you_mean("nullmarker", &names), ": did you mean 'null.marker'?");
        assert_eq!(did_you_mean("acks", &names), "");
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}

//! What `--help` says beyond the flags: the properties, from the library's own table.

use std::fmt::Write;

use klamm::config::{ConfigKey, Support, keys};

const SOURCES: &str = "
SETTINGS, the first of these that names one:
  1. its own flag
  2. --command-property KEY=VALUE
  3. the file of --command-config, in the syntax of Java's .properties
  4. the environment: KLAMM_BOOTSTRAP_SERVERS, KLAMM_LINGER_MS, …: KLAMM_, and the name in capitals with _ for the dots
";

/// `text`, followed by where settings come from and by every property.
pub(crate) fn with_properties(text: &str) -> String {
    let mut help = format!("{text}\n{SOURCES}\nPROPERTIES, with Kafka's defaults:\n");
    for key in keys().filter(|key| key.support == Support::Set) {
        let head = format!("{}={}", key.name, key.default.unwrap_or(""));
        // Writing into a String cannot fail.
        let _ = writeln!(help, "  {head}\n      {}", format!("{} {}", key.doc, key.valid).trim_end());
    }
    for (title, wanted) in [
        ("ACCEPTED, without effect", 0),
        ("NOT IMPLEMENTED YET", 1),
        ("OF THE JVM, not here", 2),
        ("librdkafka's names of the same", 3),
    ] {
        let names: Vec<String> = keys().filter_map(|key| listed(key, wanted)).collect();
        let _ = write!(help, "\n{title}:\n  {}\n", names.join(", "));
    }
    help
}

/// The key as it stands in one of the lists by name.
fn listed(key: &ConfigKey, wanted: u8) -> Option<String> {
    let (list, text) = match key.support {
        Support::Inert(_) => (0, key.name.to_owned()),
        Support::NotYet(_) => (1, key.name.to_owned()),
        Support::NoCounterpart(_) => (2, key.name.to_owned()),
        Support::Alias(of) => (3, format!("{} ({of})", key.name)),
        _ => return None,
    };
    (list == wanted).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_listed() {
        let help = with_properties("");
        for key in keys() {
            assert!(help.contains(key.name), "{}", key.name);
        }
        assert!(help.contains("linger.ms=5\n"));
    }
}

//! Properties from files and flags, merged, and the producer they make.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use klamm::Producer;

use crate::properties;

/// Wrong usage: what to say, without the program's name. Exit status 2.
pub(crate) type Usage = String;

/// Properties by name; a later one wins.
pub(crate) type Properties = BTreeMap<String, String>;

/// Adds the entries of the file, if one is named.
pub(crate) fn add_file(to: &mut Properties, file: Option<&Path>) -> Result<(), Usage> {
    let Some(path) = file else { return Ok(()) };
    let bytes = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let entries = properties::parse(&bytes).map_err(|e| format!("{}, {e}", path.display()))?;
    to.extend(entries);
    Ok(())
}

/// Adds `key=value` arguments. Only the first `=` parts; the value may be empty, the key may not.
pub(crate) fn add_pairs(to: &mut Properties, pairs: &[String]) -> Result<(), Usage> {
    for pair in pairs {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => to.insert(key.to_owned(), value.to_owned()),
            _ => return Err(format!("malformed property '{pair}': write KEY=VALUE")),
        };
    }
    Ok(())
}

/// The producer that the properties describe.
pub(crate) fn producer(mut properties: Properties, client_id: &str) -> Result<Producer, Usage> {
    if properties.get("bootstrap.servers").is_none_or(|servers| servers.trim().is_empty()) {
        return Err("no broker is named: give --bootstrap-server HOST:PORT".to_owned());
    }
    // Kafka's tools set these themselves, so their files may hold anything.
    properties.remove("key.serializer");
    properties.remove("value.serializer");
    properties.entry("client.id".to_owned()).or_insert_with(|| client_id.to_owned());
    let entries = properties.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    Producer::from_properties(entries).map_err(|e| e.to_string())
}

/// The property as bytes, if it is a number; for limits of our own that follow it.
pub(crate) fn size(properties: &Properties, name: &str, default: usize) -> usize {
    properties.get(name).and_then(|v| v.trim().parse().ok()).unwrap_or(default)
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

    #[test]
    fn pairs() {
        let mut p = Properties::new();
        add_pairs(&mut p, &["a=1".into(), "b==".into(), "a=2".into(), "c=".into()]).unwrap();
        let all: Vec<_> = p.iter().map(|(k, v)| format!("{k}>{v}")).collect();
        assert_eq!(all, ["a>2", "b>=", "c>"]);
        for bad in ["foo", "=x", ""] {
            let error = add_pairs(&mut p, &[bad.to_owned()]).unwrap_err();
            assert_eq!(error, format!("malformed property '{bad}': write KEY=VALUE"));
        }
    }

    #[test]
    fn files_are_named_in_errors() {
        let mut p = Properties::new();
        let error = add_file(&mut p, Some(Path::new("no/such.properties"))).unwrap_err();
        assert!(error.starts_with("cannot read no/such.properties: "), "{error}");
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

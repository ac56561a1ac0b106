//! Lines into records, as Kafka's `LineMessageReader` does it: `headers<TAB>key<TAB>value`, with what parts them and
//! what is there at all decided by properties.

use std::collections::BTreeMap;
use std::fmt;

use klamm::Header;
use memchr::memmem;

use crate::config::did_you_mean;

const NAMES: [&str; 8] = [
    "parse.key",
    "parse.headers",
    "ignore.error",
    "key.separator",
    "headers.delimiter",
    "headers.separator",
    "headers.key.separator",
    "null.marker",
];

/// The reader's configuration.
pub(crate) struct LineReader {
    parse_key: bool,
    parse_headers: bool,
    ignore_error: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    null_marker: Option<String>,
}

/// What is odd about the properties, though they work.
pub(crate) fn doubts(properties: &BTreeMap<String, String>) -> Vec<String> {
    let flags = ["parse.key", "parse.headers", "ignore.error"];
    let value = |name: &str| properties.get(name).map(|value| value.trim());
    let is_word = |value: &str| ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(value));
    let odd = flags.into_iter().filter_map(|name| Some((name, value(name).filter(|value| !is_word(value))?)));
    // Kafka's reader does the same, in silence.
    odd.map(|(name, value)| format!("reader property {name}={value} counts as false: write true or false")).collect()
}

/// One line taken apart; it borrows the line.
#[derive(Default)]
pub(crate) struct Parsed<'l> {
    pub(crate) headers: Vec<Header<'l>>,
    pub(crate) key: Option<&'l [u8]>,
    pub(crate) value: Option<&'l [u8]>,
}

/// A line that is not as the properties say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineError(String);

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LineReader {
    /// The reader that `properties` describe; the message of a refusal is Kafka's where Kafka has one.
    pub(crate) fn new(properties: &BTreeMap<String, String>) -> Result<Self, String> {
        for name in properties.keys() {
            // Kafka's tool adds `topic` for custom readers, so files may hold it.
            if !NAMES.contains(&name.as_str()) && name != "topic" {
                return Err(format!("unknown reader property '{name}'{}", did_you_mean(name, &NAMES)));
            }
        }
        let flag = |name: &str| properties.get(name).is_some_and(|v| v.trim().eq_ignore_ascii_case("true"));
        let text = |name: &str, default: &str| properties.get(name).map_or(default, String::as_str).to_owned();
        let reader = Self {
            parse_key: flag("parse.key"),
            parse_headers: flag("parse.headers"),
            ignore_error: flag("ignore.error"),
            key_separator: text("key.separator", "\t"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            null_marker: properties.get("null.marker").cloned(),
        };
        reader.check().map(|()| reader)
    }

    fn check(&self) -> Result<(), String> {
        let separators = [
            ("headers.delimiter", &self.headers_delimiter),
            ("headers.separator", &self.headers_separator),
            ("headers.key.separator", &self.headers_key_separator),
        ];
        for (i, (a, left)) in separators.iter().enumerate() {
            for (b, right) in &separators[i + 1..] {
                if left == right {
                    return Err(format!("{a} and {b} may not be equal"));
                }
            }
        }
        let all = separators.into_iter().chain([("key.separator", &self.key_separator)]);
        for (name, separator) in all {
            if separator.is_empty() {
                return Err(format!("{name} is empty: give at least one character"));
            }
            if self.null_marker.as_ref() == Some(separator) {
                return Err(format!("null.marker and {name} may not be equal"));
            }
        }
        Ok(())
    }

    /// Takes `line` apart; `number` is for the message if that fails.
    pub(crate) fn parse<'l>(&self, line: &'l [u8], number: u64) -> Result<Parsed<'l>, LineError> {
        let mut rest = line;
        let mut parsed = Parsed::default();
        if self.parse_headers
            && let Some(field) = self.field(&mut rest, line, &self.headers_delimiter, "headers delimiter", number)?
            && !self.is_null(field)
        {
            parsed.headers = self.headers(field, number)?;
        }
        if self.parse_key {
            let key = self.field(&mut rest, line, &self.key_separator, "key separator", number)?;
            parsed.key = key.filter(|key| !self.is_null(key));
        }
        parsed.value = (!self.is_null(rest)).then_some(rest);
        Ok(parsed)
    }

    /// The bytes before the separator; none if it is missing and errors are ignored.
    fn field<'l>(
        &self,
        rest: &mut &'l [u8],
        line: &[u8],
        separator: &str,
        what: &str,
        number: u64,
    ) -> Result<Option<&'l [u8]>, LineError> {
        let Some((field, after)) = split_once(rest, separator) else {
            if self.ignore_error {
                return Ok(None);
            }
            return Err(LineError(format!("No {what} found on line number {number}: '{}'", excerpt(line))));
        };
        *rest = after;
        Ok(Some(field))
    }

    fn headers<'l>(&self, field: &'l [u8], number: u64) -> Result<Vec<Header<'l>>, LineError> {
        let mut pairs = Vec::new();
        let mut rest = Some(field);
        while let Some(text) = rest {
            let (pair, after) = split_once(text, &self.headers_separator).map_or((text, None), |(p, a)| (p, Some(a)));
            pairs.push(pair);
            rest = after;
        }
        // Java's split drops empty pieces at the end, but an empty field is one empty piece.
        while pairs.len() > 1 && pairs.last().is_some_and(|p| p.is_empty()) {
            pairs.pop();
        }
        if pairs.len() == 1 && pairs[0].is_empty() && !field.is_empty() {
            pairs.pop();
        }
        pairs.into_iter().map(|pair| self.header(pair, number)).collect()
    }

    fn header<'l>(&self, pair: &'l [u8], number: u64) -> Result<Header<'l>, LineError> {
        let (name, value) = match split_once(pair, &self.headers_key_separator) {
            Some((name, _)) if self.is_null(name) => {
                return Err(LineError(format!(
                    "Header keys should not be equal to the null marker '{}' as they can't be null (line number {number})",
                    excerpt(name)
                )));
            }
            Some((name, value)) => (name, Some(value).filter(|v| !self.is_null(v))),
            None if self.ignore_error => (pair, None),
            None => {
                return Err(LineError(format!(
                    "No header key separator found in pair '{}' on line number {number}",
                    excerpt(pair)
                )));
            }
        };
        // Kafka's header names are text on the wire; values may be any bytes.
        let key = std::str::from_utf8(name)
            .map_err(|_| LineError(format!("Header key '{}' on line number {number} is not UTF-8", excerpt(name))))?;
        Ok(Header { key, value })
    }

    fn is_null(&self, field: &[u8]) -> bool {
        self.null_marker.as_ref().is_some_and(|marker| marker.as_bytes() == field)
    }
}

fn split_once<'l>(text: &'l [u8], separator: &str) -> Option<(&'l [u8], &'l [u8])> {
    let at = memmem::find(text, separator.as_bytes())?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// A line for a message: as text, and not all of a long one.
fn excerpt(line: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(&line[..line.len().min(MOST)]).into_owned();
    if line.len() > MOST { format!("{text}… ({} bytes)", line.len()) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> Result<LineReader, String> {
        LineReader::new(&properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    type Expected<'a> = (Vec<(&'a str, Option<&'a str>)>, Option<&'a str>, Option<&'a str>);

    fn parse<'a>(reader: &LineReader, line: &'a str) -> Result<Expected<'a>, String> {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap();
        let parsed = reader.parse(line.as_bytes(), 7).map_err(|e| e.to_string())?;
        let headers = parsed.headers.into_iter().map(|h| (h.key, h.value.map(text))).collect();
        Ok((headers, parsed.key.map(text), parsed.value.map(text)))
    }

    const FULL: [(&str, &str); 3] = [("parse.key", "true"), ("parse.headers", " TRUE "), ("null.marker", "NULL")];

    #[test]
    fn plain_lines_are_values() {
        let r = reader(&[]).unwrap();
        assert_eq!(parse(&r, "h:v\tk\tv"), Ok((vec![], None, Some("h:v\tk\tv"))));
        assert_eq!(parse(&r, ""), Ok((vec![], None, Some(""))));
        assert_eq!(parse(&r, "NULL"), Ok((vec![], None, Some("NULL"))));
    }

    #[test]
    fn headers_keys_and_nulls() {
        let r = reader(&FULL).unwrap();
        let two = vec![("h1", Some("v1")), ("h2", None)];
        assert_eq!(parse(&r, "h1:v1,h2:NULL\tk1\tv1"), Ok((two, Some("k1"), Some("v1"))));
        assert_eq!(parse(&r, "NULL\tk3\tNULL"), Ok((vec![], Some("k3"), None)));
        assert_eq!(parse(&r, "a:b\tNULL\tx\ty"), Ok((vec![("a", Some("b"))], None, Some("x\ty"))));
        assert_eq!(parse(&r, "a:b:c,,x:\t\t"), Err("No header key separator found in pair '' on line number 7".into()));
        assert_eq!(parse(&r, "a:b:c,x:,,\t\t"), Ok((vec![("a", Some("b:c")), ("x", Some(""))], Some(""), Some(""))));
        assert_eq!(parse(&r, ",\tk\tv"), Ok((vec![], Some("k"), Some("v"))));
        assert_eq!(parse(&r, ":v\tk\tv"), Ok((vec![("", Some("v"))], Some("k"), Some("v"))));
    }

    #[test]
    fn missing_delimiters() {
        let r = reader(&FULL).unwrap();
        assert_eq!(parse(&r, "abc"), Err("No headers delimiter found on line number 7: 'abc'".into()));
        assert_eq!(parse(&r, "a:b\tx"), Err("No key separator found on line number 7: 'a:b\tx'".into()));
        assert_eq!(parse(&r, "ab\tk\tv"), Err("No header key separator found in pair 'ab' on line number 7".into()));
        assert_eq!(parse(&r, "\tk\tv"), Err("No header key separator found in pair '' on line number 7".into()));
        assert!(parse(&r, "NULL:a\tk\tv").unwrap_err().contains("null marker 'NULL'"));
        let bad = |line: &[u8]| r.parse(line, 7).err().unwrap().to_string();
        assert!(bad(b"\xff:a\tk\tv").contains("line number 7 is not UTF-8"));
        assert!(bad(&[b'x'; 1000]).ends_with("… (1000 bytes)'"));
    }

    #[test]
    fn errors_can_be_ignored() {
        let r = reader(&[("parse.key", "true"), ("parse.headers", "true"), ("ignore.error", "true")]).unwrap();
        assert_eq!(parse(&r, "abc"), Ok((vec![], None, Some("abc"))));
        assert_eq!(parse(&r, "ab,c:d\tv"), Ok((vec![("ab", None), ("c", Some("d"))], None, Some("v"))));
    }

    #[test]
    fn other_separators() {
        let r = reader(&[
            ("parse.key", "true"),
            ("parse.headers", "true"),
            ("key.separator", "::"),
            ("headers.delimiter", "|"),
            ("headers.separator", "."),
            ("headers.key.separator", "->"),
        ])
        .unwrap();
        let headers = vec![("a", Some("1")), ("b", Some("2"))];
        assert_eq!(parse(&r, "a->1.b->2|k:k::v::w"), Ok((headers, Some("k:k"), Some("v::w"))));
    }

    #[test]
    fn bytes_stay_bytes() {
        let r = reader(&FULL[..1]).unwrap();
        let parsed = r.parse(b"\xff\x00\t\xfe\t", 1).unwrap();
        assert_eq!((parsed.key, parsed.value), (Some(&b"\xff\x00"[..]), Some(&b"\xfe\t"[..])));
    }

    #[test]
    fn flags_that_are_neither_true_nor_false_are_told() {
        let properties = [("parse.key", "yes"), ("parse.headers", " True "), ("ignore.error", "FALSE")];
        let properties = properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(doubts(&properties), ["reader property parse.key=yes counts as false: write true or false"]);
    }

    #[test]
    fn refused_configurations() {
        for (properties, message) in [
            (&[("parse.keys", "true")][..], "unknown reader property 'parse.keys': did you mean 'parse.key'?"),
            (&[("headers.separator", "\t")], "headers.delimiter and headers.separator may not be equal"),
            (&[("headers.separator", ":")], "headers.separator and headers.key.separator may not be equal"),
            (&[("null.marker", "\t")], "null.marker and headers.delimiter may not be equal"),
            (&[("key.separator", "")], "key.separator is empty: give at least one character"),
        ] {
            assert_eq!(reader(properties).err().as_deref(), Some(message));
        }
        assert!(reader(&[("topic", "t")]).is_ok());
    }
}

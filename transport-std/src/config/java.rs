//! Java's `.properties` syntax, so that the files which configure Java's clients configure this one.

use std::fmt;

/// One entry of a `.properties` text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Property {
    /// The line where it starts, from 1.
    pub line: usize,
    /// The name, unescaped.
    pub name: String,
    /// The value, unescaped.
    pub value: String,
}

/// What is wrong with a `.properties` text, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyntaxError {
    /// The line where the entry starts, from 1.
    pub line: usize,
    what: &'static str,
}

impl SyntaxError {
    /// What is wrong, without the line.
    pub(crate) fn what(&self) -> &'static str {
        self.what
    }
}

impl std::error::Error for SyntaxError {}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a `.properties` text as `java.util.Properties` does. Entries come in their order; a repeated name
/// appears each time it is given, and its last value counts.
///
/// `#` and `!` start comments; name and value are parted by `=`, `:` or white space; a backslash escapes a
/// character, `\uXXXX` names a UTF-16 unit, and a backslash at the end of a line joins the next one to it.
///
/// Java takes the bytes of a stream as Latin-1. Here they are UTF-8 where they are valid UTF-8 (every ASCII
/// file is both), and Latin-1 otherwise: files written for either are read as they were meant.
///
/// # Errors
/// A `\u` escape that names no character; Java refuses it too.
pub fn parse_properties(bytes: &[u8]) -> Result<Vec<Property>, SyntaxError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(utf8) => utf8.to_owned(),
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    };
    let mut lines = natural_lines(&text).enumerate();
    let mut entries = Vec::new();
    while let Some((index, line)) = lines.next() {
        let line = skip_white(line);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_in_escape(&logical) {
            logical.pop();
            let Some((_, more)) = lines.next() else { break };
            logical.push_str(skip_white(more));
        }
        let (key, value) = split_entry(&logical);
        let at = |what| SyntaxError { line: index + 1, what };
        let (name, value) = (unescape(key).map_err(at)?, unescape(value).map_err(at)?);
        entries.push(Property { line: index + 1, name, value });
    }
    Ok(entries)
}

/// Lines as Java ends them: LF, CR or CRLF.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match text.find(['\n', '\r']) {
            Some(end) => {
                let after = &text[end..];
                let terminator = if after.starts_with("\r\n") { 2 } else { 1 };
                rest = Some(&after[terminator..]);
                Some(&text[..end])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn skip_white(text: &str) -> &str {
    text.trim_start_matches(is_white)
}

/// An odd number of backslashes at the end: the last of them escapes the line's end.
fn ends_in_escape(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

/// Key and value, still escaped. An entry without a separator has an empty value.
fn split_entry(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (matches!(c, '=' | ':') || is_white(c));
            escaped = c == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = skip_white(rest);
    (key, skip_white(rest.strip_prefix(['=', ':']).unwrap_or(rest)))
}

fn unescape(text: &str) -> Result<String, &'static str> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // UTF-16 units: an escape may name half of a surrogate pair, the next escape the other half.
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            push(&mut units, c);
            continue;
        };
        match c {
            't' => push(&mut units, '\t'),
            'n' => push(&mut units, '\n'),
            'r' => push(&mut units, '\r'),
            'f' => push(&mut units, '\u{c}'),
            'u' => {
                let digits = chars.as_str().get(..4).unwrap_or("");
                if digits.len() < 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err("\\u must be followed by four hexadecimal digits");
                }
                units.push(u16::from_str_radix(digits, 16).unwrap_or(0));
                chars = chars.as_str()[4..].chars();
            }
            other => push(&mut units, other),
        }
    }
    String::from_utf16(&units).map_err(|_| "a \\u escape names half of a character: give both surrogates")
}

fn push(units: &mut Vec<u16>, c: char) {
    units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, String)> {
        pairs(text.as_bytes())
    }

    fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
        parse_properties(bytes).unwrap().into_iter().map(|entry| (entry.name, entry.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let all = entries(text);
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn separators() {
        for text in ["a=b", "a:b", "a b", "a = b", "a\t:\tb", "  a  b", "\u{c}a\u{c}=b", "a=b\n", "a=b\r\n", "a=b\r"] {
            assert_eq!(one(text), pair("a", "b"), "{text:?}");
        }
        // Only one separator is eaten, trailing white space belongs to the value.
        assert_eq!(one("a==b"), pair("a", "=b"));
        assert_eq!(one("a = :b "), pair("a", ":b "));
        assert_eq!(one("a"), pair("a", ""));
        assert_eq!(one("a="), pair("a", ""));
        assert_eq!(one("=b"), pair("", "b"));
    }

    #[test]
    fn comments_and_blank_lines() {
        assert_eq!(entries("# c\n! d\n\n   \n  # e = f\\\nx=1 # not a comment\n"), [pair("x", "1 # not a comment")]);
        assert_eq!(entries(""), []);
    }

    #[test]
    fn continuation() {
        assert_eq!(one("a=b\\\n   c"), pair("a", "bc"));
        assert_eq!(one("a=b\\\r\n#c"), pair("a", "b#c"));
        assert_eq!(one("long\\\n  key = v"), pair("longkey", "v"));
        // Two backslashes are one, and end nothing.
        assert_eq!(entries("a=b\\\\\nc=d"), [pair("a", "b\\"), pair("c", "d")]);
        assert_eq!(entries("a=b\\\n\nc=d"), [pair("a", "b"), pair("c", "d")]);
        assert_eq!(one("a=b\\"), pair("a", "b"));
        let jaas = "sasl.jaas.config=org.example.Login required \\\n  username=\"u\" \\\n  password=\"p=1\";";
        assert_eq!(one(jaas), pair("sasl.jaas.config", "org.example.Login required username=\"u\" password=\"p=1\";"));
    }

    #[test]
    fn escapes() {
        assert_eq!(one(r"a\ b\=c\:d = x"), pair("a b=c:d", "x"));
        assert_eq!(one(r"a = \ lead\tT\nN\rR\fF\q\\"), pair("a", " lead\tT\nN\rR\u{c}Fq\\"));
        assert_eq!(one(r"a=\u00fc\u20ac\uD83D\uDE00!"), pair("a", "ü€😀!"));
    }

    #[test]
    fn bad_escapes_name_the_line() {
        for text in
            ["a=1\nb=\\u12", "a=1\nb=\\u12g4", "a=1\nb=\\u", "a=1\nb=\\u+123", "a=1\nb=\\u12\u{fc}", "\nb=\\uD83D"]
        {
            assert_eq!(parse_properties(text.as_bytes()).unwrap_err().line, 2, "{text:?}");
        }
    }

    #[test]
    fn lines_are_those_where_entries_start() {
        let lines = |text: &str| parse_properties(text.as_bytes()).unwrap().iter().map(|e| e.line).collect::<Vec<_>>();
        assert_eq!(lines("# c\n\na=1\nb=\\\n  2\r\nc=3\rd=4"), [3, 4, 6, 7]);
    }

    #[test]
    fn encodings() {
        assert_eq!(one("a=ü"), pair("a", "ü"));
        assert_eq!(pairs(b"a=\xfc"), [pair("a", "ü")]);
    }

    #[test]
    fn no_bytes_panic() {
        // A small generator is enough: every branch looks at single characters.
        let alphabet = b"a=: \t\\\n\r#!u0dD8\xfc\xc3";
        let mut state = 1_u32;
        for _ in 0..20_000 {
            let text: Vec<u8> = (0..state % 13)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    alphabet[(state >> 16) as usize % alphabet.len()]
                })
                .collect();
            let _ = parse_properties(&text);
            state = state.wrapping_add(1);
        }
    }
}

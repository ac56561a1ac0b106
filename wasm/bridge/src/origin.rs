//! Which pages may use the bridge.

use std::str::FromStr;

/// Origins that are allowed: `https://app.example.com`, `http://localhost:8000`, `https://*.example.com` (any number of labels,
/// at least one), `null` (pages from files and sandboxes), or `*` (any page of the whole web).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Null,
    Exact(String),
    Under {
        /// With `://`.
        scheme: String,
        /// With its dot, and the port.
        suffix: String,
    },
}

impl OriginPattern {
    /// Whether a page of this origin may connect; `origin` as the header of that name has it.
    pub fn allows(&self, origin: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Null => origin == "null",
            Kind::Exact(allowed) => normalise(origin).is_some_and(|origin| origin == *allowed),
            Kind::Under { scheme, suffix } => normalise(origin).is_some_and(|origin| {
                let host = origin.strip_prefix(scheme.as_str()).and_then(|rest| rest.strip_suffix(suffix.as_str()));
                host.is_some_and(|host| !host.is_empty() && !host.contains(':'))
            }),
        }
    }
}

impl FromStr for OriginPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = match text {
            "*" => Kind::Any,
            "null" => Kind::Null,
            _ => {
                let origin = normalise(text)
                    .ok_or_else(|| format!("{text:?} is no origin: SCHEME://HOST or SCHEME://HOST:PORT, no path"))?;
                match origin.split_once("*") {
                    None => Kind::Exact(origin),
                    Some((scheme, suffix))
                        if scheme.ends_with("://") && suffix.starts_with('.') && !suffix.contains('*') =>
                    {
                        Kind::Under { scheme: scheme.to_owned(), suffix: suffix.to_owned() }
                    }
                    Some(_) => {
                        return Err("a * stands for whole labels, first in the host: https://*.example.com".to_owned());
                    }
                }
            }
        };
        Ok(Self(kind))
    }
}

/// In lower case, without the scheme's own port; `None` if it is no origin.
fn normalise(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]*".contains(&b);
    let plain_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !plain_scheme || authority.is_empty() || !authority.bytes().all(valid) {
        return None;
    }
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    Some(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        for (pattern, inside, outside) in [
            (
                "http://localhost:8000",
                vec!["http://localhost:8000", "HTTP://LOCALHOST:8000"],
                vec![
                    "http://localhost:80000",
                    "http://localhost",
                    "https://localhost:8000",
                    "http://127.0.0.1:8000",
                    "",
                    "null",
                ],
            ),
            (
                "https://a.example:443",
                vec!["https://a.example"],
                vec!["https://a.example:8443", "https://a.example.evil.net"],
            ),
            (
                "https://*.example.com",
                vec!["https://a.example.com", "https://a.b.example.com", "https://a.example.com:443"],
                vec![
                    "https://example.com",
                    "http://a.example.com",
                    "https://evilexample.com",
                    "https://a.example.com:1",
                    "https://evil.net/.example.com",
                    "https://evil.net:1.example.com",
                ],
            ),
            ("null", vec!["null"], vec!["", "http://null"]),
            ("*", vec!["http://any.where"], vec![]),
        ] {
            let parsed: OriginPattern = pattern.parse().unwrap();
            inside.iter().for_each(|origin| assert!(parsed.allows(origin), "{pattern} {origin}"));
            outside.iter().for_each(|origin| assert!(!parsed.allows(origin), "{pattern} {origin}"));
        }
        for wrong in [
            "",
            "localhost:8000",
            "http://",
            "http://a/",
            "http://a/b",
            "http://a b",
            "https://a.*.com",
            "https://*example.com",
        ] {
            assert!(wrong.parse::<OriginPattern>().is_err(), "{wrong}");
        }
    }
}

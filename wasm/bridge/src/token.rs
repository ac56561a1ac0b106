//! The tokens that clients show.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use subtle::{Choice, ConstantTimeEq};

/// Shorter ones can be guessed.
pub const MIN_TOKEN_LEN: usize = 16;
/// Longer ones are a mistake, such as a file of another kind.
const MAX_TOKEN_LEN: usize = 1024;

/// Where tokens come from. With none of both, no client needs one. Its `Debug` shows no token.
#[derive(Clone, Default)]
pub struct TokenSource {
    /// A file with one token per line; empty lines and lines that begin with `#` are passed over. Read at the start and at every
    /// reload; several lines let old and new tokens overlap.
    pub file: Option<PathBuf>,
    /// A token from the environment.
    pub value: Option<String>,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map(|_| "(not shown)");
        f.debug_struct("TokenSource").field("file", &self.file).field("value", &value).finish()
    }
}

/// Tokens, any of which lets a client in.
#[derive(Default)]
pub(crate) struct Tokens(Vec<String>);

impl Tokens {
    /// Whether clients need one.
    pub(crate) fn are_needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether `shown` is one of them, in a time that depends on lengths and on how many there are, not on what they say.
    pub(crate) fn contain(&self, shown: &str) -> bool {
        let found =
            self.0.iter().fold(Choice::from(0), |found, token| found | token.as_bytes().ct_eq(shown.as_bytes()));
        found.into()
    }

    /// The error names the file and the line, never the token.
    pub(crate) fn load(source: &TokenSource) -> Result<Self, String> {
        let mut tokens = Vec::new();
        if let Some(value) = &source.value {
            check(value.trim()).map_err(|wrong| format!("the token from the environment {wrong}"))?;
            tokens.push(value.trim().to_owned());
        }
        if let Some(path) = &source.file {
            tokens.extend(read(path)?);
        }
        Ok(Self(tokens))
    }
}

fn read(path: &Path) -> Result<Vec<String>, String> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("token file {name}: {error}"))?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let tokens: Vec<String> = lines
        .map(|(at, line)| {
            check(line).map_err(|wrong| format!("token file {name}, line {at}: it {wrong}")).map(|()| line.to_owned())
        })
        .collect::<Result<_, _>>()?;
    // An empty file must not open the bridge to everyone.
    if tokens.is_empty() { Err(format!("token file {name} has no token")) } else { Ok(tokens) }
}

/// Letters that need no coding in a header, a subprotocol and a query.
fn check(token: &str) -> Result<(), &'static str> {
    if token.len() < MIN_TOKEN_LEN {
        Err("is shorter than 16 characters")
    } else if token.len() > MAX_TOKEN_LEN {
        Err("is longer than 1024 characters")
    } else if !token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)) {
        Err("has characters other than A-Z a-z 0-9 - . _ ~")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef";
    const TWO: &str = "fedcba9876543210";

    fn from(file: Option<&str>, value: Option<&str>, name: &str) -> Result<Tokens, String> {
        let path = std::env::temp_dir().join(format!("klamm-bridge-token-{name}-{}", std::process::id()));
        if let Some(text) = file {
            fs::write(&path, text).unwrap();
        }
        let source = TokenSource { file: file.map(|_| path.clone()), value: value.map(str::to_owned) };
        let tokens = Tokens::load(&source);
        drop(fs::remove_file(path));
        tokens
    }

    #[test]
    fn any_of_the_tokens_lets_in() {
        let tokens = from(Some(&format!("# old\n{ONE}\r\n\n")), Some(TWO), "any").unwrap();
        assert!(tokens.are_needed() && tokens.contain(ONE) && tokens.contain(TWO));
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0", "# old"] {
            assert!(!tokens.contain(wrong), "{wrong}");
        }
        assert!(!from(None, None, "none").unwrap().are_needed());
    }

    #[test]
    fn wrong_tokens_are_errors_that_do_not_tell_them() {
        for (name, text) in [("empty", "\n"), ("short", "short-token"), ("letters", "spaces in the token are wrong")] {
            let error = from(Some(text), None, name).err().unwrap();
            assert!(error.contains("token file") && !error.contains(text.trim()) || text == "\n", "{error}");
        }
        assert!(from(None, Some(""), "value").is_err());
        let source = TokenSource { file: None, value: Some(ONE.to_owned()) };
        assert!(!format!("{source:?}").contains(ONE));
        assert!(Tokens::load(&TokenSource { file: Some("/nowhere".into()), value: None }).is_err());
    }
}

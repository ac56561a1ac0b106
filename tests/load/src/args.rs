//! Arguments of the form `--name value`.

use std::str::FromStr;

use crate::Result;

/// Named arguments; each is taken once, and none may be left over.
#[derive(Debug)]
pub struct Args {
    pairs: Vec<(String, String)>,
}

impl Args {
    /// Reads `--name value` pairs.
    ///
    /// # Errors
    /// Something else is among them, or a value is missing.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut pairs = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let name = arg.strip_prefix("--").ok_or_else(|| format!("`{arg}` is not an option"))?;
            let value = args.next().ok_or_else(|| format!("`{arg}` needs a value"))?;
            pairs.push((name.to_owned(), value));
        }
        Ok(Self { pairs })
    }

    /// The value of `--name`, if it was given.
    ///
    /// # Errors
    /// It is not a `T`.
    pub fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(at) = self.pairs.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, value) = self.pairs.remove(at);
        let parsed = value.parse().map_err(|_| format!("--{name} cannot be `{value}`"))?;
        Ok(Some(parsed))
    }

    /// The value of `--name`, or a default.
    ///
    /// # Errors
    /// It is not a `T`.
    pub fn or<T: FromStr>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// The value of `--name`.
    ///
    /// # Errors
    /// It is missing or not a `T`.
    pub fn required<T: FromStr>(&mut self, name: &str) -> Result<T> {
        self.optional(name)?.ok_or_else(|| format!("--{name} is missing").into())
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Something is: an option that nobody asked for.
    pub fn finish(self) -> Result<()> {
        match self.pairs.first() {
            Some((name, _)) => Err(format!("there is no option --{name}").into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Result<Args> {
        Args::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_taken_once_and_none_is_ignored() {
        let mut args = args("--records 5 --size 7").unwrap();
        assert_eq!(args.required::<u64>("records").unwrap(), 5);
        assert_eq!(args.or("runs", 3).unwrap(), 3);
        assert_eq!(args.finish().unwrap_err().to_string(), "there is no option --size");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(args("records 5").is_err());
        assert!(args("--records").is_err());
        assert!(args("--records many").unwrap().or("records", 1).is_err());
        assert!(args("").unwrap().required::<u64>("records").is_err());
    }
}

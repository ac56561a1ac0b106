//! What a property is: its name, Kafka's type, default and range, and what klamm makes of it.

use std::fmt;

/// A property that can be set by name: every one that Kafka's own producer has, klamm's own, and librdkafka's.
///
/// [`keys`](crate::config::keys) lists them; `docs/configuration.md` in the repository is that list, printed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConfigKey {
    /// The name, e.g. `linger.ms`.
    pub name: &'static str,
    /// How a value is written.
    pub kind: ConfigType,
    /// Kafka's default (klamm's for its own properties, librdkafka's for those); `None` where Kafka has none
    /// or demands a value. Where klamm's default differs, `doc` says so.
    pub default: Option<&'static str>,
    /// Which values Kafka takes; where klamm takes fewer, `doc` says so.
    pub valid: Valid,
    /// What it is for, in one line.
    pub doc: &'static str,
    /// What klamm makes of it.
    pub support: Support,
}

/// How a property's value is written: Kafka's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number of 16 bits.
    Short,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A decimal number.
    Double,
    /// Text.
    Text,
    /// Texts, parted by commas.
    List,
    /// A Java class.
    Class,
    /// Text that is never shown.
    Password,
}

/// Which values of its type a property takes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Valid {
    /// All.
    Any,
    /// Any text but the empty one.
    NotEmpty,
    /// This and greater ones.
    AtLeast(i64),
    /// From the first to the second.
    Between(i64, i64),
    /// From the first to the second, or the third.
    BetweenOr(i64, i64, i64),
    /// From the first to the second.
    Decimal(f64, f64),
    /// These words.
    OneOf(&'static [&'static str]),
    /// These words, in upper or lower case.
    OneOfAnyCase(&'static [&'static str]),
}

/// What klamm makes of a property. Kafka's own default is accepted for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// It does what it does in Kafka.
    Set,
    /// Accepted, and without effect here: why. A value that asks for something else is a
    /// [`ConfigWarning`](crate::ConfigWarning).
    Inert(&'static str),
    /// Refused: not implemented yet. What to do instead.
    NotYet(&'static str),
    /// Refused: it configures something that only the Java client has. Why, or what to do instead.
    NoCounterpart(&'static str),
    /// librdkafka's name of this property.
    Alias(&'static str),
}

impl ConfigKey {
    /// Whether its values are secrets, which klamm never prints.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.kind == ConfigType::Password
    }

    /// Checks a value against type and range; else says what would be legal.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let legal = match self.kind {
            ConfigType::Boolean => ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(value)),
            ConfigType::Short | ConfigType::Int | ConfigType::Long => {
                value.parse().is_ok_and(|number: i64| self.holds(number))
            }
            ConfigType::Double => value.parse().is_ok_and(|number: f64| match self.valid {
                Valid::Decimal(min, max) => number >= min && number <= max,
                _ => number.is_finite(),
            }),
            _ => match self.valid {
                Valid::NotEmpty => !value.is_empty(),
                Valid::OneOf(words) => words.contains(&value),
                Valid::OneOfAnyCase(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value)),
                _ => true,
            },
        };
        if legal { Ok(()) } else { Err(self.expected()) }
    }

    /// Whether a whole number is in range.
    fn holds(&self, number: i64) -> bool {
        let (least, most) = self.bounds();
        let exception = matches!(self.valid, Valid::BetweenOr(_, _, other) if number == other);
        exception || (least..=most).contains(&number)
    }

    fn bounds(&self) -> (i64, i64) {
        let (least, most) = match self.kind {
            ConfigType::Short => (i16::MIN.into(), i16::MAX.into()),
            ConfigType::Int => (i32::MIN.into(), i32::MAX.into()),
            _ => (i64::MIN, i64::MAX),
        };
        match self.valid {
            Valid::AtLeast(min) => (min, most),
            Valid::Between(min, max) | Valid::BetweenOr(min, max, _) => (min, max),
            _ => (least, most),
        }
    }

    /// What would be legal, in words.
    fn expected(&self) -> String {
        match (self.kind, self.valid) {
            (ConfigType::Boolean, _) => "true or false".to_owned(),
            (ConfigType::Double, Valid::Decimal(min, max)) => format!("a number from {min:?} to {max:?}"),
            (ConfigType::Double, _) => "a number".to_owned(),
            (_, Valid::OneOf(words) | Valid::OneOfAnyCase(words)) => or(words),
            (_, Valid::NotEmpty) => "a text that is not empty".to_owned(),
            (_, Valid::BetweenOr(min, max, other)) => format!("a whole number from {min} to {max}, or {other}"),
            _ => {
                let (least, most) = self.bounds();
                format!("a whole number from {least} to {most}")
            }
        }
    }

    /// Whether `value`, which is legal, is Kafka's default, or leaves a property without one unset.
    pub(super) fn is_default(&self, value: &str) -> bool {
        let Some(default) = self.default else { return value.is_empty() };
        match self.kind {
            ConfigType::Boolean => default.eq_ignore_ascii_case(value),
            ConfigType::Short | ConfigType::Int | ConfigType::Long => {
                default.parse::<i64>().ok() == value.parse::<i64>().ok()
            }
            ConfigType::Double => default.parse::<f64>().ok() == value.parse::<f64>().ok(),
            ConfigType::List => default.split(',').map(str::trim).eq(value.split(',').map(str::trim)),
            _ if matches!(self.valid, Valid::OneOfAnyCase(_)) => default.eq_ignore_ascii_case(value),
            _ => default == value,
        }
    }
}

/// `a, b or c`.
fn or(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Boolean => "boolean",
            Self::Short => "short",
            Self::Int => "int",
            Self::Long => "long",
            Self::Double => "double",
            Self::Text => "string",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        })
    }
}

/// In Kafka's own notation, e.g. `[0,...]`; empty for any value.
impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::NotEmpty => f.write_str("non-empty string"),
            Self::AtLeast(min) => write!(f, "[{min},...]"),
            Self::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Self::BetweenOr(min, max, other) => write!(f, "[{min},...,{max}] or {other}"),
            Self::Decimal(min, max) => write!(f, "[{min:?},...,{max:?}]"),
            Self::OneOf(words) => write!(f, "[{}]", words.join(", ")),
            Self::OneOfAnyCase(words) => write!(f, "(case insensitive) [{}]", words.join(", ")),
        }
    }
}

/// Whether values of this name must not be printed, also where the name is not one that we know.
pub(super) fn sounds_secret(name: &str) -> bool {
    const SECRET: [&str; 7] = ["password", "passphrase", "secret", "jaas", "token", "credential", "private"];
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_listed_as_people_do() {
        assert_eq!(or(&["a"]), "a");
        assert_eq!(or(&["a", "b", "c"]), "a, b or c");
    }

    #[test]
    fn secrets_are_known_by_their_sound() {
        for name in ["sasl.password", "my.SECRET", "ssl.key.password", "sasl.jaas.config"] {
            assert!(sounds_secret(name), "{name}");
        }
        assert!(!sounds_secret("linger.ms"));
    }
}

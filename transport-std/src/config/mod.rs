//! Settings by name: every property of Kafka's producer, and what klamm makes of it.
//!
//! [`Builder`] has a method per setting. This module is the other way in: Kafka's own names and
//! value syntax, [listed](keys) and [read from `.properties` files](parse_properties).

mod builder;
mod java;
mod keys;
mod nearest;
mod properties;
mod setters;
mod table;
#[cfg(test)]
mod tests;
mod warning;

pub use builder::Builder;
pub(crate) use builder::OnProblem;
pub use java::{Property, SyntaxError, parse_properties};
pub use keys::{ConfigKey, ConfigType, Support, Valid};
pub(crate) use warning::unknown;
pub use warning::{ConfigWarning, ConfigWarningKind};

/// Every property that can be set by name, in chapters, those that matter most first.
///
/// ```
/// let linger = klamm::config::keys().find(|key| key.name == "linger.ms").unwrap();
/// assert_eq!((linger.default, linger.valid.to_string()), (Some("5"), "[0,...]".to_owned()));
/// ```
pub fn keys() -> impl Iterator<Item = &'static ConfigKey> {
    table::TABLE.iter().map(|entry| &entry.key)
}

/// Whether values of this property must not be shown to anyone: passwords, keys, credentials. Names that klamm
/// does not know count as well if they sound like that.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.trim();
    keys().any(|key| key.name == name && key.is_secret()) || keys::sounds_secret(name)
}

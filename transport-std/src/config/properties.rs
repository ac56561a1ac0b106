//! Properties by name: looked up, checked, and set, warned of or refused.

use std::path::Path;

use super::java::parse_properties;
use super::keys::ConfigKey;
use super::nearest::nearest;
use super::setters::Refused;
use super::table::{Deed, Entry, TABLE};
use super::warning::ConfigWarningKind;
use crate::config::builder::Builder;
use crate::error::ConfigError;

/// What stands in a message for a value that must not be shown.
const HIDDEN: &str = "(hidden)";

pub(super) fn set(mut builder: Builder, name: &str, value: &str) -> Result<Builder, ConfigError> {
    let (name, value) = (name.trim(), value.trim());
    let Some(Entry { key, deed }) = TABLE.iter().find(|entry| entry.key.name == name) else {
        let suggestion = nearest(name, TABLE.iter().map(|entry| entry.key.name));
        builder.warn(ConfigWarningKind::Unknown { name: name.to_owned(), suggestion });
        return Ok(builder);
    };
    key.check(value).map_err(|expected| invalid(key, value, expected.into()))?;
    match deed {
        Deed::Set(setter) => setter(builder, value).map_err(|refused| match refused {
            Refused::Expected(expected) => invalid(key, value, expected),
            Refused::NotYet(instead) => ConfigError::NotYet { name: format!("{name}={value}"), instead },
        }),
        Deed::Rename(of, convert) => set(builder, of, &convert(value)).map_err(|error| match error {
            // In the words of the person who wrote it.
            ConfigError::Invalid { expected, .. } => invalid(key, value, expected),
            other => other,
        }),
        Deed::Warn { as_if, why } => {
            if key.default.is_some() && !key.is_default(value) && !as_if.eq_ignore_ascii_case(value) {
                builder.warn(ConfigWarningKind::NoEffect { name: key.name, why });
            }
            Ok(builder)
        }
        Deed::NotYet(_) | Deed::NoCounterpart(_) if key.is_default(value) => Ok(builder),
        Deed::NotYet(instead) => Err(ConfigError::NotYet { name: name.to_owned(), instead }),
        Deed::NoCounterpart(instead) => Err(ConfigError::NoCounterpart { name: name.to_owned(), instead }),
    }
}

fn invalid(key: &ConfigKey, value: &str, expected: std::borrow::Cow<'static, str>) -> ConfigError {
    let value = if key.is_secret() { HIDDEN } else { value };
    ConfigError::Invalid { name: key.name.to_owned(), value: value.to_owned(), expected }
}

/// Sets the entries of a `.properties` text. `source` names it in errors and warnings.
pub(super) fn set_text(builder: Builder, source: Option<&Path>, bytes: &[u8]) -> Result<Builder, ConfigError> {
    let place = |line| match source {
        Some(path) => format!("{}, line {line}", path.display()),
        None => format!("line {line}"),
    };
    let at = |line, error| ConfigError::At { place: place(line), error: Box::new(error) };
    let entries = parse_properties(bytes).map_err(|error| at(error.line, ConfigError::Syntax(error)))?;
    entries.iter().try_fold(builder, |builder, entry| {
        let known = builder.warnings.len();
        let mut builder = set(builder, &entry.name, &entry.value).map_err(|error| at(entry.line, error))?;
        builder.warnings[known..].iter_mut().for_each(|warning| warning.place = Some(place(entry.line)));
        Ok(builder)
    })
}

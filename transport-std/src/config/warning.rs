//! What is odd about a configuration, though it works.

use std::fmt;

/// Something about a configuration that its author should know. The producer works all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigWarning {
    /// What is odd.
    pub kind: ConfigWarningKind,
    /// Where it stands, if it came from a file or a text: e.g. `producer.properties, line 3`.
    pub place: Option<String>,
}

/// What is odd about a configuration. Its text names properties, and never the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigWarningKind {
    /// Neither Kafka's producer nor klamm nor librdkafka has a property of this name; it was left out.
    Unknown {
        /// The name as given.
        name: String,
        /// The known name that comes nearest, if one is near.
        suggestion: Option<&'static str>,
    },
    /// The property asks for something that klamm does otherwise.
    NoEffect {
        /// The property.
        name: &'static str,
        /// What klamm does.
        why: &'static str,
    },
    /// `buffer.memory` cannot hold a single batch or record of the size that another property allows.
    BufferMemory {
        /// `buffer.memory`, in bytes.
        buffer_memory: usize,
        /// The other property.
        name: &'static str,
        /// Its value, in bytes.
        size: u32,
    },
}

impl From<ConfigWarningKind> for ConfigWarning {
    fn from(kind: ConfigWarningKind) -> Self {
        Self { kind, place: None }
    }
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for ConfigWarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, suggestion } => unknown(f, name, *suggestion),
            Self::NoEffect { name, why } => write!(f, "{name} has no effect: {why}"),
            Self::BufferMemory { buffer_memory, name, size } => {
                write!(f, "buffer.memory={buffer_memory} cannot hold what {name}={size} allows")
            }
        }
    }
}

/// The words for a name that nobody knows, be it a warning or an error.
pub(crate) fn unknown(f: &mut fmt::Formatter<'_>, name: &str, suggestion: Option<&str>) -> fmt::Result {
    write!(f, "unknown property {name}")?;
    match suggestion {
        Some(known) => write!(f, ": did you mean {known}?"),
        None => Ok(()),
    }
}

//! How hard the codecs try, and which of them this build has.

use klamm_core::Compression;

use crate::error::ConfigError;

/// `compression.gzip.level`, `compression.lz4.level`, `compression.zstd.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) gzip: i32,
    pub(crate) lz4: i32,
    pub(crate) zstd: i32,
}

impl Default for Levels {
    fn default() -> Self {
        Self { gzip: -1, lz4: 9, zstd: 3 }
    }
}

impl Levels {
    /// Kafka's ranges.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let levels = [
            ("compression.gzip.level", self.gzip, self.gzip == -1 || (1..=9).contains(&self.gzip), "-1 or 1 to 9"),
            ("compression.lz4.level", self.lz4, (1..=17).contains(&self.lz4), "1 to 17"),
            ("compression.zstd.level", self.zstd, (-131_072..=22).contains(&self.zstd), "-131072 to 22"),
        ];
        for (name, level, legal, expected) in levels {
            if !legal {
                return Err(ConfigError::Invalid {
                    name: name.into(),
                    value: level.to_string(),
                    expected: expected.into(),
                });
            }
        }
        Ok(())
    }
}

/// Checks that this build of klamm has the codec.
pub(crate) fn check_codec(compression: Compression) -> Result<(), ConfigError> {
    let built = [
        (Compression::None, true),
        (Compression::Gzip, cfg!(feature = "gzip")),
        (Compression::Snappy, cfg!(feature = "snappy")),
        (Compression::Lz4, cfg!(feature = "lz4")),
        (Compression::Zstd, cfg!(feature = "zstd")),
    ];
    let has = built.contains(&(compression, true));
    if has { Ok(()) } else { Err(ConfigError::NoCodec { codec: compression }) }
}

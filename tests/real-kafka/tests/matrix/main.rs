//! Kafka's versions against klamm's features: every combination of codec, acks and idempotence carries every combination of key,
//! value, headers and timestamp. Kafka's own consumer reads the records back, Kafka's own tool looks at the batches.
//!
//! A version's broker runs once, for all of its tests (see [`evidence`]); each test is a cell of the table that `cargo xtask test`
//! prints, one row per version, one column per test.

mod checks;
mod evidence;

/// One test per column, for one version.
macro_rules! cells {
    ($version:literal $($(#[$attribute:meta])* $name:ident => $check:expr;)*) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $name() {
                let check: fn(&crate::evidence::Run) -> Result<(), String> = $check;
                let run = crate::evidence::of($version).unwrap_or_else(|error| panic!("Kafka {}: {error}", $version));
                check(run).unwrap_or_else(|error| panic!("Kafka {}: {error}", $version));
            }
        )*
    };
}

macro_rules! versions {
    ($($module:ident $version:literal)*) => {
        $(
            mod $module {
                use crate::checks;
                cells! { $version
                    codec_none => |run| checks::codec(run, "none");
                    codec_gzip => |run| checks::codec(run, "gzip");
                    codec_snappy => |run| checks::codec(run, "snappy");
                    codec_lz4 => |run| checks::codec(run, "lz4");
                    codec_zstd => |run| checks::codec(run, "zstd");
                    acks => checks::acks;
                    keys => checks::keys;
                    headers => checks::headers;
                    timestamps => checks::timestamps;
                    idempotence => checks::idempotence;
                }
            }
        )*

        #[test]
        fn every_tested_version_has_a_row() {
            assert_eq!([$($version),*], klamm_kafka_harness::TESTED_VERSIONS);
        }
    };
}

versions! {
    v2_1_1 "2.1.1"
    v2_8_2 "2.8.2"
    v3_3_2 "3.3.2"
    v3_9_2 "3.9.2"
    v4_0_1 "4.0.1"
    v4_3_1 "4.3.1"
    v4_4_0 "4.4.0"
}

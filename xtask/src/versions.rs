//! The table of Kafka's versions and klamm's features, made from the names of tests.

use klamm_kafka_harness::TESTED_VERSIONS;

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// A test such as `v4_3_1::codec_lz4`: one version, one feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// `4.3.1`.
    version: String,
    /// `lz4`.
    feature: String,
    verdict: Verdict,
}

/// The order of the columns; features that are not among these follow.
const COLUMNS: [&str; 10] =
    ["none", "gzip", "snappy", "lz4", "zstd", "acks", "keys", "headers", "timestamps", "idempotence"];

impl Cell {
    /// Reads a line of `cargo test`, if it is about such a test.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
        let (module, feature) = name.split_once("::")?;
        let version = module.strip_prefix('v')?.replace('_', ".");
        if !version.split('.').all(|part| part.parse::<u16>().is_ok()) {
            return None;
        }
        let verdict = match verdict.split([',', ' ']).next()? {
            "ok" => Verdict::Passed,
            "ignored" => Verdict::Skipped,
            _ => Verdict::Failed,
        };
        let feature = feature.strip_prefix("codec_").unwrap_or(feature).to_owned();
        Some(Self { version, feature, verdict })
    }
}

/// The table; empty without cells. A tested version or a feature without its test shows as missing.
pub(crate) fn render(cells: &[Cell]) -> String {
    if cells.is_empty() {
        return String::new();
    }
    let mut columns: Vec<&str> = COLUMNS.to_vec();
    let mut versions: Vec<&str> = TESTED_VERSIONS.to_vec();
    for cell in cells {
        if !columns.contains(&cell.feature.as_str()) {
            columns.push(&cell.feature);
        }
        if !versions.contains(&cell.version.as_str()) {
            versions.push(&cell.version);
        }
    }
    let mut text = format!("\n{:<14}", "Kafka");
    for column in &columns {
        text.push_str(&format!(" {column:>width$}", width = width(column)));
    }
    for version in versions {
        text.push_str(&format!("\n{version:<14}"));
        for column in &columns {
            let cell = cells.iter().find(|cell| cell.version == version && cell.feature == *column);
            let word = match cell.map(|cell| cell.verdict) {
                Some(Verdict::Passed) => "ok",
                Some(Verdict::Failed) => "FAILED",
                Some(Verdict::Skipped) => "skipped",
                None => "missing",
            };
            text.push_str(&format!(" {word:>width$}", width = width(column)));
        }
    }
    text.push('\n');
    text
}

fn width(column: &str) -> usize {
    column.len().max("skipped".len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_of_a_version_are_cells() {
        let cell = Cell::parse("test v4_3_1::codec_lz4 ... ok").unwrap();
        assert_eq!((cell.version.as_str(), cell.feature.as_str()), ("4.3.1", "lz4"));
        assert_eq!(Cell::parse("test v2_1_1::acks ... FAILED").map(|cell| cell.verdict), Some(Verdict::Failed));
        let ignored = Cell::parse("test v2_1_1::codec_zstd ... ignored, no zstd yet");
        assert_eq!(ignored.map(|cell| cell.verdict), Some(Verdict::Skipped));
        for line in ["test versions::a ... ok", "test a::v4_3_1::b ... ok", "test v4_3_1::acks ...", "Running v1"] {
            assert_eq!(Cell::parse(line), None, "{line}");
        }
    }

    #[test]
    fn what_did_not_run_is_missing() {
        assert_eq!(render(&[]), "");
        let lines = ["test v2_1_1::codec_none ... ok", "test v2_1_1::acks ... FAILED", "test v4_3_1::keys ... ignored"];
        let cells: Vec<Cell> = lines.iter().filter_map(|line| Cell::parse(line)).collect();
        let text = render(&cells);
        let row = |version: &str| {
            let line = text.lines().find(|line| line.starts_with(version)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(text.lines().count(), 2 + TESTED_VERSIONS.len());
        assert_eq!(row("2.1.1")[..3], ["2.1.1", "ok", "missing"]);
        assert_eq!(row("2.1.1")[6], "FAILED");
        assert_eq!(row("4.3.1")[7], "skipped");
        assert!(row("4.4.0")[1..].iter().all(|word| word == "missing"));
    }
}

//! Prints `docs/configuration.md`: every property, from the table that the client itself reads.
//! `cargo xtask docs` keeps the file up to date with it.

use std::io::{self, Write};

use klamm::config::{ConfigKey, Support, Valid, keys};

const INTRO: &str = "\
# Configuration

<!-- Generated from transport-std/src/config/table.rs by `cargo xtask docs`: change that. -->

Every property of Kafka's producer (as of 4.x), with Kafka's type, default and range, and what klamm makes of it. In a program
each setting is a method of `klamm::Builder`; by name, properties come from pairs and maps (`Builder::properties`), from
`.properties` texts and files (`properties_text`, `properties_file`), and for the command also from the environment: `KLAMM_LINGER_MS` for
`linger.ms`. There a flag wins over `--command-property`, that over the file, the file over the environment.

- **Kafka's default is always accepted**, also of what klamm has no use for.
- **An illegal value is an error** that names the property, the range and, in a file, the line.
- **An unknown name is a warning**, with the name that was perhaps meant; with `Builder::refuse_unknown(true)` it is an error.
- **What is not implemented is an error** that says so. What has no effect here is a warning.
- Times beyond 2147483647 ms (24 days), which mean \"never\" in Java's configurations, count as that.
- `delivery.timeout.ms` must be at least `linger.ms` + `request.timeout.ms`. If it is not set, it grows to that.
- `enable.idempotence` needs `acks=all` and `retries` above 0. If it is not set, it is true where these allow it.
- Values of type password are never printed.

Files are read as `java.util.Properties` reads them (comments, `=` `:` or space, continued lines, `\\uXXXX`), but as UTF-8 where they are
valid UTF-8, and as ISO 8859-1 otherwise.
";

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{INTRO}")?;
    chapter(&mut out, "Settings", "Default and range are Kafka's.", ["What it does"], |key| {
        matches!(key.support, Support::Set).then_some([key.doc.to_owned()])
    })?;
    let about = "Another value than the default is a warning, unless it asks for what klamm does.";
    chapter(&mut out, "Accepted, without effect", about, ["In Kafka", "Here"], |key| match key.support {
        Support::Inert(why) => Some([key.doc.to_owned(), sentence(why)]),
        _ => None,
    })?;
    let about = "Another value than the default is refused.";
    chapter(&mut out, "Not implemented yet", about, ["What it does", "Instead"], |key| match key.support {
        Support::NotYet(instead) => Some([key.doc.to_owned(), sentence(instead)]),
        _ => None,
    })?;
    let about = "They configure parts of the Java client. Another value than the default is refused.";
    chapter(&mut out, "Without a counterpart", about, ["In Kafka", "Here"], |key| match key.support {
        Support::NoCounterpart(instead) => Some([key.doc.to_owned(), sentence(instead)]),
        _ => None,
    })?;
    let about = "The same settings under other names. Defaults and ranges are librdkafka's; klamm's are those of the property meant.";
    chapter(&mut out, "librdkafka's names", about, ["Means", "Note"], |key| match key.support {
        Support::Alias(of) => Some([format!("`{of}`"), key.doc.to_owned()]),
        _ => None,
    })
}

/// A table of the properties for which `cells` has something.
fn chapter<const N: usize>(
    out: &mut impl Write,
    title: &str,
    about: &str,
    columns: [&str; N],
    cells: impl Fn(&ConfigKey) -> Option<[String; N]>,
) -> io::Result<()> {
    writeln!(out, "\n## {title}\n\n{about}\n\n| property | type | default | range | {} |", columns.join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(4 + N))?;
    for key in keys() {
        let Some(cells) = cells(key) else { continue };
        let default = key.default.map_or_else(|| "–".to_owned(), code);
        let range = if key.valid == Valid::Any { "–".to_owned() } else { key.valid.to_string() };
        writeln!(out, "| `{}` | {} | {default} | {range} | {} |", key.name, key.kind, cells.join(" | "))?;
    }
    Ok(())
}

/// A default as code; the empty one in words.
fn code(text: &str) -> String {
    if text.is_empty() { "empty".to_owned() } else { format!("`{text}`") }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
}

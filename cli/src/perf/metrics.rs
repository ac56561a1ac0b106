//! `--print-metrics`: the producer's metrics, as Kafka's tool lays them out.

use std::io::{self, Write};

/// Prints every metric: an empty line, the heading, then a line per metric, sorted by name.
pub(crate) fn print(producer: &klamm::Producer, out: &mut impl Write) -> io::Result<()> {
    write!(out, "\n{}", producer.metrics())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_kafkas_tool() {
        let producer =
            klamm::Producer::builder().bootstrap_servers("localhost:1").client_id("me").build().expect("a producer");
        let mut out = Vec::new();
        print(&producer, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(""));
        let heading = lines.next().unwrap();
        assert!(heading.starts_with("Metric Name "), "{heading}");
        let width = heading.find("   Value").unwrap();
        let rest: Vec<_> = lines.collect();
        assert!(rest.len() > 50 && rest.is_sorted(), "{text}");
        for line in &rest {
            let (name, value) = line.split_at(width);
            assert!(name.trim_end().ends_with("{client-id=me}"), "{line}");
            assert!(value.starts_with(" : "), "{line}");
        }
        let value =
            |name: &str| rest.iter().find(|line| line.starts_with(name)).map(|line| line[width + 3..].to_owned());
        assert_eq!(value("producer-metrics:record-send-total:").as_deref(), Some("0.000"));
        assert_eq!(value("producer-metrics:request-latency-max:").as_deref(), Some("NaN"));
        producer.close_now();
    }
}

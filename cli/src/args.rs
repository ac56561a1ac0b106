//! The flags: those of Kafka's own tools, under their old and their new names.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::help;

/// Apache Kafka producer on the command line.
#[derive(Debug, Parser)]
#[command(name = "klamm", version, propagate_version = true, arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Produce(Box<Produce>),
    Perf(Box<Perf>),
    Metadata(Metadata),
    Completions(Completions),
    Man(Man),
}

const PRODUCE_HELP: &str = "\
READER PROPERTIES (--reader-property), with their defaults:
  parse.key=false            the line holds a key before its value
  parse.headers=false        the line holds headers before its key
  key.separator=TAB          ends the key
  headers.delimiter=TAB      ends the headers
  headers.separator=,        parts headers
  headers.key.separator=:    parts a header's name and value
  null.marker=               when set: a field equal to it is null
  ignore.error=false         take lines that lack a separator as far as they go

  With all of them a line is: h1:v1,h2:v2<TAB>key<TAB>value

EXIT STATUS:
  0  every record was delivered
  1  some were not (see standard error, or --json)
  2  wrong usage or configuration; nothing was sent

EXAMPLES:
  seq 100 | klamm produce --bootstrap-server localhost:9092 --topic numbers
  klamm produce --bootstrap-server localhost:9092 --topic users \\
      --reader-property parse.key=true --reader-property key.separator== < users.txt
  tail -f log | klamm produce --bootstrap-server localhost:9092 --topic log --json";

/// Send each line of standard input as one record.
///
/// Flags are those of kafka-console-producer. Where that tool waits shorter than a producer does (1.5 s for a request,
/// 3 retries), this one keeps the producer's own defaults: a record is tried until delivery.timeout.ms is over.
#[derive(Debug, Args)]
#[command(after_help = PRODUCE_HELP, after_long_help = help::with_properties(PRODUCE_HELP), infer_long_args = true)]
pub(crate) struct Produce {
    /// Brokers to ask first [required here, or as bootstrap.servers in a property or file]
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_server: Option<String>,
    /// The old name of --bootstrap-server, which wins over it
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) broker_list: Option<String>,
    /// The topic to send to
    #[arg(long)]
    pub(crate) topic: String,
    /// A producer property; may be repeated; wins over --command-config
    #[arg(long, visible_alias = "producer-property", value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub(crate) command_property: Vec<String>,
    /// A file of producer properties
    #[arg(long, visible_alias = "producer.config", value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,
    /// A property of the line reader (see below); may be repeated; wins over --reader-config
    #[arg(long, visible_alias = "property", value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub(crate) reader_property: Vec<String>,
    /// A file of line reader properties
    #[arg(long, value_name = "FILE")]
    pub(crate) reader_config: Option<PathBuf>,
    /// The reader class; only Kafka's LineMessageReader exists here
    #[arg(long, value_name = "CLASS")]
    pub(crate) line_reader: Option<String>,
    /// One JSON object per record on standard output, in the order of the lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Wait for each record's delivery before reading the next line
    #[arg(long)]
    pub(crate) sync: bool,
    /// none, gzip, snappy, lz4 or zstd; gzip if no codec is named
    #[arg(long, value_name = "CODEC", num_args = 0..=1, default_missing_value = "gzip",
          value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    pub(crate) compression_codec: Option<String>,
    /// How long a record may wait for company (linger.ms)
    #[arg(long, value_name = "MS", allow_hyphen_values = true)]
    pub(crate) timeout: Option<String>,
    /// Bytes of a batch (batch.size)
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) batch_size: Option<String>,
    /// The same by its old name; wins over --batch-size
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) max_partition_memory_bytes: Option<String>,
    /// Who must have the record: 0, 1 or all, also written -1 (acks)
    #[arg(long, value_name = "ACKS", allow_hyphen_values = true)]
    pub(crate) request_required_acks: Option<String>,
    /// How long to wait for an answer (request.timeout.ms)
    #[arg(long, value_name = "MS", allow_hyphen_values = true)]
    pub(crate) request_timeout_ms: Option<String>,
    /// How often to try again (retries)
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) message_send_max_retries: Option<String>,
    /// The first pause before trying again (retry.backoff.ms)
    #[arg(long, value_name = "MS", allow_hyphen_values = true)]
    pub(crate) retry_backoff_ms: Option<String>,
    /// How long a line may wait for metadata or memory (max.block.ms)
    #[arg(long, value_name = "MS", allow_hyphen_values = true)]
    pub(crate) max_block_ms: Option<String>,
    /// Memory for records not delivered yet (buffer.memory)
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) max_memory_bytes: Option<String>,
    /// The greatest age of metadata (metadata.max.age.ms)
    #[arg(long, value_name = "MS", allow_hyphen_values = true)]
    pub(crate) metadata_expiry_ms: Option<String>,
    /// The socket's send buffer (send.buffer.bytes)
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) socket_buffer_size: Option<String>,
}

impl Produce {
    /// The flags that are another name of a property; as in Kafka's tool, one that is given wins over the property, and
    /// a later one in this list over an earlier one.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&'static str, &String)> {
        [
            ("bootstrap.servers", &self.broker_list),
            ("bootstrap.servers", &self.bootstrap_server),
            ("compression.type", &self.compression_codec),
            ("linger.ms", &self.timeout),
            ("batch.size", &self.batch_size),
            ("batch.size", &self.max_partition_memory_bytes),
            ("acks", &self.request_required_acks),
            ("request.timeout.ms", &self.request_timeout_ms),
            ("retries", &self.message_send_max_retries),
            ("retry.backoff.ms", &self.retry_backoff_ms),
            ("max.block.ms", &self.max_block_ms),
            ("buffer.memory", &self.max_memory_bytes),
            ("metadata.max.age.ms", &self.metadata_expiry_ms),
            ("send.buffer.bytes", &self.socket_buffer_size),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|v| (name, v)))
    }
}

const PERF_HELP: &str = "\
EXIT STATUS:
  0  every record was delivered
  1  some were not
  2  wrong usage or configuration; nothing was sent

EXAMPLE:
  klamm perf --bootstrap-server localhost:9092 --topic t --num-records 5000000 --record-size 100 \\
      --throughput -1 --command-property compression.type=lz4 linger.ms=20";

/// Send generated records, and report throughput and latency.
///
/// Flags and output are those of kafka-producer-perf-test, so that the two can be compared line by line.
#[derive(Debug, Args)]
#[command(after_help = PERF_HELP, after_long_help = help::with_properties(PERF_HELP), infer_long_args = true)]
#[command(group = clap::ArgGroup::new("payload").required(true).args(["record_size", "payload_file", "payload_monotonic"]))]
pub(crate) struct Perf {
    /// Brokers to ask first [required here, or as bootstrap.servers in a property or file]
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_server: Option<String>,
    /// The topic to send to
    #[arg(long)]
    pub(crate) topic: String,
    /// How many records to send
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) num_records: u64,
    /// Records per second at most; -1 for as many as possible
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) throughput: f64,
    /// Bytes of a record: random letters A to Z
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) record_size: Option<u32>,
    /// Send random pieces of this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) payload_file: Option<PathBuf>,
    /// What ends a piece of the file
    #[arg(long, value_name = "TEXT", default_value = "\\n", allow_hyphen_values = true)]
    pub(crate) payload_delimiter: String,
    /// Send 0, 1, 2, … as decimal text instead
    #[arg(long)]
    pub(crate) payload_monotonic: bool,
    /// Producer properties, several after one flag; win over --command-config
    #[arg(long, visible_alias = "producer-props", value_name = "KEY=VALUE", num_args = 1.., action = ArgAction::Append)]
    pub(crate) command_property: Vec<String>,
    /// A file of producer properties
    #[arg(long, visible_alias = "producer.config", value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,
    /// Print the producer's counters at the end
    #[arg(long)]
    pub(crate) print_metrics: bool,
    /// Leave the first N records out of a second summary
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) warmup_records: u64,
    /// Time between two lines of progress
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) reporting_interval: u64,
    /// Known from Kafka's tool; refused with a clear message.
    #[arg(long, hide = true)]
    pub(crate) transactional_id: Option<String>,
    /// Known from Kafka's tool; refused with a clear message.
    #[arg(long, hide = true)]
    pub(crate) transaction_duration_ms: Option<String>,
}

const METADATA_HELP: &str = "\
EXIT STATUS:
  0  everything asked for was found, without errors
  1  the cluster or a broker could not be asked, or a topic or partition has an error
  2  wrong usage or configuration

EXAMPLES:
  klamm metadata --bootstrap-server localhost:9092
  klamm metadata --bootstrap-server localhost:9092 --topic orders --json | jq '.topics[].partitions[] | select(.leader < 0)'";

/// Show brokers, their API versions, and topics with their partitions.
///
/// Nothing is created or changed: a topic that does not exist is reported as such.
#[derive(Debug, Args)]
#[command(after_help = METADATA_HELP, after_long_help = METADATA_HELP, infer_long_args = true)]
pub(crate) struct Metadata {
    /// Brokers to ask first [required here, or as bootstrap.servers in a property or file]
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_server: Option<String>,
    /// Only this topic; may be repeated [default: all]
    #[arg(long, action = ArgAction::Append)]
    pub(crate) topic: Vec<String>,
    /// One JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// A client property; may be repeated; wins over --command-config
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub(crate) command_property: Vec<String>,
    /// A file of client properties
    #[arg(long, value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,
    /// How long to wait for each broker
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) timeout: u64,
}

/// Print a completion script for a shell, e.g. `klamm completions bash > ~/.local/share/bash-completion/completions/klamm`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// Print a manual page, e.g. `klamm man produce | man -l -`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The command to print it of [default: klamm itself]
    #[arg(value_parser = ["produce", "perf", "metadata", "completions", "man"])]
    pub(crate) command: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn produce(args: &str) -> Result<Produce, clap::Error> {
        let words = "klamm produce --topic t --bootstrap-server h:1 ".to_owned() + args;
        match Cli::try_parse_from(words.split_whitespace())?.command {
            Command::Produce(p) => Ok(*p),
            _ => unreachable!(),
        }
    }

    fn perf(args: &str) -> Result<Perf, clap::Error> {
        let words = "klamm perf --topic t --num-records 9 ".to_owned() + args;
        match Cli::try_parse_from(words.split_whitespace())?.command {
            Command::Perf(p) => Ok(*p),
            _ => unreachable!(),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn old_and_new_names() {
        let p = produce(
            "--producer-property a=1 --command-property b=2 --producer.config f --property c=3 --reader-property d=4",
        )
        .unwrap();
        assert_eq!(p.command_property, ["a=1", "b=2"]);
        assert_eq!(p.reader_property, ["c=3", "d=4"]);
        assert_eq!(p.command_config, Some("f".into()));
        let p = Cli::try_parse_from(["klamm", "produce", "--broker-list", "h:2", "--topic", "t"]).unwrap();
        assert!(
            matches!(p.command, Command::Produce(p) if p.properties().eq([("bootstrap.servers", &"h:2".to_owned())]))
        );
        let p = perf("--throughput -1 --record-size 5 --producer-props a=1 b=2 --producer.config f --command-property c=3 d=4 --print-metrics")
            .unwrap();
        assert_eq!(p.command_property, ["a=1", "b=2", "c=3", "d=4"]);
        assert_eq!(p.command_config, Some("f".into()));
        assert!(p.print_metrics);
    }

    #[test]
    fn the_codec_may_be_unnamed() {
        let codec = |args| produce(args).map(|p| p.compression_codec);
        assert_eq!(codec("").unwrap(), None);
        assert_eq!(codec("--compression-codec").unwrap().as_deref(), Some("gzip"));
        assert_eq!(codec("--compression-codec --sync").unwrap().as_deref(), Some("gzip"));
        assert_eq!(codec("--compression-codec zstd").unwrap().as_deref(), Some("zstd"));
        assert_eq!(codec("--compression-codec=lz4").unwrap().as_deref(), Some("lz4"));
        assert!(codec("--compression-codec brotli").is_err());
        // Kafka's parser takes any beginning of a flag that is clear.
        assert_eq!(codec("--compression=lz4").unwrap().as_deref(), Some("lz4"));
    }

    #[test]
    fn numbers_may_be_negative() {
        let p = produce("--request-required-acks -1 --message-send-max-retries -1").unwrap();
        assert_eq!(p.request_required_acks.as_deref(), Some("-1"));
        let all: Vec<_> = p.properties().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(all, ["bootstrap.servers=h:1", "acks=-1", "retries=-1"]);
        assert_eq!(perf("--throughput -1 --record-size 5").unwrap().throughput, -1.0);
        assert_eq!(perf("--throughput 0.5 --payload-monotonic").unwrap().throughput, 0.5);
    }

    #[test]
    fn perf_wants_exactly_one_payload() {
        assert!(perf("--throughput -1").is_err());
        assert!(perf("--throughput -1 --record-size 1 --payload-monotonic").is_err());
        assert!(perf("--throughput -1 --record-size 0").is_err());
        assert!(perf("--throughput -1 --payload-file f --payload-delimiter -").is_ok());
    }
}

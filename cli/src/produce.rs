//! `klamm produce`: one record per line of standard input.

use std::io::{self, IsTerminal, Write};

use klamm::{Producer, Record, SendError};

use crate::args::Produce;
use crate::config::{self, Settings, Usage};
use crate::failure::Failure;
use crate::interrupt;
use crate::lines::{Line, Lines};
use crate::progress::Progress;
use crate::reader::{self, LineReader, Parsed};
use crate::report::{Outcome, Reporter, Summary};

/// The names under which Kafka knows its line reader, over the years.
const LINE_READERS: [&str; 3] =
    ["LineMessageReader", "org.apache.kafka.tools.LineMessageReader", "kafka.tools.ConsoleProducer$LineMessageReader"];

/// Runs the command; whether every record was delivered.
pub(crate) fn run(args: &Produce) -> Result<bool, Usage> {
    let reader = reader(args)?;
    let settings = settings(args)?;
    // A line that does not fit into the producer's memory can never be sent, so it need not be held either.
    let limit = settings.buffer_memory();
    let producer = settings.producer("console-producer")?;

    interrupt::deliver_first(&producer);

    let progress = progress(args.json);
    let mut session = Session {
        topic: &args.topic,
        sync: args.sync,
        reader,
        reports: Reporter::start(args.json, progress.clone()),
        producer: &producer,
        line: 0,
        stopped: None,
    };
    session.read(Lines::new(io::stdin().lock(), limit));
    let Session { reports, line, stopped, .. } = session;
    // What is left need not linger: nothing more will join it.
    producer.flush();
    let summary = reports.finish();
    producer.close_now();
    progress.finish();
    conclude(&progress, summary, line, stopped.as_deref());
    if interrupt::asked() && summary.not_written + summary.unknown > 0 {
        // A record that waited for a broker: the interrupt's own words would say that all are delivered.
        interrupt::end();
    }
    Ok(summary.not_written + summary.unknown == 0 && stopped.is_none())
}

fn reader(args: &Produce) -> Result<LineReader, Usage> {
    if let Some(class) = &args.line_reader
        && !LINE_READERS.contains(&class.as_str())
    {
        return Err(format!(
            "--line-reader {class}: classes cannot be loaded here; only {} is built in",
            LINE_READERS[1]
        ));
    }
    let properties = config::reader_properties(args.reader_config.as_deref(), &args.reader_property)?;
    reader::doubts(&properties).iter().for_each(|doubt| config::warn(doubt));
    LineReader::new(&properties)
}

fn settings(args: &Produce) -> Result<Settings, Usage> {
    let mut settings = Settings::read(args.command_config.as_deref(), &args.command_property)?;
    args.properties().for_each(|(name, value)| settings.set(name, value));
    Ok(settings)
}

/// None where it would mix with typed lines or printed records.
fn progress(json: bool) -> Progress {
    if io::stdin().is_terminal() || (json && io::stdout().is_terminal()) {
        return Progress::none();
    }
    Progress::records(None)
}

fn conclude(progress: &Progress, summary: Summary, lines: u64, stopped: Option<&str>) {
    if let Some(reason) = stopped {
        progress.say(format_args!("stopped after line {lines}: {reason}; later lines were not sent"));
    }
    let Summary { delivered, not_written, unknown } = summary;
    let failed = not_written + unknown;
    if failed > 0 {
        let doubt = if unknown > 0 { format!(", {unknown} of them may have been written") } else { String::new() };
        progress.say(format_args!("{failed} of {} records failed{doubt}", delivered + failed));
    }
}

struct Session<'a> {
    topic: &'a str,
    sync: bool,
    reader: LineReader,
    reports: Reporter,
    producer: &'a Producer,
    /// The current line, from 1.
    line: u64,
    /// Why reading ended before the input did.
    stopped: Option<String>,
}

impl Session<'_> {
    /// Sends every line, until the input ends or going on makes no sense.
    fn read<R: io::Read>(&mut self, mut lines: Lines<R>) {
        let prompt = io::stdin().is_terminal() && io::stderr().is_terminal();
        let mut more = true;
        loop {
            while let Some(line) = lines.next_buffered() {
                if interrupt::asked() {
                    self.stopped = Some("interrupted".to_owned());
                    return;
                }
                self.line += 1;
                self.send(&line);
                if self.stopped.is_some() {
                    return;
                }
            }
            if !more {
                return;
            }
            // Input may be long in coming: what there is must not wait for it.
            self.reports.hand_over();
            if prompt {
                drop(write!(io::stderr(), ">"));
            }
            more = lines.fill().unwrap_or_else(|e| {
                self.stopped = Some(format!("cannot read standard input: {e}"));
                false
            });
        }
    }

    fn send(&mut self, line: &Line<'_>) {
        let outcome = match line {
            Line::TooLong(length) => Outcome::Failed(Failure::not_sent(format!(
                "the line has {length} bytes, more than buffer.memory: raise --max-memory-bytes and max.request.size"
            ))),
            Line::Bytes(bytes) => match self.reader.parse(bytes, self.line) {
                Ok(parsed) => self.send_record(&parsed),
                Err(error) => {
                    // As Kafka's tool: a line that is not as announced ends the run, since the next may be as bad.
                    self.stopped = Some(
                        "the line does not match the reader properties (ignore.error=true takes it as it is)"
                            .to_owned(),
                    );
                    Outcome::Failed(Failure::not_sent(error.to_string()))
                }
            },
        };
        self.reports.add(self.line, outcome);
    }

    fn send_record(&mut self, parsed: &Parsed<'_>) -> Outcome {
        let mut record = Record::to(self.topic).headers(&parsed.headers);
        if let Some(key) = parsed.key {
            record = record.key(key);
        }
        if let Some(value) = parsed.value {
            record = record.value(value);
        }
        match self.producer.send(&record) {
            Ok(delivery) if self.sync => delivery.wait().into(),
            Ok(delivery) => Outcome::Accepted(delivery),
            Err(error) => {
                self.stopped = self.ends_the_run(&error);
                Outcome::Failed(error.into())
            }
        }
    }

    /// Why the next lines would meet the same error, each perhaps after a long wait; none if they may fare better.
    fn ends_the_run(&self, error: &SendError) -> Option<String> {
        match error {
            SendError::Closed if interrupt::asked() => Some("interrupted".to_owned()),
            SendError::Closed | SendError::Fatal(_) | SendError::Broken => Some("the producer cannot go on".to_owned()),
            SendError::Topic { .. } | SendError::TopicName { .. } => Some("the topic cannot be written to".to_owned()),
            SendError::Timeout { .. } if !self.reports.any_delivered() => {
                Some("nothing could be delivered within max.block.ms; is --bootstrap-server right?".to_owned())
            }
            _ => None,
        }
    }
}

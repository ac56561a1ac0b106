//! The emulator: one board, told what to do by words, watched by its lines of text.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use klamm_kafka_harness::Guard;
use serde_json::{Value, json};

use crate::Result;

/// The board as QEMU calls it.
const MACHINE: &str = "lm3s6965evb";
/// What this machine is called in the guest's network.
pub(crate) const HOST: &str = "10.0.2.2";
/// What this board makes QEMU say at every start.
const NOISE: &str = "Timer with period zero, disabling";

/// A board that runs; it ends with this value.
pub(crate) struct Qemu {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    monitor: PathBuf,
    deadline: Instant,
    _guard: Guard,
}

/// What a board said, and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    /// All its lines.
    pub(crate) lines: Vec<String>,
}

/// A place for a socket or a pipe that nothing else has: several boards may run at a time.
pub(crate) fn own_path(extension: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("klamm-firmware-{}-{number}.{extension}", std::process::id()))
}

/// Why an exit code is what it is; the firmware's own documentation has the same list.
fn meaning(code: Option<i32>, lines: &[String]) -> &'static str {
    match code {
        // QEMU's own 1 is no word of the board's.
        Some(1) if lines.iter().any(|line| line.starts_with("qemu-system-arm: ")) => "QEMU could not start",
        Some(0) => "all readings are stored",
        Some(1) => "some readings are not stored",
        Some(2) => "it could not make sense of its settings",
        Some(101) => "it panicked",
        Some(102) => "a hard fault: the stack ran into its guard, or an instruction was none",
        _ => "QEMU was killed, or could not start",
    }
}

impl Qemu {
    /// Starts the image with these settings, `name=value` each, and further arguments for QEMU.
    pub(crate) fn start(image: &Path, words: &[String], extra: &[&str], limit: Duration) -> Result<Self> {
        Self::start_decoded(image, words, extra, limit, None)
    }

    /// The same for an image whose output is made lines of text by a program, which is called with `-e IMAGE`.
    pub(crate) fn start_decoded(
        image: &Path,
        words: &[String],
        extra: &[&str],
        limit: Duration,
        decoder: Option<&Path>,
    ) -> Result<Self> {
        let monitor = own_path("qmp");
        let mut semihosting = "enable=on,target=native".to_owned();
        for word in words {
            // A comma begins QEMU's next option unless it is doubled.
            semihosting += &format!(",arg={}", word.replace(',', ",,"));
        }
        let mut command = Command::new("qemu-system-arm");
        command.args(["-M", MACHINE, "-display", "none", "-monitor", "none", "-serial", "none"]);
        command.args(["-netdev", "user,id=n0", "-net", "nic,netdev=n0"]);
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", monitor.display()));
        command.args(["-semihosting-config", &semihosting, "-kernel"]).arg(image).args(extra);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut guard = Guard::new(None).map_err(|error| error.to_string())?;
        let mut child = command.spawn().map_err(|error| format!("cannot start qemu-system-arm: {error}"))?;
        guard.watch(child.id()).map_err(|error| error.to_string())?;
        let (sender, lines) = mpsc::channel();
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let output = match (output, decoder) {
            (Some(output), Some(decoder)) => decode(output, decoder, image)?,
            (output, _) => output,
        };
        let readers = [
            output.map(|output| Box::new(output) as Box<dyn std::io::Read + Send>),
            errors.map(|errors| Box::new(errors) as Box<dyn std::io::Read + Send>),
        ];
        for reader in readers.into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(std::result::Result::ok) {
                    if line != NOISE && sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, lines, seen: Vec::new(), monitor, deadline: Instant::now() + limit, _guard: guard })
    }

    /// Cuts the board's cable, or mends it.
    pub(crate) fn set_link(&self, up: bool) -> Result<()> {
        let wrong = |error: std::io::Error| format!("QEMU's monitor: {error}");
        let stream = UnixStream::connect(&self.monitor).map_err(wrong)?;
        let mut answers = BufReader::new(stream.try_clone().map_err(wrong)?);
        let mut say = |command: Value| -> Result<()> {
            writeln!(&stream, "{command}").map_err(wrong)?;
            loop {
                let mut line = String::new();
                answers.read_line(&mut line).map_err(wrong)?;
                let answer: Value = serde_json::from_str(&line).map_err(|_| format!("QEMU's monitor said {line:?}"))?;
                if answer.get("error").is_some() {
                    return Err(format!("QEMU refused {command}: {line}"));
                }
                if answer.get("return").is_some() {
                    return Ok(());
                }
            }
        };
        say(json!({"execute": "qmp_capabilities"}))?;
        say(json!({"execute": "set_link", "arguments": {"name": "n0", "up": up}}))
    }

    /// Whether it still runs and has time.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None)) && Instant::now() < self.deadline
    }

    /// Waits for the board's end. `each` gets its lines as they come.
    pub(crate) fn finish(mut self, mut each: impl FnMut(&str)) -> Result<Report> {
        loop {
            match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    each(&line);
                    self.seen.push(line);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(format!("not finished in time; its last words: {:?}", self.seen.last()));
                }
            }
        }
        let status = self.child.wait().map_err(|error| error.to_string())?;
        Ok(Report { code: status.code(), lines: std::mem::take(&mut self.seen) })
    }
}

/// What a decoder makes of an image's output. It ends with that.
fn decode(output: ChildStdout, decoder: &Path, image: &Path) -> Result<Option<ChildStdout>> {
    let mut command = Command::new(decoder);
    command.arg("-e").arg(image).stdin(output).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", decoder.display()))?;
    let lines = child.stdout.take();
    thread::spawn(move || child.wait());
    Ok(lines)
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It has ended, or it is of no use any longer.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.monitor);
    }
}

impl Report {
    /// Its exit code is 0, or what it means that it is not.
    pub(crate) fn require_success(&self) -> Result<()> {
        self.ended().map_err(|why| format!("{why}; it said:\n    {}", self.lines.join("\n    ")))
    }

    /// The same for those who have seen its lines already.
    pub(crate) fn ended(&self) -> Result<()> {
        if self.code == Some(0) {
            return Ok(());
        }
        let code = self.code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
        Err(format!("{code} ({})", meaning(self.code, &self.lines)))
    }

    /// The numbers of the line that begins with this word: `application: readings=10000 …`.
    pub(crate) fn numbers(&self, word: &str) -> BTreeMap<String, u64> {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(word)?.strip_prefix(": "));
        let pairs = line.unwrap_or_default().split(' ').filter_map(|field| field.split_once('='));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// One of those numbers; 0 if it was not said.
    pub(crate) fn number(&self, word: &str, name: &str) -> u64 {
        self.numbers(word).get(name).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    /// A decoder is called with the image's name, gets the output, and what it says is what counts.
    #[test]
    fn output_goes_through_a_decoder() {
        let mut board = Command::new("echo").arg("frames").stdout(Stdio::piped()).spawn().expect("it starts");
        let output = board.stdout.take().expect("it is piped");
        let decoder = std::env::temp_dir().join(format!("klamm-firmware-{}.decoder", std::process::id()));
        std::fs::write(&decoder, "#!/bin/sh\nread said; echo $1 $2: $said\n").expect("it is written");
        std::fs::set_permissions(&decoder, Permissions::from_mode(0o700)).expect("it is ours");
        let decoded = decode(output, &decoder, Path::new("IMAGE")).expect("it starts").expect("it is piped");
        let lines: Vec<String> = BufReader::new(decoded).lines().map_while(std::result::Result::ok).collect();
        let _ = (board.wait(), std::fs::remove_file(&decoder));
        assert_eq!(lines, ["-e IMAGE: frames"]);
    }

    #[test]
    fn numbers_are_read_from_lines() {
        let lines = vec!["link: address=10.0.2.15 after_ms=4".to_owned(), "stack: used=12 left=30".to_owned()];
        let report = Report { code: Some(1), lines };
        assert_eq!(report.number("stack", "left"), 30);
        assert_eq!(report.number("link", "after_ms"), 4);
        assert_eq!(report.number("link", "address"), 0);
        assert!(report.require_success().unwrap_err().contains("some readings are not stored"));
    }

    #[test]
    fn what_qemu_says_is_not_the_boards_word() {
        let lines = vec!["qemu-system-arm: Could not load kernel 'IMAGE'".to_owned()];
        let report = Report { code: Some(1), lines };
        assert_eq!(report.ended().unwrap_err(), "exit code 1 (QEMU could not start)");
    }
}

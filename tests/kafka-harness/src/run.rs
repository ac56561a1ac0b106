//! Runs Java programs against a cluster, with a time limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::dist::{DEFAULT_VERSION, Dist, Version, require_java};
use crate::error::{Context, Error, Result};
use crate::guard::{Guard, signal};
use crate::tools::{self, Bootstrap, TOOL_NAMES};

/// The command for a tool (a short name, a class, or a program of `tests/java`), told the address unless it was
/// given one or does not take any.
pub fn tool_command(dist: &Dist, bootstrap: &str, name: &str, args: &[&str]) -> Result<Command> {
    require_java()?;
    let mut dist = dist.tools()?;
    let find = |version| {
        tools::find(name, version).ok_or_else(|| {
            Error::new(format!("no tool `{name}`; there are {} and full class names", TOOL_NAMES.join(", ")))
        })
    };
    let mut tool = find(dist.version())?;
    if dist.version() < Version(2, 2, 0) && tool.class == "kafka.admin.TopicCommand" {
        // Theirs speaks to ZooKeeper only; the current one speaks to these brokers, too.
        dist = Dist::fetch(DEFAULT_VERSION.parse()?)?;
        tool = find(dist.version())?;
    }
    let mut command = dist.java();
    if tool.class.ends_with(".java") {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../java").join(&tool.class);
        let program = program.canonicalize().context(|| format!("cannot find {}", program.display()))?;
        command.arg(program);
    } else {
        command.arg(&tool.class);
    }
    let given = args.iter().any(|arg| {
        ["--bootstrap-server", "--broker-list", "bootstrap.servers="].iter().any(|flag| arg.starts_with(flag))
    });
    match tool.bootstrap {
        // Before the others: behind a subcommand some tools do not accept it.
        Bootstrap::Flag if !given => command.args(["--bootstrap-server", bootstrap]),
        Bootstrap::BrokerList if !given => command.args(["--broker-list", bootstrap]),
        Bootstrap::ProducerProps if !given => {
            command.args(["--producer-props", &format!("bootstrap.servers={bootstrap}")])
        }
        Bootstrap::First => command.arg(bootstrap),
        _ => &mut command,
    };
    command.args(args);
    Ok(command)
}

/// Runs a command to its end, feeding it `stdin`; kills it when the time is up or when this process dies.
pub(crate) fn run(command: Command, stdin: &[u8], limit: Duration) -> Result<Output> {
    let (status, stdout, stderr) = run_reading(command, stdin, limit, slurp)?;
    let status = status.ok_or_else(|| too_slow(limit, &String::from_utf8_lossy(&stdout), &stderr))?;
    Ok(Output { status, stdout, stderr: stderr.into_bytes() })
}

/// Runs a command to its end, handing over what it prints line by line; gives what it wrote to its standard error.
pub(crate) fn run_lines(command: Command, limit: Duration, mut line: impl FnMut(&[u8]) + Send) -> Result<String> {
    let read = |pipe: Option<ChildStdout>| {
        let mut buffer = Vec::new();
        let mut pipe = pipe.map(BufReader::new);
        while pipe.as_mut().is_some_and(|pipe| pipe.read_until(b'\n', &mut buffer).is_ok_and(|count| count > 0)) {
            line(buffer.strip_suffix(b"\n").unwrap_or(&buffer));
            buffer.clear();
        }
    };
    let (status, (), stderr) = run_reading(command, b"", limit, read)?;
    status.map(|_| stderr.clone()).ok_or_else(|| too_slow(limit, "", &stderr))
}

fn too_slow(limit: Duration, stdout: &str, stderr: &str) -> Error {
    Error::new(format!("a Java program did not end within {limit:?}; it wrote:\n{stdout}{stderr}"))
}

/// Without a status it was killed, because its time was up.
fn run_reading<T: Default + Send>(
    mut command: Command,
    stdin: &[u8],
    limit: Duration,
    read: impl FnOnce(Option<ChildStdout>) -> T + Send,
) -> Result<(Option<ExitStatus>, T, String)> {
    let mut guard = Guard::new(None)?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context(|| "cannot start `java`".into())?;
    guard.watch(child.id())?;
    let deadline = Instant::now() + limit;
    let (mut input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (ended, stdout, stderr) = thread::scope(|scope| {
        scope.spawn(move || {
            // A tool may end without reading everything: its exit status says whether that was wrong.
            input.as_mut().map(|pipe| pipe.write_all(stdin))
        });
        let stdout = scope.spawn(move || read(output));
        let stderr = scope.spawn(move || slurp(errors));
        let ended = wait(&mut child, deadline);
        (ended, stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
    });
    guard.release()?;
    Ok((ended, stdout, String::from_utf8_lossy(&stderr).into_owned()))
}

fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() > deadline {
            signal(child.id(), "KILL");
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn slurp(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

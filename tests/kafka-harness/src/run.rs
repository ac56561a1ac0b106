//! Runs Java programs against a cluster, with a time limit.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
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
pub(crate) fn run(mut command: Command, stdin: &[u8], limit: Duration) -> Result<Output> {
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
        let stdout = scope.spawn(move || slurp(output));
        let stderr = scope.spawn(move || slurp(errors));
        let ended = wait(&mut child, deadline);
        (ended, stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
    });
    guard.release()?;
    let status = ended.ok_or_else(|| {
        Error::new(format!(
            "a Java program did not end within {limit:?}; it wrote:\n{}{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        ))
    })?;
    Ok(Output { status, stdout, stderr })
}

fn wait(child: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
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

//! Brokers in processes of their own, so that their CPU time and memory are not the client's.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Result;

/// A command of this program that serves until its standard input ends.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Closing it ends the server; so does our death.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What it printed first: its address.
    pub bootstrap: String,
}

impl Server {
    /// Starts `klamm-load COMMAND ARGS…`, from within `klamm-load`.
    ///
    /// # Errors
    /// It does not start, or does not say its address.
    pub fn start(command: &str, args: &[&str]) -> Result<Self> {
        let mut server = Command::new(std::env::current_exe()?);
        server.arg(command).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = server.spawn()?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut bootstrap = String::new();
        output.read_line(&mut bootstrap)?;
        let bootstrap = bootstrap.trim().to_owned();
        if bootstrap.is_empty() {
            return Err(format!("`{command}` did not start").into());
        }
        Ok(Self { child, input, output, bootstrap })
    }

    /// Sends a line and returns the answer.
    ///
    /// # Errors
    /// The server is gone.
    pub fn ask(&mut self, question: &str) -> Result<String> {
        let input = self.input.as_mut().ok_or("no standard input")?;
        writeln!(input, "{question}")?;
        input.flush()?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        if answer.is_empty() { Err("the server is gone".into()) } else { Ok(answer.trim().to_owned()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself; a hung one must not hang us.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints an address, then answers each line of standard input, until that ends.
///
/// # Errors
/// Standard input or output is gone.
pub fn serve(bootstrap: &str, mut answer: impl FnMut(&str) -> String) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{bootstrap}")?;
    output.flush()?;
    for line in std::io::stdin().lock().lines() {
        writeln!(output, "{}", answer(line?.trim()))?;
        output.flush()?;
    }
    Ok(())
}

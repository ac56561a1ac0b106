//! Nothing is left running, whatever becomes of the process that started it.
//!
//! A [`Guard`] is a small `sh` in its own process group which waits on a pipe whose only writing end we hold. Each
//! line that we write replaces the list of process groups to kill. When the pipe closes (because the guard is dropped, or
//! because our process ended in any way, SIGKILL included) it kills those groups and removes the data folder.
//!
//! Why not `PR_SET_PDEATHSIG` (`setpriv --pdeathsig`): that signal is sent when the *thread* ends that started the
//! child, so a broker shared by several tests would die with the first test's thread; and it is Linux only.
//! The pipe needs no unsafe code and works wherever there is a POSIX shell.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::error::{Context, Result};

/// `$1` is the folder to remove, empty for none. A line `release` disarms the guard. The second attempt at removing
/// is for a killed process that was still writing.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=
while read -r line; do groups=$line; done
[ "$groups" = release ] && exit 0
for group in $groups; do kill -s KILL -- "-$group"; done
[ -z "$1" ] || rm -rf -- "$1" || { sleep 0.3; rm -rf -- "$1"; }
"#;

/// Kills process groups and removes a folder when dropped or when this process dies.
pub struct Guard {
    shell: Child,
    pipe: Option<ChildStdin>,
    groups: Vec<u32>,
}

impl Guard {
    /// Starts a guard that will remove `dir`, if one is given.
    pub fn new(dir: Option<&Path>) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "klamm-guard"])
            .arg(dir.unwrap_or_else(|| Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context(|| "cannot start `sh`, which cleans up after us".into())?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe, groups: Vec::new() })
    }

    /// Also kills this process group (the pid of a child spawned with `process_group(0)`).
    pub fn watch(&mut self, group: u32) -> Result<()> {
        self.groups.push(group);
        self.tell()
    }

    /// The process group has ended: its number may soon belong to someone else.
    pub fn forget(&mut self, group: u32) -> Result<()> {
        self.groups.retain(|known| *known != group);
        self.tell()
    }

    /// Leaves everything running.
    pub fn release(mut self) -> Result<()> {
        self.write("release\n")
    }

    fn tell(&mut self) -> Result<()> {
        let line: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        self.write(&format!("{}\n", line.join(" ")))
    }

    fn write(&mut self, line: &str) -> Result<()> {
        match &mut self.pipe {
            Some(pipe) => pipe.write_all(line.as_bytes()).context(|| "the clean-up shell is gone".into()),
            None => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The orderly end takes the same way as the disorderly one, so every run tests it.
        drop(self.pipe.take());
        let _ = self.shell.wait();
    }
}

/// Sends a signal (`"KILL"`, `"STOP"`, `"CONT"`) to one process; true if it was there.
pub fn signal(pid: u32, name: &str) -> bool {
    Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "signal", name, &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn sleeper() -> Child {
        // A shell with a child: all of the group must go.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & sleep 60; exit 7"]).process_group(0);
        command.spawn().unwrap()
    }

    #[test]
    fn a_dropped_guard_kills_and_removes() {
        let dir = std::env::temp_dir().join(format!("klamm-guard-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let mut guard = Guard::new(Some(&dir)).unwrap();
        let (mut first, mut second) = (sleeper(), sleeper());
        guard.watch(first.id()).unwrap();
        guard.watch(second.id()).unwrap();
        drop(guard);
        assert_eq!(first.wait().unwrap().signal(), Some(9));
        assert_eq!(second.wait().unwrap().signal(), Some(9));
        assert!(!dir.exists());
    }

    #[test]
    fn what_is_forgotten_or_released_lives_on() {
        let mut guard = Guard::new(None).unwrap();
        let mut child = sleeper();
        guard.watch(child.id()).unwrap();
        guard.forget(child.id()).unwrap();
        drop(guard);
        assert!(child.try_wait().unwrap().is_none());
        let mut guard = Guard::new(None).unwrap();
        guard.watch(child.id()).unwrap();
        guard.release().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        let mut guard = Guard::new(None).unwrap();
        guard.watch(child.id()).unwrap();
        drop(guard);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}

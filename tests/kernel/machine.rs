//! A machine whose power can be cut: user-mode Linux, a Linux kernel that is a process.
//!
//! Its root is this machine's own file system, which it can not change, so that the command under test and the usual tools
//! are there; its disks are files. What its kernel has not given to a disk is gone when the process dies. What a disk was
//! given but not told to flush survives here, in order: the states in between are what `block_log` is for.
//!
//! Needs `linux.uml` (Debian: user-mode-linux), and for some disks its modules.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::result::missing;

/// How long a machine may be silent.
const PATIENCE: Duration = Duration::from_secs(90);

/// A machine that runs.
pub(crate) struct Machine {
    child: Child,
    console: Receiver<String>,
    /// Everything that was read from the console.
    pub(crate) said: Vec<String>,
}

/// Why there is no such machine here, if there is none.
pub(crate) fn is_missing() -> Option<String> {
    missing("linux.uml", &["--version"])
}

/// What every machine does first. Its own file systems take the places of the ones it sees of ours.
const BEGINNING: &str = "#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin XDG_CONFIG_HOME=/nonexistent
mount -n -t proc proc /proc
mount -n -t sysfs sysfs /sys
mountpoint -q /dev || mount -n -t devtmpfs dev /dev
mount -n -t tmpfs tmpfs /mnt
mkdir /mnt/disk /mnt/host
finish() { sync; echo finished; echo o > /proc/sysrq-trigger; sleep 60; }
module() { busybox insmod /usr/lib/uml/modules/$(uname -r)/kernel/drivers/md/$1.ko || echo failed: module $1; }
";

impl Machine {
    /// Starts one. `script` is its first process; `/mnt/host` in it can be made to show `directory` with
    /// `mount -n -t hostfs none /mnt/host -o <directory>`.
    pub(crate) fn start(directory: &Path, script: &str, disks: &[&Path]) -> Machine {
        let init = directory.join("init");
        std::fs::write(&init, format!("{BEGINNING}{script}")).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&init, mode).expect("ours");
        let mut command = Command::new("linux.uml");
        command.args(["mem=192M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"]);
        command.args(["con=null", "con0=null,fd:1", "con1=null"]);
        command.arg(format!("init={}", init.display())).arg(format!("uml_dir={}", directory.display()));
        for (number, disk) in disks.iter().enumerate() {
            command.arg(format!("ubd{number}={}", disk.display()));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().expect("linux.uml starts");
        let (sender, console) = channel();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                // A line that the cut has cut short is no line.
                if !line.ends_with(b"\n") || sender.send(String::from_utf8_lossy(&line).trim().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Machine { child, console, said: Vec::new() }
    }

    /// The next line of the console; `None` when there is no more, or not soon enough.
    pub(crate) fn line(&mut self, patience: Duration) -> Result<String, RecvTimeoutError> {
        let line = self.console.recv_timeout(patience)?;
        self.said.push(line.clone());
        Ok(line)
    }

    /// Reads the console up to the first line that starts so.
    pub(crate) fn wait_for(&mut self, start: &str) -> Result<String, String> {
        loop {
            match self.line(PATIENCE) {
                Ok(line) if line.starts_with(start) => return Ok(line),
                Ok(line) if line.starts_with("failed") => return Err(line),
                Ok(_) => {}
                Err(error) => return Err(format!("{start:?} was not said ({error}): {}", self.last_words())),
            }
        }
    }

    pub(crate) fn last_words(&self) -> String {
        self.said[self.said.len().saturating_sub(12)..].join("\n")
    }

    /// Cuts the power. Returns when nothing of the machine runs any more, with the lines that had still come out.
    pub(crate) fn cut(&mut self) -> Vec<String> {
        self.kill();
        let mut rest = Vec::new();
        while let Ok(line) = self.line(Duration::from_secs(5)) {
            rest.push(line);
        }
        rest
    }

    fn kill(&mut self) {
        let group = format!("-{}", self.child.id());
        let signal = |signal: &str| {
            let output = Command::new("kill").args([signal, "--", &group]).output();
            output.is_ok_and(|output| output.status.success())
        };
        let start = Instant::now();
        // Its processes die one by one; a disk may be written to until the last is gone.
        while signal("-KILL") && start.elapsed() < PATIENCE {
            let _reaped = self.child.try_wait();
            std::thread::sleep(Duration::from_millis(2));
        }
        let _reaped = self.child.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An empty file system in a file.
pub(crate) fn format(image: &Path, file_system: &str) -> Result<(), String> {
    let mebibytes = if file_system == "xfs" { 300 } else { 48 };
    let file = std::fs::File::create(image).map_err(|error| error.to_string())?;
    file.set_len(mebibytes << 20).map_err(|error| error.to_string())?;
    let image = image.to_str().expect("UTF-8");
    let force = if file_system == "xfs" { "-f" } else { "-F" };
    missing(&format!("mkfs.{file_system}"), &["-q", force, image]).map_or(Ok(()), Err)
}

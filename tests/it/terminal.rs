//! Commands whose notes go to a terminal, as those of a person do.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::kit::{Answer, command};

/// Runs a command to its end; its notes are what the terminal was sent, control sequences and all.
pub(crate) fn run_on_terminal(store: &Path, arguments: &[&str]) -> Answer {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("its other end");
    let mut command = command(store, arguments);
    command.env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::from(theirs));
    let child = command.spawn().expect("the command starts");
    // It holds the other end too: as long as that is open, the terminal does not end.
    drop(command);
    let reader = std::thread::spawn(move || {
        let (mut ours, mut seen, mut chunk) = (File::from(ours), Vec::new(), [0; 4096]);
        // Linux says that the other end is closed by an error.
        while let Ok(count @ 1..) = ours.read(&mut chunk) {
            seen.extend_from_slice(&chunk[..count]);
        }
        seen
    });
    let output = child.wait_with_output().expect("the command ends");
    let seen = reader.join().expect("the terminal is read");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Answer { exit: output.status.code(), data: text(output.stdout), notes: text(seen) }
}

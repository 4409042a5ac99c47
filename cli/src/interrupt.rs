//! Signals. SIGINT, which Ctrl-C sends: a command that gets it ends with 130.
//!
//! Most commands end there and then: what they acknowledged is safe whenever they end. A command that would leave half a line
//! behind, or can put away what it has in hand, says so with [`wait_for_me`], and from then on asks [`is_requested`] wherever
//! it can end in order. A second signal ends it at once all the same.

use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGXFSZ};
use signal_hook::flag;

use crate::exit::Exit;

struct Flags {
    /// A signal ends the process at once.
    at_once: Arc<AtomicBool>,
    /// A signal has come.
    requested: Arc<AtomicBool>,
}

static FLAGS: LazyLock<Flags> =
    LazyLock::new(|| Flags { at_once: Arc::new(AtomicBool::new(true)), requested: Arc::new(AtomicBool::new(false)) });

/// Handles SIGINT from now on, unless whoever started the process had it ignored: so are jobs in the background.
///
/// # Errors
/// The system's. The signal then ends the process as ever, by its own number.
pub fn install() -> io::Result<()> {
    // A write that would make a file larger than the process may ends it, unless somebody looks out for the signal: then the
    // write fails, as on a full disk, and is told of as any other.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    if is_ignored() {
        return Ok(());
    }
    // In this order: the first signal must not find its own mark.
    let status = i32::from(Exit::Interrupted.number());
    for condition in [&FLAGS.at_once, &FLAGS.requested] {
        flag::register_conditional_shutdown(SIGINT, status, Arc::clone(condition))?;
    }
    flag::register(SIGINT, Arc::clone(&FLAGS.requested)).map(|_| ())
}

/// From now on the command itself asks, and a signal only marks its wish.
pub fn wait_for_me() {
    FLAGS.at_once.store(false, Ordering::SeqCst);
}

/// Whether a signal has come that the command has to answer.
#[must_use]
pub fn is_requested() -> bool {
    FLAGS.requested.load(Ordering::SeqCst)
}

/// Whether the signal was ignored when the process began. Only Linux tells.
fn is_ignored() -> bool {
    let status = OpenOptions::new().read(true).open("/proc/self/status").and_then(io::read_to_string);
    status.is_ok_and(|status| ignores(&status))
}

fn ignores(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (SIGINT - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::ignores;

    #[test]
    fn an_ignored_signal_is_found_in_the_mask() {
        for (status, ignored) in [
            ("Name:\tx\nSigIgn:\t0000000000001002\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000002\n", false),
            ("SigIgn:\tnothing\n", false),
            ("", false),
        ] {
            assert_eq!(ignores(status), ignored, "{status:?}");
        }
    }
}

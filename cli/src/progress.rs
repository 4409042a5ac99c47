//! Progress of long work, on a terminal's standard error only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar, or nothing where nobody watches.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(shown: bool, label: &'static str, total: u64) -> Self {
        if !shown {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent}% {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar: bar.with_prefix(label) }
    }

    /// Counts work done, in the unit of the total.
    pub fn advance(&self, done: u64) {
        self.bar.inc(done);
    }

    /// Work done so far.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.bar.position()
    }

    /// Whether anything is drawn.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }
}

impl Drop for Progress {
    /// Leaves no trace on the terminal.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

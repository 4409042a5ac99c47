//! Progress of long work, on a terminal's standard error only.

use std::ops::ControlFlow;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use taffrail::storage::{Storage, Watched};

use crate::interrupt;
use crate::output::Output;

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

    /// The same storage: whatever is read from it or written to it counts as work done, in bytes.
    #[must_use]
    pub fn watch(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        let bar = self.bar.clone();
        Arc::new(Watched::new(storage, move |_, len_bytes| bar.inc(len_bytes)))
    }
}

/// Bars one after the other, for work that has parts.
#[derive(Debug)]
pub struct Bars<'output> {
    output: &'output Output,
    bar: Option<(&'static str, Progress)>,
}

impl<'output> Bars<'output> {
    /// No bar yet.
    #[must_use]
    pub fn new(output: &'output Output) -> Self {
        Self { output, bar: None }
    }

    /// Shows how far a part is. Breaks where somebody has asked for the end.
    pub fn show(&mut self, what: &'static str, done: u64, total: u64) -> ControlFlow<()> {
        // The same part may come again, of another log.
        if self.bar.as_ref().is_none_or(|(shown, bar)| *shown != what || done < bar.done()) {
            // The bar before is cleared first.
            self.bar = None;
            self.bar = Some((what, self.output.progress(what, total)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.advance(done.saturating_sub(bar.done()));
        }
        if interrupt::is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Drop for Progress {
    /// Leaves no trace on the terminal.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

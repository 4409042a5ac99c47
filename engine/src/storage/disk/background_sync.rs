//! A sync that runs beside the writer of a file, so that the medium works while frames are made.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// At most one sync at a time. What it comes to is kept until the writer asks: a kernel tells of a failed write once, to whoever
/// syncs first, so a failure that was told here and forgotten would make the next sync look good.
#[derive(Debug, Default)]
pub(super) struct BackgroundSync(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    running: Option<JoinHandle<io::Result<()>>>,
    failed: Option<Failure>,
}

/// What an [`io::Error`] was: it is told more than once.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Code(i32),
    Kind(io::ErrorKind),
}

impl Failure {
    fn of(error: &io::Error) -> Failure {
        error.raw_os_error().map_or(Failure::Kind(error.kind()), Failure::Code)
    }

    fn told(self) -> io::Error {
        match self {
            Failure::Code(code) => io::Error::from_raw_os_error(code),
            Failure::Kind(kind) => kind.into(),
        }
    }
}

impl State {
    fn join(&mut self) {
        let Some(running) = self.running.take() else { return };
        match running.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failed = Some(Failure::of(&error)),
            Err(_panicked) => self.failed = Some(Failure::Kind(io::ErrorKind::Other)),
        }
    }
}

impl BackgroundSync {
    /// Begins a sync, unless one is running. `false` where the machine has no thread for it.
    pub(super) fn begin(&self, sync: impl FnOnce() -> io::Result<()> + Send + 'static) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return true;
        }
        state.join();
        match Builder::new().name("taffrail-sync".to_owned()).stack_size(64 << 10).spawn(sync) {
            Ok(running) => {
                state.running = Some(running);
                true
            }
            Err(_none_to_be_had) => false,
        }
    }

    /// Waits for the sync that is running, if one is.
    ///
    /// # Errors
    /// That one failed, now or at any time before: nobody knows what the kernel has dropped.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.join();
        state.failed.map_or(Ok(()), |failure| Err(failure.told()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// The kernel told the thread in the background that a write had failed; the writer's own sync came after it, found nothing
    /// wrong, and acknowledged events that were gone.
    #[test]
    fn a_failure_in_the_background_is_told_to_every_later_sync() {
        let sync = BackgroundSync::default();
        assert!(sync.begin(|| Err(io::Error::from_raw_os_error(5))));
        for _ in 0..2 {
            assert_eq!(sync.finish().unwrap_err().raw_os_error(), Some(5));
        }
        assert!(sync.begin(|| Ok(())));
        assert_eq!(sync.finish().unwrap_err().raw_os_error(), Some(5), "one that succeeds makes up for nothing");
    }

    #[test]
    fn there_is_one_at_a_time_and_it_is_waited_for() {
        let sync = BackgroundSync::default();
        let (go, wait) = channel::<()>();
        let (tell, told) = channel();
        let first = tell.clone();
        assert!(sync.begin(move || {
            wait.recv().expect("the test lets it go");
            first.send("first").expect("the test listens");
            Ok(())
        }));
        assert!(sync.begin(move || {
            tell.send("second").expect("the test listens");
            Ok(())
        }));
        go.send(()).unwrap();
        sync.finish().unwrap();
        assert_eq!(told.iter().collect::<Vec<_>>(), ["first"], "the second was not begun");
    }

    #[test]
    fn one_that_panics_has_failed() {
        let sync = BackgroundSync::default();
        assert!(sync.begin(|| panic!("as the test wants it")));
        assert_eq!(sync.finish().unwrap_err().kind(), io::ErrorKind::Other);
    }
}

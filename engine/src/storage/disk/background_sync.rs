//! A sync that runs beside the writer of a file, so that the medium works while frames are made.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};

/// At most one sync at a time. What it comes to is kept until the writer asks: a kernel tells of a failed write once, to whoever
/// syncs first, so a failure that was told here and forgotten would make the next sync look good.
#[derive(Debug, Default)]
pub(super) struct BackgroundSync {
    /// With the thread that it waits for work in, from the first sync on; `None` where the machine has none to give.
    worker: OnceLock<Option<(Arc<Worker>, JoinHandle<()>)>>,
}

#[derive(Debug, Default)]
struct Worker {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    is_over: bool,
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

impl Worker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        condition: fn(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, condition).unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs whenever it is told to, until nobody is left who could.
    fn work(&self, sync: impl Fn() -> io::Result<()>) {
        loop {
            let state = self.wait_while(self.state(), |state| !state.is_running && !state.is_over);
            if !state.is_running {
                return;
            }
            drop(state);
            let result = catch_unwind(AssertUnwindSafe(&sync));
            let mut state = self.state();
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => state.failed = Some(Failure::of(&error)),
                Err(_panicked) => state.failed = Some(Failure::Kind(io::ErrorKind::Other)),
            }
            state.is_running = false;
            self.changed.notify_all();
        }
    }
}

impl BackgroundSync {
    /// Begins a sync, unless one is running. `false` where the machine has no thread for it. All calls are given the same `sync`.
    pub(super) fn begin(&self, sync: impl Fn() -> io::Result<()> + Send + 'static) -> bool {
        let Some((worker, _)) = self.worker.get_or_init(|| {
            let worker = Arc::new(Worker::default());
            let of_thread = Arc::clone(&worker);
            let builder = Builder::new().name("taffrail-sync".to_owned()).stack_size(64 << 10);
            builder.spawn(move || of_thread.work(sync)).ok().map(|thread| (worker, thread))
        }) else {
            return false;
        };
        let mut state = worker.state();
        if !state.is_running {
            state.is_running = true;
            worker.changed.notify_all();
        }
        true
    }

    /// Waits for the sync that is running, if one is.
    ///
    /// # Errors
    /// That one failed, now or at any time before: nobody knows what the kernel has dropped.
    pub(super) fn finish(&self) -> io::Result<()> {
        let Some((worker, _)) = self.worker.get().and_then(Option::as_ref) else { return Ok(()) };
        let state = worker.wait_while(worker.state(), |state| state.is_running);
        state.failed.map_or(Ok(()), |failure| Err(failure.told()))
    }
}

impl Drop for BackgroundSync {
    /// Waits for the thread, so that the file is closed with this, unless it is at work: who wants to know how a sync ends has asked.
    fn drop(&mut self) {
        let Some((worker, thread)) = self.worker.take().flatten() else { return };
        let mut state = worker.state();
        state.is_over = true;
        let is_running = state.is_running;
        drop(state);
        worker.changed.notify_all();
        if !is_running {
            let _nothing_more_to_tell = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{TryRecvError, channel};

    /// The kernel told the thread in the background that a write had failed; the writer's own sync came after it, found nothing
    /// wrong, and acknowledged events that were gone.
    #[test]
    fn a_failure_in_the_background_is_told_to_every_later_sync() {
        let (sync, calls) = (BackgroundSync::default(), Arc::new(Mutex::new(0)));
        let failing_once = || {
            let calls = Arc::clone(&calls);
            move || {
                let mut calls = calls.lock().unwrap();
                *calls += 1;
                if *calls == 1 { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
            }
        };
        assert!(sync.begin(failing_once()));
        for _ in 0..2 {
            assert_eq!(sync.finish().unwrap_err().raw_os_error(), Some(5));
        }
        assert!(sync.begin(failing_once()));
        assert_eq!(sync.finish().unwrap_err().raw_os_error(), Some(5), "one that succeeds makes up for nothing");
        assert_eq!(*calls.lock().unwrap(), 2);
    }

    #[test]
    fn there_is_one_at_a_time_and_it_is_waited_for() {
        let sync = BackgroundSync::default();
        let (go, wait) = channel::<()>();
        let (tell, told) = channel();
        let wait = Mutex::new(wait);
        assert!(sync.begin(move || {
            wait.lock().unwrap().recv().expect("the test lets it go");
            tell.send(()).expect("the test listens");
            Ok(())
        }));
        assert!(sync.begin(|| unreachable!("the thread has its work already")));
        go.send(()).unwrap();
        sync.finish().unwrap();
        assert_eq!(told.try_iter().count(), 1, "the second was not begun");
        drop(sync);
        assert_eq!(
            told.try_recv(),
            Err(TryRecvError::Disconnected),
            "the thread has ended, and what it was given is dropped"
        );
    }

    #[test]
    fn one_that_panics_has_failed_and_the_thread_goes_on() {
        let (sync, calls) = (BackgroundSync::default(), Arc::new(Mutex::new(0)));
        for expected in 1..3 {
            let counted = Arc::clone(&calls);
            assert!(sync.begin(move || {
                *counted.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                panic!("as the test wants it")
            }));
            assert_eq!(sync.finish().unwrap_err().kind(), io::ErrorKind::Other);
            assert_eq!(*calls.lock().unwrap_or_else(PoisonError::into_inner), expected);
        }
    }

    #[test]
    fn what_was_never_begun_is_finished() {
        BackgroundSync::default().finish().unwrap();
    }
}

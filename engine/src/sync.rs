//! The seam under the threads: the locks, wake-ups and counters by which those of one program meet.
//!
//! They are std's. Under `--cfg shuttle` the engine's own tests get shuttle's, which look the same and hand every order of
//! events to a scheduler: then one test runs thousands of interleavings, and each can be replayed (`just interleavings`).
//! Whatever several threads of one program share goes through here, or those tests do not see it.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic},
    thread,
};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic},
    thread,
};

use crate::redact::Redactor;
use crate::{LogId, SyncPolicyTag};
use std::sync::Arc;
use std::time::Duration;

/// When appends are made durable, named by what survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Each append returns after its sync: an acknowledged event survives kill -9 and a power cut. Concurrent appends
    /// share syncs.
    #[default]
    Always,
    /// A sync at this interval: an appended event survives the end of its process, and a power cut takes at most
    /// the last interval. In exclusive mode up to 256 KiB gather in memory first, and end with the process.
    Interval(Duration),
    /// A sync at rotation and close only: an appended event survives the end of its process, except in exclusive mode, as
    /// with an interval.
    Never,
}

impl From<SyncPolicy> for SyncPolicyTag {
    fn from(policy: SyncPolicy) -> SyncPolicyTag {
        match policy {
            SyncPolicy::Always => SyncPolicyTag::Always,
            SyncPolicy::Interval(interval) => {
                SyncPolicyTag::Interval(u32::try_from(interval.as_millis()).unwrap_or(u32::MAX))
            }
            SyncPolicy::Never => SyncPolicyTag::Never,
        }
    }
}

/// How to open a journal.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) exclusive: bool,
    pub(crate) sync: SyncPolicy,
    pub(crate) segment_len_bytes: u64,
    pub(crate) lock_timeout_ms: u64,
    /// The id that a new store gets; `None` for a random one.
    pub(crate) log_id: Option<LogId>,
    /// What never reaches the log.
    pub(crate) redactor: Option<Arc<Redactor>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            create: false,
            exclusive: false,
            sync: SyncPolicy::Always,
            segment_len_bytes: Options::SEGMENT_LEN_BYTES,
            lock_timeout_ms: Options::LOCK_TIMEOUT_MS,
            log_id: None,
            redactor: None,
        }
    }
}

impl Options {
    /// Default length of a segment.
    pub const SEGMENT_LEN_BYTES: u64 = 64 << 20;
    /// Default time to wait for the lock.
    pub const LOCK_TIMEOUT_MS: u64 = 5000;

    /// Makes the store where there is none.
    #[must_use]
    pub fn create(mut self, create: bool) -> Options {
        self.create = create;
        self
    }

    /// Keeps the lock for the life of the journal: no other process can append meanwhile, and appends under
    /// [`SyncPolicy::Interval`] and [`SyncPolicy::Never`] gather in memory, up to 256 KiB, until they are written.
    #[must_use]
    pub fn exclusive(mut self, exclusive: bool) -> Options {
        self.exclusive = exclusive;
        self
    }

    /// When appends are made durable.
    #[must_use]
    pub fn sync(mut self, sync: SyncPolicy) -> Options {
        self.sync = sync;
        self
    }

    /// Length at which a segment is sealed and the next one begun, in bytes. A batch that is longer gets a segment of its own.
    #[must_use]
    pub fn segment_len_bytes(mut self, segment_len_bytes: u64) -> Options {
        self.segment_len_bytes = segment_len_bytes;
        self
    }

    /// Replaces what a redactor names in every batch before it is appended. A batch in which it can not be replaced, such as
    /// a secret in a run's name, is refused with T0408.
    #[must_use]
    pub fn redact(mut self, redactor: Arc<Redactor>) -> Options {
        self.redactor = (!redactor.is_empty()).then_some(redactor);
        self
    }

    /// How long to wait for the store's lock, in milliseconds.
    #[must_use]
    pub fn lock_timeout_ms(mut self, lock_timeout_ms: u64) -> Options {
        self.lock_timeout_ms = lock_timeout_ms;
        self
    }
}

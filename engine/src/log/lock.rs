//! The store's lock: who may write, and whether the last one left the tail in order.

use crate::error::{Error, Result};
use crate::log::paths;
use crate::storage::{OpenMode, Storage, StorageFile, WrongKind, read_full_at, write_all_at};
use crate::{ErrorKind, LogId, SegmentNumber};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use taffrail_log_format::crc32c;

/// What a holder of the lock knew of the log when it wrote its line. True for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastKnown {
    /// The log.
    pub log_id: LogId,
    /// A segment that was there.
    pub segment: SegmentNumber,
    /// The last durable seq; 0 for none.
    pub durable: u64,
}

/// What `LOCK` says of the last holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Released in order: the log ends exactly there.
    Clean {
        /// The boot of the machine in which it was written.
        boot_id: [u8; 16],
        /// The log, its newest segment, and its last durable seq.
        known: LastKnown,
        /// Where that segment's frames end.
        offset: u64,
    },
    /// Somebody writes, or died while writing.
    Held {
        /// The boot of the machine in which it was written.
        boot_id: [u8; 16],
        /// The process.
        process_id: u32,
        /// What was known when it began; `None` where nothing was.
        known: Option<LastKnown>,
    },
    /// Nothing that this build understands: recovery decides.
    Unknown,
}

impl LockState {
    pub(crate) const LEN_BYTES: usize = 192;

    /// What the line tells of the log, whoever wrote it and when.
    #[must_use]
    pub fn known(&self) -> Option<LastKnown> {
        match self {
            LockState::Clean { known, .. } => Some(*known),
            LockState::Held { known, .. } => *known,
            LockState::Unknown => None,
        }
    }

    /// The line in the file: its words, and the CRC-32C of them, so that a flipped digit is not taken for the log's end.
    pub(crate) fn encode(self) -> [u8; Self::LEN_BYTES] {
        let mut line = [b' '; Self::LEN_BYTES];
        let mut rest = &mut line[..];
        // On the stack: it is written twice for every group of appends. The longest line is shorter than the file.
        let _fits = match self {
            LockState::Clean { boot_id, known, offset } => {
                write!(rest, "clean {:032x} {offset} {known}", u128::from_be_bytes(boot_id))
            }
            LockState::Held { boot_id, process_id, known } => {
                let boot = u128::from_be_bytes(boot_id);
                match known {
                    Some(known) => write!(rest, "held {boot:032x} {process_id} {known}"),
                    None => write!(rest, "held {boot:032x} {process_id}"),
                }
            }
            LockState::Unknown => write!(rest, "unknown"),
        };
        let len = Self::LEN_BYTES - rest.len();
        let crc = crc32c(&line[..len]);
        let _fits = write!(&mut line[len..], " {crc:08x}");
        line[Self::LEN_BYTES - 1] = b'\n';
        line
    }

    fn decode(bytes: &[u8]) -> LockState {
        Self::parse(bytes).unwrap_or(LockState::Unknown)
    }

    fn parse(bytes: &[u8]) -> Option<LockState> {
        let line = std::str::from_utf8(bytes).ok().filter(|_| bytes.len() == Self::LEN_BYTES)?;
        let (text, crc) = line.strip_suffix('\n')?.trim_end_matches(' ').rsplit_once(' ')?;
        let mut expected = [0; 8];
        write!(&mut expected[..], "{:08x}", crc32c(text.as_bytes())).ok()?;
        if crc.as_bytes() != expected {
            return None;
        }
        let mut words = text.split_ascii_whitespace();
        let (word, boot) = (words.next()?, words.next()?);
        let boot_id = u128::from_str_radix(boot, 16).ok()?.to_be_bytes();
        let state = match word {
            "clean" => {
                let offset = words.next()?.parse().ok()?;
                LockState::Clean { boot_id, offset, known: LastKnown::parse(&mut words)? }
            }
            "held" => {
                let process_id = words.next()?.parse().ok()?;
                LockState::Held { boot_id, process_id, known: LastKnown::parse(&mut words) }
            }
            _ => return None,
        };
        words.next().is_none().then_some(state)
    }

    /// Reads `LOCK` without taking it, for reports. What is no file says nothing.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(storage: &dyn Storage) -> Result<LockState> {
        match storage.open(paths::LOCK, OpenMode::Read) {
            Ok(file) => read_state(&*file),
            Err(error) if error.kind() == io::ErrorKind::NotFound || WrongKind::of(&error).is_some() => {
                Ok(LockState::Unknown)
            }
            Err(error) => Err(Error::io("cannot open LOCK", error)),
        }
    }
}

impl fmt::Display for LastKnown {
    /// Its words in `LOCK`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.log_id, self.segment, self.durable)
    }
}

impl LastKnown {
    fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<LastKnown> {
        let log_id = words.next().filter(|word| word.len() == 32)?;
        Some(LastKnown {
            log_id: LogId(u128::from_str_radix(log_id, 16).ok()?.to_be_bytes()),
            segment: SegmentNumber::new(words.next()?.parse().ok()?)?,
            durable: words.next()?.parse().ok()?,
        })
    }
}

fn read_state(file: &dyn StorageFile) -> Result<LockState> {
    let mut line = [0; LockState::LEN_BYTES + 1];
    let len = read_full_at(file, 0, &mut line).map_err(|error| Error::io("cannot read LOCK", error))?;
    Ok(LockState::decode(&line[..len]))
}

/// The open lock file of one journal.
#[derive(Debug)]
pub(crate) struct StoreLock {
    storage: Arc<dyn Storage>,
    file: Box<dyn StorageFile>,
    held: bool,
    /// The most that is known of the log: it goes into every line, so that no line takes evidence away.
    known: Option<LastKnown>,
}

impl StoreLock {
    /// Opens `LOCK`, making it where there is none. It is never unlinked, so everybody locks the same file.
    pub(crate) fn open(storage: Arc<dyn Storage>) -> Result<StoreLock> {
        let file = match storage.open(paths::LOCK, OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match storage.open(paths::LOCK, OpenMode::CreateNew) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        storage.open(paths::LOCK, OpenMode::Write)
                    }
                    other => other,
                }
            }
            other => other,
        };
        let file = file.map_err(|error| Error::io("cannot open LOCK", error))?;
        Ok(StoreLock { storage, file, held: false, known: None })
    }

    /// Takes the lock, waiting at most so long, and tells how the last holder left it.
    ///
    /// # Errors
    /// `Locked` past the timeout, naming the holder as far as it is known; `Io`.
    pub(crate) fn acquire(&mut self, timeout_ms: u64) -> Result<LockState> {
        let deadline = self.storage.monotonic_ns().saturating_add(timeout_ms.saturating_mul(1_000_000));
        let mut pause_us = 20;
        loop {
            match self.file.try_lock() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("cannot take the lock", error)),
            }
            if self.storage.monotonic_ns() >= deadline {
                return Err(self.timed_out(timeout_ms));
            }
            self.storage.sleep(Duration::from_micros(pause_us));
            pause_us = (pause_us * 2).min(1000);
        }
        self.held = true;
        let state = read_state(&*self.file);
        match &state {
            Ok(state) => self.known = state.known().or(self.known),
            Err(_) => self.abandon(),
        }
        state
    }

    fn timed_out(&self, timeout_ms: u64) -> Error {
        let holder = match read_state(&*self.file) {
            Ok(LockState::Held { process_id, .. }) => format!(" by process {process_id}"),
            _ => String::new(),
        };
        Error::new(ErrorKind::Locked, "T0311", format!("the store was locked{holder} for {timeout_ms} ms"))
            .hint("wait for the other process, or give --lock-timeout more time")
    }

    /// Says that somebody is about to write: whoever finds this without the lock being held runs recovery first.
    pub(crate) fn mark_held(&self) -> Result<()> {
        let (boot_id, process_id) = (self.storage.boot_id(), self.storage.process_id());
        self.write(LockState::Held { boot_id, process_id, known: self.known })
    }

    /// Notes what the holder knows of the log, for the lines that it writes.
    pub(crate) fn know(&mut self, known: LastKnown) {
        self.known = Some(known);
    }

    /// Says that the tail is in order, and frees the lock.
    pub(crate) fn release_clean(&mut self, known: LastKnown, offset: u64) -> Result<()> {
        let boot_id = self.storage.boot_id();
        self.known = Some(known);
        let written = self.write(LockState::Clean { boot_id, known, offset });
        self.abandon();
        written
    }

    /// Frees the lock and leaves what it says as it is.
    pub(crate) fn abandon(&mut self) {
        if self.held {
            self.held = false;
            // A lock that can not be freed is freed by the kernel when the file is closed, and so it is: others wait for it.
            if self.file.unlock().is_err()
                && let Ok(again) = self.storage.open(paths::LOCK, OpenMode::Write)
            {
                self.file = again;
            }
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    fn write(&self, state: LockState) -> Result<()> {
        write_all_at(&*self.file, 0, &state.encode()).map_err(|error| Error::io("cannot write LOCK", error))
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_back_and_anything_else_is_unknown() {
        let boot_id = [0xAB; 16];
        let segment = SegmentNumber::new(u32::MAX).unwrap();
        let known = LastKnown { log_id: LogId([0xCD; 16]), segment, durable: u64::MAX };
        let clean = LockState::Clean { boot_id, known, offset: u64::MAX };
        let held = |known| LockState::Held { boot_id: [0; 16], process_id: u32::MAX, known };
        for state in [clean, held(None), held(Some(known)), LockState::Unknown] {
            assert_eq!(LockState::decode(&state.encode()), state);
        }
        for bit in 0..LockState::LEN_BYTES * 8 {
            let mut line = clean.encode();
            line[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(LockState::decode(&line), LockState::Unknown, "bit {bit}");
        }
        for bytes in [&b""[..], b"clean", &clean.encode()[..100], &[clean.encode().as_slice(), b"x"].concat()] {
            assert_eq!(LockState::decode(bytes), LockState::Unknown);
        }
    }
}

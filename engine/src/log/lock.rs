//! The store's lock: who may write, and whether the last one left the tail in order.

use crate::error::{Error, Result};
use crate::log::paths;
use crate::storage::{OpenMode, Storage, StorageFile, WrongKind, read_full_at, write_all_at};
use crate::{ErrorKind, SegmentNumber};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What `LOCK` says of the last holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Released in order: the log ends exactly there.
    Clean {
        /// The boot of the machine in which it was written.
        boot_id: [u8; 16],
        /// The newest segment.
        segment: SegmentNumber,
        /// Where its frames end.
        offset: u64,
        /// The last durable seq.
        durable: u64,
    },
    /// Somebody writes, or died while writing.
    Held {
        /// The boot of the machine in which it was written.
        boot_id: [u8; 16],
        /// The process.
        process_id: u32,
    },
    /// Nothing that this build understands: recovery decides.
    Unknown,
}

impl LockState {
    const LEN_BYTES: usize = 128;

    /// The line in the file: its words, and the CRC-32 of them, so that a flipped digit is not taken for the log's end.
    pub(crate) fn encode(self) -> [u8; Self::LEN_BYTES] {
        let words = match self {
            LockState::Clean { boot_id, segment, offset, durable } => {
                format!("clean {:032x} {segment} {offset} {durable}", u128::from_be_bytes(boot_id))
            }
            LockState::Held { boot_id, process_id } => {
                format!("held {:032x} {process_id}", u128::from_be_bytes(boot_id))
            }
            LockState::Unknown => "unknown".to_owned(),
        };
        let text = format!("{words} {:08x}", crc32fast::hash(words.as_bytes()));
        let mut line = [b' '; Self::LEN_BYTES];
        line[..text.len()].copy_from_slice(text.as_bytes());
        line[Self::LEN_BYTES - 1] = b'\n';
        line
    }

    fn decode(bytes: &[u8]) -> LockState {
        Self::parse(bytes).unwrap_or(LockState::Unknown)
    }

    fn parse(bytes: &[u8]) -> Option<LockState> {
        let line = std::str::from_utf8(bytes).ok().filter(|_| bytes.len() == Self::LEN_BYTES)?;
        let (text, crc) = line.strip_suffix('\n')?.trim_end_matches(' ').rsplit_once(' ')?;
        if crc != format!("{:08x}", crc32fast::hash(text.as_bytes())) {
            return None;
        }
        let mut words = text.split_ascii_whitespace();
        let (word, boot) = (words.next()?, words.next()?);
        let boot_id = u128::from_str_radix(boot, 16).ok()?.to_be_bytes();
        let state = match word {
            "clean" => LockState::Clean {
                boot_id,
                segment: SegmentNumber::new(words.next()?.parse().ok()?)?,
                offset: words.next()?.parse().ok()?,
                durable: words.next()?.parse().ok()?,
            },
            "held" => LockState::Held { boot_id, process_id: words.next()?.parse().ok()? },
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
        Ok(StoreLock { storage, file, held: false })
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
        if state.is_err() {
            self.abandon();
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
        let state = LockState::Held { boot_id: self.storage.boot_id(), process_id: self.storage.process_id() };
        self.write(state)
    }

    /// Says that the tail is in order, and frees the lock.
    pub(crate) fn release_clean(&mut self, segment: SegmentNumber, offset: u64, durable: u64) -> Result<()> {
        let boot_id = self.storage.boot_id();
        let written = self.write(LockState::Clean { boot_id, segment, offset, durable });
        self.abandon();
        written
    }

    /// Frees the lock and leaves what it says as it is.
    pub(crate) fn abandon(&mut self) {
        if self.held {
            self.held = false;
            // A lock that can not be freed is freed by the kernel when the file is closed.
            let _freed_at_close_otherwise = self.file.unlock();
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
        let clean = LockState::Clean { boot_id, segment, offset: u64::MAX, durable: u64::MAX };
        let held = LockState::Held { boot_id: [0; 16], process_id: u32::MAX };
        for state in [clean, held, LockState::Unknown] {
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

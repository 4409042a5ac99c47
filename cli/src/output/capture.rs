//! Output into memory.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(test)]
use super::{Output, Stream};

/// Bytes that can be read while an output writes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    /// What is there so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // Bytes are whole after a panic, too.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output, its data and its notes.
#[cfg(test)]
pub(crate) fn output() -> (Output, Buffer, Buffer) {
    let (data, notes) = (Buffer::default(), Buffer::default());
    (Output::new(Stream::plain(data.clone()), Stream::plain(notes.clone())), data, notes)
}

//! Output into memory.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::{Output, Stream};

/// Bytes that a test can read while an output writes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no test panicked with it").clone()).expect("UTF-8")
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panicked with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output, its data and its notes.
pub(crate) fn output() -> (Output, Buffer, Buffer) {
    let (data, notes) = (Buffer::default(), Buffer::default());
    (Output::new(Stream::plain(data.clone()), Stream::plain(notes.clone())), data, notes)
}

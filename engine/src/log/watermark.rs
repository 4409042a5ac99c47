//! The watermark file: what was durable, for the next open and for other processes.

use crate::error::{Error, Result};
use crate::log::paths;
use crate::storage::{OpenMode, Storage, StorageFile, read_full_at, write_all_at};
use std::io;
use taffrail_log_format::{Watermark, WatermarkSlots, layout};

/// Reads a store's watermark for somebody who only reads the log: what is no file tells nothing. Whoever judges a tail by
/// it uses [`read`].
///
/// # Errors
/// `Io`.
pub(crate) fn read_if_file(storage: &dyn Storage) -> Result<WatermarkSlots> {
    read(storage).or_else(|error| if error.code() == "T0314" { Ok(WatermarkSlots::default()) } else { Err(error) })
}

/// Reads a store's watermark. No file is an empty file.
///
/// # Errors
/// `Io`.
pub(crate) fn read(storage: &dyn Storage) -> Result<WatermarkSlots> {
    let file = match storage.open(paths::WATERMARK, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(WatermarkSlots::default()),
        Err(error) => return Err(Error::io("cannot open the watermark", error)),
    };
    let mut bytes = [0; layout::watermark::FILE_LEN_BYTES];
    let len = read_full_at(&*file, 0, &mut bytes).map_err(|error| Error::io("cannot read the watermark", error))?;
    Ok(WatermarkSlots::read(&bytes[..len]))
}

/// Writes versions of the watermark, in turn into the two slots. They are never synced: every version is true for ever.
#[derive(Debug)]
pub(crate) struct WatermarkFile {
    file: Box<dyn StorageFile>,
}

impl WatermarkFile {
    /// Opens the file, making it where there is none.
    pub(crate) fn open(storage: &dyn Storage) -> Result<WatermarkFile> {
        let file = match storage.open(paths::WATERMARK, OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                storage.open(paths::WATERMARK, OpenMode::CreateNew)
            }
            other => other,
        };
        Ok(WatermarkFile { file: file.map_err(|error| Error::io("cannot open the watermark", error))? })
    }

    /// Writes the next version. The caller holds the store's lock, so the counter read here is the newest.
    pub(crate) fn write(&self, mut watermark: Watermark) -> Result<()> {
        let mut bytes = [0; layout::watermark::FILE_LEN_BYTES];
        let len =
            read_full_at(&*self.file, 0, &mut bytes).map_err(|error| Error::io("cannot read the watermark", error))?;
        watermark.counter =
            WatermarkSlots::read(&bytes[..len]).newest.map_or(1, |newest| newest.counter.saturating_add(1));
        write_all_at(&*self.file, watermark.slot_offset(), &watermark.encode())
            .map_err(|error| Error::io("cannot write the watermark", error))
    }
}

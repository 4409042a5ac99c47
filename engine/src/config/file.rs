//! Configuration files on a storage.

use std::io;

use thiserror::Error;

use super::{CONFIG_LEN_BYTES_MAX, ConfigError, StoreConfig};
use crate::storage::{OpenMode, Storage, read_full_at, write_all_at};

/// The name of the file, in a store as in the user's own directory.
pub const CONFIG_FILE_NAME: &str = "config.toml";

/// Why a configuration file cannot be used.
#[derive(Debug, Error)]
pub enum ReadError {
    /// What stands in it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What the system says.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StoreConfig {
    /// Reads the `config.toml` of a directory; one that is not there says nothing.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn read(storage: &dyn Storage) -> Result<Self, ReadError> {
        let file = match storage.open(CONFIG_FILE_NAME, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error.into()),
        };
        let mut bytes = vec![0; CONFIG_LEN_BYTES_MAX + 1];
        let len = read_full_at(&*file, 0, &mut bytes)?;
        Ok(Self::parse(&bytes[..len])?)
    }

    /// Writes a new store's `config.toml`, durably.
    ///
    /// # Errors
    /// `AlreadyExists` where there is one; anything else that the system says.
    pub fn write_new(&self, storage: &dyn Storage) -> io::Result<()> {
        let file = storage.open(CONFIG_FILE_NAME, OpenMode::CreateNew)?;
        write_all_at(&*file, 0, self.to_toml().as_bytes())?;
        file.sync_all()?;
        storage.sync_dir("")
    }

    /// The text of a file that says the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let lines = [
            self.sync.map(|sync| format!("sync = \"{sync}\"\n")),
            self.segment_size_bytes.map(|size| format!("segment_size = \"{}\"\n", super::format_byte_size(size))),
            self.lock_timeout.map(|timeout| format!("lock_timeout = \"{}\"\n", super::format_duration(timeout))),
            self.retention.as_ref().map(super::RetentionConfig::to_toml),
        ];
        let lines: String = lines.into_iter().flatten().collect();
        lines + &self.redaction.as_ref().map_or_else(String::new, super::RedactionConfig::to_toml)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ReadError, StoreConfig};
    use crate::config::SyncPolicy;
    use crate::storage::{Memory, OpenMode, Storage, write_all_at};

    #[test]
    fn what_is_written_reads_back_and_is_never_overwritten() {
        let storage = Memory::default();
        assert_eq!(StoreConfig::read(&storage).expect("nothing there"), StoreConfig::default());
        let config = StoreConfig {
            sync: Some(SyncPolicy::Interval(Duration::from_millis(50))),
            segment_size_bytes: Some(1 << 20),
            lock_timeout: Some(Duration::from_secs(90)),
            retention: None,
            redaction: None,
        };
        assert_eq!(config.to_toml(), "sync = \"interval:50ms\"\nsegment_size = \"1MiB\"\nlock_timeout = \"90s\"\n");
        storage.create_dir("").expect("the root");
        config.write_new(&storage).expect("written");
        assert_eq!(StoreConfig::read(&storage).expect("read"), config);
        let again = StoreConfig::default().write_new(&storage).expect_err("it is there");
        assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_file_that_does_not_hold_tells_where() {
        let storage = Memory::default();
        storage.create_dir("").expect("the root");
        let file = storage.open("config.toml", OpenMode::CreateNew).expect("made");
        write_all_at(&*file, 0, b"sync = 3\n").expect("written");
        let error = StoreConfig::read(&storage).expect_err("no string");
        let ReadError::Config(error) = error else { panic!("{error}") };
        assert_eq!((error.line, error.column), (1, 8));
    }
}

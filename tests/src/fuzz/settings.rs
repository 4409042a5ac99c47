//! Any bytes as a store's `config.toml`. What is read is written and read again to the same.

use taffrail::config::{StoreConfig, parse_lock_timeout, parse_segment_size};

/// The target.
pub fn run(bytes: &[u8]) {
    if let Ok(config) = StoreConfig::parse(bytes) {
        let text = config.to_toml();
        let again = StoreConfig::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(again.to_toml(), text);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _size = parse_segment_size(text);
        let _timeout = parse_lock_timeout(text);
    }
}

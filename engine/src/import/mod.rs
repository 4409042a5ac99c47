//! Reading what other programs recorded, so that it can be kept in a log.
//!
//! An importer's reading side is pure: it lists and reads files through [`crate::storage::Storage`], writes nothing,
//! and turns every trouble that it meets into data. What is appended to a journal is decided elsewhere.

pub mod babysitter;

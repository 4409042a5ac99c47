//! Tests of the log that need no command line.

mod appending;
mod model;
mod reading;

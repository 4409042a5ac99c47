//! Tests of the log that need no command line.

mod appending;
mod damage_kit;
mod flipping;
mod model;
mod reading;
mod surgery;
mod tails;

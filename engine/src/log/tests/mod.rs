//! Tests of the log that need no command line.

mod appending;
mod damage_kit;
mod flipping;
mod lock_rot;
mod model;
mod reading;
mod repairing;
mod surgery;
mod tails;

//! Tests of the log that need no command line.

mod appending;
mod crash;
mod crash_faults;
mod crash_oracle;
mod crash_reader;
mod crash_states;
mod crash_stories;
mod crash_surgery;
mod crash_workload;
mod model;
mod reading;

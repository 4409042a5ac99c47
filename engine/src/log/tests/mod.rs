//! Tests of the log that need no command line.

mod affected;
mod appending;
mod clocks;
mod crash;
mod crash_faults;
mod crash_oracle;
mod crash_reader;
mod crash_repair;
mod crash_states;
mod crash_stories;
mod crash_surgery;
mod crash_workload;
mod damage_kit;
mod doubt;
mod evidence;
mod failing;
mod failing_storage;
mod flipping;
mod foretelling;
mod frame_surgery;
#[cfg(shuttle)]
mod interleaved;
#[cfg(shuttle)]
mod interleaved_storage;
mod lock_rot;
mod model;
mod places;
mod policies;
mod proving_ahead;
mod reading;
mod repairing;
mod settling;
mod single;
mod small;
mod state_machine;
mod surgery;
mod tails;
mod undoing;
mod years;

//! Bundles: the same bytes again, whatever is in the store; hostile ones refused; a restore whole or not at all.

mod archived;
mod blocks;
mod crashes;
mod cuts;
mod hostile;
mod kit;
mod passes;
mod round_trips;
mod snapshots;

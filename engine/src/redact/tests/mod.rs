//! A secret is nowhere in the store any more, and everything else is as it was.

mod appending;
mod beside;
mod crashes;
mod events;
mod identifying;
mod kit;
mod names;
mod stopped;

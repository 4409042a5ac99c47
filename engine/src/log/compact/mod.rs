//! Taking events out of sealed segments: rewriting, keeping the originals, and putting the new files in their place.
//!
//! Which events go is decided above ([`crate::compact`]); here nobody knows what an event means.

pub(crate) mod archive;
pub(crate) mod forget;
pub(crate) mod going;
pub(crate) mod publish;
pub(crate) mod rewrite;
pub(crate) mod undo;
pub(crate) mod work;

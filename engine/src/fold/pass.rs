//! What is handed the events of a log, one after the other.

use crate::error::Result;
use crate::{Loss, Record};

/// Takes the events of a log, in order.
pub trait Pass {
    /// Takes the next event. Every event of the runs that matter must come, of whatever kind.
    ///
    /// # Errors
    /// What ends the whole pass; what concerns one run is kept with that run.
    fn take(&mut self, record: &Record<'_>) -> Result<()>;

    /// Takes what can not be read, where reading goes on past damage; in the place of the events that were there.
    ///
    /// # Errors
    /// What ends the whole pass.
    fn lose(&mut self, loss: &Loss) -> Result<()> {
        let _does_not_matter = loss;
        Ok(())
    }
}

/// Gathers what is passed over: the first ones, and how many there are.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// The first ones.
    pub listed: Vec<Loss>,
    /// All of them.
    pub count: u64,
}

impl Losses {
    /// Most losses that are listed.
    pub const MOST_LISTED: usize = 256;
}

impl Pass for Losses {
    fn take(&mut self, _: &Record<'_>) -> Result<()> {
        Ok(())
    }

    fn lose(&mut self, loss: &Loss) -> Result<()> {
        self.count += 1;
        if self.listed.len() < Losses::MOST_LISTED {
            self.listed.push(loss.clone());
        }
        Ok(())
    }
}

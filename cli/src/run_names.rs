//! Names of runs, while events go by.

use std::collections::BTreeMap;

use taffrail::{Kind, Reader, Record, RunOpened, Seq};

/// Names of runs by number: learnt from the events that open them, and looked up once where those lie before what is read.
#[derive(Debug, Default)]
pub struct RunNames {
    names: BTreeMap<Seq, Option<String>>,
    looked_up: bool,
}

impl RunNames {
    /// Learns from an event.
    pub fn learn(&mut self, record: &Record<'_>) {
        if record.kind == Kind::RUN_OPENED
            && let (Some(run), Ok(opened)) = (record.run, RunOpened::decode(&record.payload))
        {
            self.names.insert(run, Some(opened.name));
        }
    }

    /// Looks names up again when the next one is missing: a log that is followed gains runs.
    pub fn look_again(&mut self) {
        self.looked_up = false;
        self.names.retain(|_, name| name.is_some());
    }

    /// The name of a run; its number, as `#7`, where nothing that can be read tells it.
    pub fn name(&mut self, reader: &Reader, run: Seq) -> String {
        if !self.names.contains_key(&run) && !self.looked_up {
            self.looked_up = true;
            // Where the log is damaged, numbers have to do: the damage itself is told by what is reading.
            for (run, summary) in reader.runs().unwrap_or_default() {
                self.names.entry(run).or_insert(summary.name);
            }
        }
        self.names.entry(run).or_default().clone().unwrap_or_else(|| format!("#{run}"))
    }
}

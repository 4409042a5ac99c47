//! The second process of `taffrail replay --twice`: the same program, the same log, other hash seeds.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use taffrail::fold::{Cause, CheckReport, Divergence, Evidence, Place, StateDigest, each_state, state_differences};
use taffrail::position::Position;
use taffrail::{Fold, Reader, Seq};

use crate::codes;
use crate::exit::Exit;
use crate::problem::{Failure, Problem};
use crate::store::Store;

/// How to start the other process.
#[derive(Debug)]
pub(super) struct Twin {
    words: Vec<OsString>,
    at: Option<String>,
}

impl Twin {
    /// A process that replays the same log.
    #[must_use]
    pub(super) fn new(store: &Store, run: Option<&str>, at: Option<&Position>) -> Self {
        let mut words: Vec<OsString> =
            vec!["replay".into(), "--store".into(), store.location.path.clone().into_os_string()];
        if let Some(run) = run {
            words.extend(["--run".into(), run.into()]);
        }
        Self { words, at: at.map(ToString::to_string) }
    }

    /// Compares where every run ended; where a run differs, looks for the event.
    ///
    /// # Errors
    /// T0519 where the other process cannot be started or does not answer; as reading.
    pub(super) fn compare<F: Fold>(&self, reader: &Reader, report: &mut CheckReport) -> Result<(), Failure> {
        let ends = self.ends()?;
        for check in &mut report.runs {
            let Some(here) = check.digest else { continue };
            let place = |end: &&(Option<u64>, StateDigest)| end.0 == check.run.map(Seq::get);
            let Some((_, there)) = ends.iter().find(place) else { continue };
            check.compared += 1;
            if *there == here {
                check.equal += 1;
            } else if check.divergence.is_none() {
                check.divergence = Some(self.locate::<F>(reader, check.run, here, *there)?);
            }
        }
        Ok(())
    }

    fn start(&self, more: &[OsString]) -> Result<std::process::Child, Failure> {
        let program = std::env::current_exe().map_err(|error| failed(&error.to_string()))?;
        let child =
            Command::new(program).args(&self.words).args(more).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        child.map_err(|error| failed(&error.to_string()))
    }

    /// Where each run ends in the other process.
    fn ends(&self) -> Result<Vec<(Option<u64>, StateDigest)>, Failure> {
        let mut more: Vec<OsString> = vec!["--json".into()];
        if let Some(at) = &self.at {
            more.extend(["--at".into(), at.into()]);
        }
        let answer = self.start(&more)?.wait_with_output().map_err(|error| failed(&error.to_string()))?;
        let value: Value = serde_json::from_slice(&answer.stdout).map_err(|_| failed("its answer is no JSON"))?;
        let runs = value["runs"].as_array().ok_or_else(|| failed("its answer is no replay"))?;
        let end = |run: &Value| Some((run["run"].as_u64(), run["digest"].as_str()?.parse().ok()?));
        Ok(runs.iter().filter_map(end).collect())
    }

    /// The first event after which the two processes disagree: both fold the run again, and print as they go.
    fn locate<F: Fold>(
        &self,
        reader: &Reader,
        run: Option<Seq>,
        here: StateDigest,
        there: StateDigest,
    ) -> Result<Divergence, Failure> {
        let mut more: Vec<OsString> = vec!["--states".into(), "-o".into(), "jsonl".into()];
        if let Some(run) = run {
            more.extend(["--run".into(), format!("#{run}").into()]);
        }
        let without_run = self.words.iter().take(3).cloned().collect();
        let mut child = Twin { words: without_run, at: None }.start(&more)?;
        let lines = child.stdout.take().map(BufReader::new);
        let mut lines = lines.into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        let mut found = None;
        let walked = each_state::<F>(reader, run, |ours| {
            let theirs: Option<Value> = lines.next().and_then(|line| serde_json::from_str(&line).ok());
            let Some(theirs) = theirs else { return Ok(false) };
            let digest = theirs["digest"].as_str().and_then(|text| text.parse::<StateDigest>().ok());
            if digest == Some(ours.digest) {
                return Ok(true);
            }
            let fields = state_differences(&theirs["state"], &ours.state);
            let digests = (digest.unwrap_or(there), ours.digest);
            found = Some((Place::Event { seq: ours.seq, revision: ours.revision, fields }, digests, ours.revision));
            Ok(false)
        });
        // It may be writing still, to nobody.
        let _over = child.kill();
        let _code = child.wait();
        drop(walked);
        let nowhere = Place::Interval { after: 0, until: u64::MAX, fields: Vec::new() };
        let (place, (recorded, computed), at) = found.unwrap_or((nowhere, (there, here), 0));
        let (at, cause) = (u64::from(at), Cause::Nondeterminism);
        Ok(Divergence { run, at, evidence: Evidence::Twin, recorded, computed, cause, place })
    }
}

fn failed(why: &str) -> Failure {
    let message = format!("the second process of --twice did not do its part: {why}");
    Problem::new(codes::T0519, Exit::Io, message).hint("taffrail explain T0519").into()
}

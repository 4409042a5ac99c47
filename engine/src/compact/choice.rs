use crate::config::RetentionConfig;
use crate::run::Status;
use serde::Serialize;
use std::collections::BTreeSet;

/// Which events a compaction takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Choice {
    /// Of each run, those before its newest snapshot; with `until`, before its newest snapshot up to that seq.
    Prefix {
        /// Snapshots behind this event are not looked at.
        until: Option<u64>,
    },
    /// Runs that have ended.
    Runs(Retention),
}

/// Which runs are kept whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// Only runs with one of these statuses go; all of them have to be [`Status::is_terminal`].
    pub statuses: BTreeSet<Status>,
    /// Only runs whose last event is older than this instant go, in nanoseconds since 1970.
    pub ended_before_ns: Option<i64>,
    /// Of the runs with one of the statuses, so many stay: those with the latest events.
    pub keep_last: u64,
}

impl Retention {
    /// What a policy says at an instant, in nanoseconds since 1970.
    #[must_use]
    pub fn of(policy: &RetentionConfig, now_ns: i64) -> Retention {
        let all = Retention::finished();
        let age_ns = |age: std::time::Duration| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        Retention {
            statuses: policy.statuses.clone().unwrap_or(all.statuses),
            ended_before_ns: policy.older_than.map(|age| now_ns.saturating_sub(age_ns(age))),
            keep_last: policy.keep_last.unwrap_or(0),
        }
    }

    /// All runs that have ended.
    #[must_use]
    pub fn finished() -> Retention {
        let statuses = [Status::Completed, Status::Failed, Status::Cancelled, Status::Closed].into();
        Retention { statuses, ended_before_ns: None, keep_last: 0 }
    }
}

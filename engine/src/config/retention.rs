//! Which runs a store keeps: `[retention]`.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigErrorKind, UnitError, format_duration, parse_duration};
use crate::run::Status;

/// The keys of the table.
pub(super) const KEYS: [&str; 3] = ["keep_last", "older_than", "statuses"];

/// What `[retention]` says; what it does not mention is `None`. `log compact` applies it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionConfig {
    /// `statuses`: of the runs that have ended, only those that ended so go. `None`: all of them.
    pub statuses: Option<BTreeSet<Status>>,
    /// `older_than`: only runs whose last event is so old go.
    pub older_than: Option<Duration>,
    /// `keep_last`: so many of them stay, those with the latest events.
    pub keep_last: Option<u64>,
}

/// A place and what is wrong there.
pub(super) type At = (std::ops::Range<usize>, ConfigErrorKind);

impl RetentionConfig {
    pub(super) fn read(table: &DeTable<'_>) -> Result<Self, At> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut config = Self::default();
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            let invalid = |error| (value.span(), ConfigErrorKind::Value { key: format!("retention.{name}"), error });
            match name {
                "statuses" => config.statuses = Some(statuses(value).map_err(invalid)?),
                "older_than" => {
                    let parsed = super::string(value).and_then(parse_duration);
                    config.older_than = Some(parsed.map_err(invalid)?);
                }
                "keep_last" => config.keep_last = Some(number(value).map_err(invalid)?),
                _ => return Err((key.span(), ConfigErrorKind::unknown(name, value.get_ref().is_table(), &KEYS))),
            }
        }
        Ok(config)
    }

    /// The lines of a file that says the same.
    pub(super) fn to_toml(&self) -> String {
        let quoted = |status: &Status| format!("\"{status}\"");
        let statuses = self.statuses.as_ref().map(|all| all.iter().map(quoted).collect::<Vec<_>>().join(", "));
        let lines = [
            Some("[retention]\n".to_owned()),
            statuses.map(|statuses| format!("statuses = [{statuses}]\n")),
            self.older_than.map(|age| format!("older_than = \"{}\"\n", format_duration(age))),
            self.keep_last.map(|count| format!("keep_last = {count}\n")),
        ];
        lines.into_iter().flatten().collect()
    }
}

impl fmt::Display for RetentionConfig {
    /// `runs that are completed or failed, older than 90d, but for the last 100`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.statuses {
            None => formatter.write_str("runs that have ended")?,
            Some(statuses) => {
                let names: Vec<String> = statuses.iter().map(Status::to_string).collect();
                write!(formatter, "runs that are {}", names.join(" or "))?;
            }
        }
        if let Some(age) = self.older_than {
            write!(formatter, ", older than {}", format_duration(age))?;
        }
        match self.keep_last {
            Some(count) if count > 0 => write!(formatter, ", but for the last {count}"),
            _ => Ok(()),
        }
    }
}

/// Reads a status in which a run has ended.
///
/// # Errors
/// [`UnitError`] with what was expected.
pub fn parse_ended_status(text: &str) -> Result<Status, UnitError> {
    let ended = [Status::Completed, Status::Failed, Status::Cancelled, Status::Closed];
    ended
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| UnitError::expected(text, "one of completed, failed, cancelled, closed", ""))
}

fn statuses(value: &Spanned<DeValue<'_>>) -> Result<BTreeSet<Status>, UnitError> {
    let array = value.get_ref().as_array().filter(|array| !array.is_empty());
    let array = array
        .ok_or_else(|| UnitError::expected(value.get_ref().type_str(), "a list of statuses", "[\"completed\"]"))?;
    array.iter().map(|status| super::string(status).and_then(parse_ended_status)).collect()
}

fn number(value: &Spanned<DeValue<'_>>) -> Result<u64, UnitError> {
    let integer = value.get_ref().as_integer().filter(|integer| integer.radix() == 10);
    let parsed = integer.and_then(|integer| integer.as_str().parse().ok());
    parsed.ok_or_else(|| UnitError::expected(value.get_ref().type_str(), "a whole number", "100"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RetentionConfig;
    use crate::config::StoreConfig;
    use crate::run::Status;

    #[test]
    fn a_policy_reads_back_and_says_what_it_is() {
        let text = "[retention]\nstatuses = [\"completed\", \"cancelled\"]\nolder_than = \"90d\"\nkeep_last = 100\n";
        let config = StoreConfig::parse(text.as_bytes()).expect("a policy");
        let retention = config.retention.clone().expect("a policy");
        let statuses = [Status::Completed, Status::Cancelled].into();
        let older_than = Some(Duration::from_secs(90 * 86_400));
        assert_eq!(retention, RetentionConfig { statuses: Some(statuses), older_than, keep_last: Some(100) });
        assert_eq!(config.to_toml(), text);
        let said = "runs that are completed or cancelled, older than 90d, but for the last 100";
        assert_eq!(retention.to_string(), said);
        let all = StoreConfig::parse(b"sync = \"never\"\n[retention]\n").expect("a policy").retention;
        assert_eq!(all.map(|all| all.to_string()).as_deref(), Some("runs that have ended"));
    }

    #[test]
    fn what_is_wrong_with_a_policy_is_told_with_its_place() {
        for (line, message) in [
            (
                "statuses = \"completed\"",
                "line 2, column 12: retention.statuses: expected a list of statuses (such as [\"completed\"]), found \"string\"",
            ),
            (
                "statuses = [\"running\"]",
                "line 2, column 12: retention.statuses: expected one of completed, failed, cancelled, closed, found \"running\"",
            ),
            (
                "older_than = \"old\"",
                "line 2, column 14: retention.older_than: expected a whole number and one of ns, us, ms, s, m, h, d (such as \"5s\"), found \"old\"",
            ),
            (
                "keep_last = -1",
                "line 2, column 13: retention.keep_last: expected a whole number (such as 100), found \"integer\"",
            ),
            ("keep = 7", "line 2, column 1: unknown key \"keep\"; did you mean \"keep_last\"?"),
        ] {
            let error = StoreConfig::parse(format!("[retention]\n{line}\n").as_bytes()).expect_err(message);
            assert_eq!(error.to_string(), message);
        }
        let error = StoreConfig::parse(b"retention = 3").expect_err("no table").to_string();
        assert_eq!(error, "line 1, column 13: retention: expected a table, found \"integer\"");
    }
}

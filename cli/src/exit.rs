//! Exit codes: the answer of a command, for scripts.

use std::process::ExitCode;

use crate::line::Line;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Clean.
    Clean = 0,
    /// The answer is "differs", "no match", "not found" or "still waiting".
    Differs = 1,
    /// The command line was not understood, and nothing was done.
    Usage = 2,
    /// A torn tail and nothing worse.
    TornTail = 3,
    /// Damage: bytes that were acknowledged are not what they were.
    Damage = 4,
    /// A replay that came to another state.
    Diverged = 5,
    /// Locked by somebody else for longer than the timeout.
    Locked = 6,
    /// Refused.
    Refused = 7,
    /// A format version that this binary does not know.
    UnknownFormat = 8,
    /// A bug in this program.
    Bug = 70,
    /// An input or output error.
    Io = 74,
    /// Interrupted.
    Interrupted = 130,
}

impl Exit {
    /// Every exit code, in numeric order.
    pub const ALL: [Self; 12] = [
        Self::Clean,
        Self::Differs,
        Self::Usage,
        Self::TornTail,
        Self::Damage,
        Self::Diverged,
        Self::Locked,
        Self::Refused,
        Self::UnknownFormat,
        Self::Bug,
        Self::Io,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// As answers end: `[exit 4]`, on a line of its own, so that the command above it can be copied as a line.
    #[must_use]
    pub fn line(self) -> Line {
        Line::from(format!("[exit {}]", self.number()).as_str())
    }

    /// What it means, in one line.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Differs => "the answer is \"differs\", \"no match\", \"not found\" or \"still waiting\"",
            Self::Usage => "usage: the command line was not understood, nothing was done",
            Self::TornTail => "torn tail only: opening would fix it, nothing acknowledged is lost",
            Self::Damage => "damage",
            Self::Diverged => "divergence: a replay came to another state",
            Self::Locked => "locked past the timeout",
            Self::Refused => "refused: rejected, conflict, needs --apply or an approval, run failed or denied",
            Self::UnknownFormat => "unknown format version",
            Self::Bug => "a bug in taffrail",
            Self::Io => "input or output error",
            Self::Interrupted => "interrupted",
        }
    }

    /// The exit code of a command for which both apply: 0 < 1 < 3 < 5 < 4 < 7 < 6 < 8 < 2 < 74 < 70 < 130.
    ///
    /// 2 meets another one only if a command finds part of its line unusable after it began; the rest of its answer
    /// is then not to be relied on.
    #[must_use]
    pub fn combine(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Differs => 1,
            Self::TornTail => 2,
            Self::Diverged => 3,
            Self::Damage => 4,
            Self::Refused => 5,
            Self::Locked => 6,
            Self::UnknownFormat => 7,
            Self::Usage => 8,
            Self::Io => 9,
            Self::Bug => 10,
            Self::Interrupted => 11,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// Which code holds when several apply.
pub const PRECEDENCE: &str = "When several apply: 0 < 1 < 3 < 5 < 4 < 7 < 6 < 8 < 74 < 70 < 130.";
/// What plans exit with.
pub const PLANS: &str = "A plan exits with the code of what it found, never with 7.";

/// The table of exit codes, for `--help`.
#[must_use]
pub fn help_table() -> String {
    let mut table = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        table.push_str(&format!("  {:>3}  {}\n", exit.number(), exit.meaning()));
    }
    format!("{table}{PRECEDENCE}\n{PLANS}")
}

#[cfg(test)]
mod tests {
    use super::{Exit, help_table};

    #[test]
    fn numbers_are_the_documented_ones() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|exit| exit.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 70, 74, 130]);
    }

    #[test]
    fn combining_follows_the_documented_order_for_every_pair_and_triple() {
        let documented = [0, 1, 3, 5, 4, 7, 6, 8, 2, 74, 70, 130];
        let place = |exit: Exit| documented.iter().position(|number| *number == exit.number()).expect("documented");
        for left in Exit::ALL {
            for right in Exit::ALL {
                let worst = if place(left) >= place(right) { left } else { right };
                assert_eq!(left.combine(right), worst, "{left:?} {right:?}");
                for third in Exit::ALL {
                    assert_eq!(left.combine(right).combine(third), left.combine(right.combine(third)));
                }
            }
        }
    }

    #[test]
    fn the_help_table_has_every_code_once() {
        let table = help_table();
        for exit in Exit::ALL {
            let row = format!("  {:>3}  {}", exit.number(), exit.meaning());
            assert_eq!(table.lines().filter(|line| **line == row).count(), 1, "{row}");
        }
        assert!(table.lines().all(|line| line.len() <= 100), "{table}");
    }
}

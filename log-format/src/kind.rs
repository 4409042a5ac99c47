use std::fmt;
use std::num::NonZeroU16;

/// What a frame is: an index into its segment's type table. 1 to 15 belong to the log itself, user types follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(NonZeroU16);

const fn reserved(number: u16) -> Kind {
    match NonZeroU16::new(number) {
        Some(number) => Kind(number),
        None => Kind(NonZeroU16::MIN),
    }
}

impl Kind {
    /// A run begins: the first event of the run, whose seq is the run's number.
    pub const RUN_OPENED: Kind = reserved(1);
    /// A type is added to the table, in the batch of its first event.
    pub const TYPE_REGISTERED: Kind = reserved(2);
    /// A state digest (hint).
    pub const CHECKPOINT: Kind = reserved(3);
    /// A recorded absence of events; takes no seq.
    pub const GAPS: Kind = reserved(4);
    /// The summary of a sealed segment; takes no seq.
    pub const FOOTER: Kind = reserved(5);
    /// A named position (hint).
    pub const MARK: Kind = reserved(6);
    /// An operator changed the store.
    pub const OPERATOR_ACTION: Kind = reserved(7);
    /// A torn tail was cut.
    pub const RECOVERED: Kind = reserved(8);
    /// The type table at the start of a segment; takes no seq.
    pub const TYPE_TABLE: Kind = reserved(9);
    /// The end of a sealed segment: points at its footer; takes no seq.
    pub const SEAL: Kind = reserved(10);
    /// The first number of user types.
    pub const FIRST_USER: Kind = reserved(16);

    /// A kind, or `None` for zero.
    #[must_use]
    pub const fn new(number: u16) -> Option<Kind> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Kind(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Whether frames of this kind are events. The others carry the seq of the next event and use none up.
    #[must_use]
    pub fn takes_seq(self) -> bool {
        !matches!(self, Kind::GAPS | Kind::FOOTER | Kind::TYPE_TABLE | Kind::SEAL)
    }

    /// Whether this is one of the log's own kinds (1 to 15).
    #[must_use]
    pub fn is_reserved(self) -> bool {
        self < Kind::FIRST_USER
    }

    /// The name of one of the log's own kinds; `None` for user types and for numbers that no release has assigned.
    #[must_use]
    pub fn reserved_name(self) -> Option<&'static str> {
        Some(match self {
            Kind::RUN_OPENED => "RunOpened",
            Kind::TYPE_REGISTERED => "TypeRegistered",
            Kind::CHECKPOINT => "Checkpoint",
            Kind::GAPS => "Gaps",
            Kind::FOOTER => "Footer",
            Kind::MARK => "Mark",
            Kind::OPERATOR_ACTION => "OperatorAction",
            Kind::RECOVERED => "Recovered",
            Kind::TYPE_TABLE => "TypeTable",
            Kind::SEAL => "Seal",
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reserved_name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "kind {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_own_kinds_end_before_the_first_user_type() {
        let kinds: Vec<Kind> = (0..40).filter_map(Kind::new).collect();
        assert_eq!(kinds.iter().map(|kind| kind.get()).collect::<Vec<_>>(), (1..40).collect::<Vec<u16>>());
        for kind in kinds {
            assert_eq!(kind.is_reserved(), kind.get() < 16, "{kind}");
            assert!(kind.is_reserved() || (kind.takes_seq() && kind.reserved_name().is_none()));
        }
        assert_eq!(Kind::FIRST_USER.get(), 16);
    }
}

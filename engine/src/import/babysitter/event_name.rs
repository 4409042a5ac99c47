//! The names of event files: `000042.01M818XSYAT3SDZDYASJG1H9GX.json`.

/// What an event file's name says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EventName {
    /// The number; a name without one sorts last.
    pub(super) seq: Option<u64>,
    /// What stands between the number and `.json`.
    pub(super) ulid: Option<String>,
}

impl EventName {
    /// Reads a name in `journal/`; `None` for one that does not end in `.json`, or that is hidden.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".json").filter(|_| !name.starts_with('.'))?;
        let (number, rest) = stem.split_once('.').unwrap_or((stem, ""));
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let seq = if digits { number.parse().ok() } else { None };
        let ulid = Some(rest).filter(|rest| seq.is_some() && !rest.is_empty()).map(str::to_owned);
        Some(Self { seq, ulid })
    }

    /// Whether the name is the one that the orchestrator would have written for this number and ULID.
    pub(super) fn is_canonical(&self, name: &str) -> bool {
        match (self.seq, &self.ulid) {
            (Some(seq @ 1..), Some(ulid)) => name == format!("{seq:06}.{ulid}.json"),
            _ => false,
        }
    }

    /// The ULID, if it is one.
    pub(super) fn proper_ulid(&self) -> Option<&str> {
        self.ulid.as_deref().filter(|ulid| is_ulid(ulid))
    }

    /// Order of the events of a run: by number (none last), then ULID.
    pub(super) fn order_key(&self) -> (bool, Option<u64>, &Option<String>) {
        (self.seq.is_none(), self.seq, &self.ulid)
    }
}

/// 26 characters of Crockford's base 32, not above 128 bits.
fn is_ulid(text: &str) -> bool {
    let crockford = |byte: u8| byte.is_ascii_digit() || (byte.is_ascii_uppercase() && !b"ILOU".contains(&byte));
    text.len() == 26 && text.bytes().all(crockford) && text.as_bytes()[0] <= b'7'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_tolerantly_and_judged_strictly() {
        type Parts = (Option<u64>, Option<&'static str>);
        let table: [(&str, Option<Parts>, bool); 12] = [
            ("000042.01M818XSYAT3SDZDYASJG1H9GX.json", Some((Some(42), Some("01M818XSYAT3SDZDYASJG1H9GX"))), true),
            ("1000000.X.json", Some((Some(1_000_000), Some("X"))), true),
            ("42.X.json", Some((Some(42), Some("X"))), false),
            ("000000.X.json", Some((Some(0), Some("X"))), false),
            ("000042.json", Some((Some(42), None)), false),
            ("000042.A.B.json", Some((Some(42), Some("A.B"))), true),
            ("99999999999999999999.X.json", Some((None, None)), false),
            ("+00042.X.json", Some((None, None)), false),
            ("notes.json", Some((None, None)), false),
            (".json", None, false),
            ("000042.X.json.tmp", None, false),
            (".000042.X.json", None, false),
        ];
        for (name, expected, canonical) in table {
            let parsed = EventName::parse(name);
            let parts = parsed.as_ref().map(|parsed| (parsed.seq, parsed.ulid.as_deref()));
            assert_eq!(parts, expected, "{name}");
            assert_eq!(parsed.is_some_and(|parsed| parsed.is_canonical(name)), canonical, "{name}");
        }
        assert!(is_ulid("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
        for wrong in [
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "01M818XSYAT3SDZDYASJG1H9G",
            "01m818xsyat3sdzdyasjg1h9gx",
            "O1M818XSYAT3SDZDYASJG1H9GX",
        ] {
            assert!(!is_ulid(wrong), "{wrong}");
        }
    }
}

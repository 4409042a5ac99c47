//! Which texts identify: only those are looked for in other files, since a file that holds one is forgotten.
//!
//! A number, a name of something or a short text is in many files that have nothing to do with a secret. What is not looked
//! for is counted, and the plan says so; a pattern finds whatever it matches.

/// Shortest text of a field that is looked for, in bytes.
const FIELD_LEN_BYTES_MIN: usize = 8;
/// Shortest text of a whole event that is looked for, in bytes.
const EVENT_LEN_BYTES_MIN: usize = 16;
/// A whole event's text without a word that looks made up is looked for from this length on, in bytes.
const PROSE_LEN_BYTES_MIN: usize = 48;
/// Shortest word that looks made up, in bytes.
const TOKEN_LEN_BYTES_MIN: usize = 12;
/// Fewest different bytes in it.
const DIFFERENT_BYTES_MIN: usize = 8;

/// Whether a text of a field that somebody has named is looked for elsewhere: no number, no time, no name, not short.
pub(super) fn of_field(text: &[u8]) -> bool {
    text.len() >= FIELD_LEN_BYTES_MIN && !is_number(text) && !is_name(text)
}

/// Whether a text that stood somewhere in a whole event is: nobody has said that it is a secret, so it has to look like one,
/// or to be so long that it stands elsewhere for no other reason than that it was copied.
pub(super) fn of_event(text: &[u8]) -> bool {
    let mut seen = [false; 256];
    text.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    let is_made_up = |word: &[u8]| {
        let has = |of: fn(&u8) -> bool| word.iter().any(of);
        word.len() >= TOKEN_LEN_BYTES_MIN && has(u8::is_ascii_digit) && has(|byte| !byte.is_ascii_digit())
    };
    of_field(text)
        && text.len() >= EVENT_LEN_BYTES_MIN
        && different >= DIFFERENT_BYTES_MIN
        && (text.len() >= PROSE_LEN_BYTES_MIN || text.split(u8::is_ascii_whitespace).any(is_made_up))
}

/// Digits and what stands between them in numbers, dates and times.
fn is_number(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.,:/_ TZeE".contains(byte);
    text.iter().all(is_part) && text.iter().any(u8::is_ascii_digit)
}

/// Letters and what joins words to a name: `waiting_for_approval`, `EffectResolved`, `node/lib`.
fn is_name(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphabetic() || b"_-./:".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_everywhere_identifies_nothing() {
        for generic in [
            "",
            "running",
            "EFFECT_RESOLVED",
            "waiting_for_approval",
            "authentication-failed-permanently",
            "EffectResolvedSuccessfully",
            "src/log/mod.rs",
            "101",
            "4111111111111111",
            "2026-11-26T02:56:00.123Z",
            "1.5e-9",
        ] {
            assert!(!of_field(generic.as_bytes()) && !of_event(generic.as_bytes()), "{generic}");
        }
        for named in ["swordfish 7", "hunter2!", "tr0ub4dor&3", "AKIA12AB", "exit 101"] {
            assert!(
                of_field(named.as_bytes()) && !of_event(named.as_bytes()),
                "{named}: only where its field is named"
            );
        }
        for prose in ["the build has failed with exit 101", "completed successfully", "aaaaaaaaaaaaaaaaaaaaaaa1"] {
            assert!(!of_event(prose.as_bytes()), "{prose}");
        }
        for secret in [
            "hunter2-correct-horse",
            "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "postgres://user:pa55word@db.internal/main",
            "correct horse battery staple and so on, for as long as this",
        ] {
            assert!(of_field(secret.as_bytes()) && of_event(secret.as_bytes()), "{secret}");
        }
    }
}

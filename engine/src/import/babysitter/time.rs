//! Times as JavaScript's `Date.toISOString` writes them.

/// `2026-11-22T09:20:49.610Z` (any number of fractional digits or none, an offset in place of `Z`) in nanoseconds since
/// 1970-01-01T00:00:00Z. `None` for anything else, and for times outside 1677..2262.
pub(super) fn parse_ns(text: &str) -> Option<i64> {
    let (date, clock) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, rest) = clock.strip_prefix('T')?.split_at_checked(8)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let (fraction, zone) = rest.split_at_checked(rest.find(['Z', '+', '-'])?)?;
    let offset_minutes = offset_minutes(zone)?;
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    (minutes * 60 + second).checked_mul(1_000_000_000)?.checked_add(fraction_ns(fraction)?)
}

fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (place, length) in lengths.into_iter().enumerate() {
        let part =
            parts.next().filter(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        found[place] = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

fn fraction_ns(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix('.').filter(|digits| !digits.is_empty())?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}").get(..9)?.parse().ok()
}

fn offset_minutes(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let [hours, minutes, _] = numbers(&format!("{hours}:{minutes}:00"), ':', [2, 2, 2])?;
    let total = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
    Some(if zone.starts_with('-') { -total } else { total })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_exactly_or_not_at_all() {
        let table = [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2026-11-22T09:20:49.610Z", Some(1_795_339_249_610_000_000)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199_000_000_000)),
            ("1969-12-31T23:59:59.999999999Z", Some(-1)),
            ("2000-01-01T01:00:00+01:00", Some(946_684_800_000_000_000)),
            ("1999-12-31T23:30:00.5-00:30", Some(946_684_800_500_000_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:60Z", None),
            ("2026-01-01", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01 00:00:00Z", None),
            ("2026-01-01T00:00:00.Z", None),
            ("9999-01-01T00:00:00Z", None),
            ("0001-01-01T00:00:00Z", None),
            ("", None),
            ("2026-01-01T00:00:00Zjunk", None),
            ("é026-01-01T00:00:00Z", None),
            ("2026-01-01T00:00:00+é1:00", None),
            ("2026-01-01T00:00:00+24:00", None),
            ("+026-01-01T00:00:00Z", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_ns(text), expected, "{text:?}");
        }
    }
}

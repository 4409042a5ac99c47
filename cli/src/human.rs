//! Numbers, sizes and times as people read them.

use jiff::Timestamp;

/// An integer with separators: `18,205`.
#[must_use]
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes, in the largest unit that it reaches, cut to two decimals: `240 B`, `64.00 MiB`.
#[must_use]
pub fn byte_size(bytes: u64) -> String {
    let units = [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        None => format!("{bytes} B"),
        Some((unit, shift)) => {
            let rest = u128::from(bytes & ((1 << shift) - 1));
            format!("{}.{:02} {unit}", bytes >> shift, (rest * 100) >> shift)
        }
    }
}

/// A time in UTC, cut to milliseconds: `2026-08-20 12:04:19.880`.
#[must_use]
pub fn time(time_ns: i64) -> String {
    match Timestamp::from_nanosecond(i128::from(time_ns)) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        Err(_) => format!("{time_ns} ns"),
    }
}

/// One and many: `1 event`, `4,600 events`.
#[must_use]
pub fn count(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(value), if value == 1 { "" } else { "s" })
}

/// A text with its digests cut to their beginnings: `8111d658...`.
#[must_use]
pub fn digests_cut(text: &str) -> String {
    const DIGEST_DIGITS: usize = 32;
    const DIGITS_SHOWN: usize = 8;
    let is_digit = |character: char| character.is_ascii_digit() || ('a'..='f').contains(&character);
    let mut shortened = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_digit) {
        let (before, digits) = rest.split_at(start);
        let (digits, after) = digits.split_at(digits.find(|character| !is_digit(character)).unwrap_or(digits.len()));
        shortened.push_str(before);
        if digits.len() < DIGEST_DIGITS {
            shortened.push_str(digits);
        } else {
            shortened.push_str(&digits[..DIGITS_SHOWN]);
            shortened.push_str("...");
        }
        rest = after;
    }
    shortened.push_str(rest);
    shortened
}

#[cfg(test)]
mod tests {
    use super::{byte_size, count, digests_cut, thousands, time};

    #[test]
    fn digests_are_cut_and_other_numbers_are_not() {
        let digest = "8111d658".repeat(8);
        assert_eq!(digests_cut(&format!("stored \"{digest}\", 12 bytes")), "stored \"8111d658...\", 12 bytes");
        for text in ["", "seq 000005", "deadbeef", &"f".repeat(31), "größe ß"] {
            assert_eq!(digests_cut(text), text);
        }
        assert_eq!(digests_cut(&"f".repeat(32)), "ffffffff...");
    }

    #[test]
    fn integers_have_separators() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (4_600, "4,600"), (18_205, "18,205")] {
            assert_eq!(thousands(value), text);
        }
        assert_eq!(thousands(123_456), "123,456");
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!([count(0, "event"), count(1, "run"), count(4_600, "event")], ["0 events", "1 run", "4,600 events"]);
    }

    #[test]
    fn sizes_are_never_rounded_up_into_the_next_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (240, "240 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            ((1 << 20) - 1, "1023.99 KiB"),
            (64 << 20, "64.00 MiB"),
            (3_900_000, "3.71 MiB"),
            (5 << 30, "5.00 GiB"),
            (1 << 40, "1.00 TiB"),
            (u64::MAX, "15.99 EiB"),
        ] {
            assert_eq!(byte_size(bytes), text);
        }
    }

    #[test]
    fn times_are_utc_and_never_in_the_future() {
        for (time_ns, text) in [
            (0, "1970-01-01 00:00:00.000"),
            (-1, "1969-12-31 23:59:59.999"),
            (1_787_227_459_880_999_999, "2026-08-20 12:04:19.880"),
            (i64::MIN, "1677-09-21 00:12:43.145"),
            (i64::MAX, "2262-04-11 23:47:16.854"),
        ] {
            assert_eq!(time(time_ns), text);
        }
    }
}

//! Numbers, as people read them.

/// A number in three digits.
#[must_use]
pub fn short(number: f64) -> String {
    match number {
        number if !number.is_finite() => "-".into(),
        number if number >= 1e9 => format!("{:.2} G", number / 1e9),
        number if number >= 1e6 => format!("{:.2} M", number / 1e6),
        number if number >= 1e4 => format!("{:.0} k", number / 1e3),
        number if number >= 1e3 => format!("{:.1} k", number / 1e3),
        number if number >= 10.0 => format!("{number:.0}"),
        number => format!("{number:.2}"),
    }
}

/// A part of something, or a dash.
pub(crate) fn part(number: f64) -> String {
    if number.is_finite() { format!("{number:.2}") } else { "-".into() }
}

/// The middle value; of an even count, the mean of the two in the middle. NaN of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (odd, middle) if odd % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// A number in five digits: more is noise, and would fill the file.
pub(crate) fn rounded(number: f64) -> f64 {
    format!("{number:.4e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_digits() {
        assert!(median(&[]).is_nan());
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[1.0, 2.0])), (2.0, 1.5));
        assert_eq!((rounded(123_456.789), rounded(0.000_123_456)), (123_460.0, 0.000_123_46));
        assert_eq!([short(f64::NAN), short(1234.0), short(56_789.0), short(9.5)], ["-", "1.2 k", "57 k", "9.50"]);
    }
}

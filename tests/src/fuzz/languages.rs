//! Any text as an expression, as a position and as a range of positions. What is parsed is printed and parsed again to
//! the same; where it is not, the error points into the text.

use taffrail::expr::Expression;
use taffrail::position::{Position, PositionRange};

/// The target.
pub fn run(bytes: &[u8]) {
    let (source, value) = match bytes.iter().position(|byte| *byte == 0) {
        Some(place) => (&bytes[..place], &bytes[place + 1..]),
        None => (bytes, &b"{\"data\":{\"n\":3,\"s\":\"abc\",\"l\":[1,null,true]}}"[..]),
    };
    let Ok(source) = std::str::from_utf8(source) else { return };
    if let Ok(expression) = Expression::parse(source) {
        let printed = expression.to_string();
        let again = Expression::parse(&printed).unwrap_or_else(|error| panic!("{printed:?}: {error}"));
        assert_eq!(again.to_string(), printed);
        if let Ok(value) = serde_json::from_slice(value) {
            assert_eq!(expression.holds(&value), again.holds(&value), "{printed:?}");
        }
    }
    if let Ok(position) = source.parse::<Position>() {
        let printed = position.to_string();
        assert_eq!(printed.parse::<Position>().as_ref().ok(), Some(&position), "{printed:?}");
    }
    if let Ok(range) = source.parse::<PositionRange>() {
        let printed = range.to_string();
        assert_eq!(printed.parse::<PositionRange>().as_ref().ok(), Some(&range), "{printed:?}");
    }
}

//! Texts as events and states hold them: names of steps, kinds, actors, digests, and what people wrote.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Most bytes that are kept in place.
const SHORT_LEN_BYTES: usize = 22;

/// A text that is not changed any more. Short ones, as most names are, take no allocation and are compared without leaving
/// the node of the map that they are keys of; long ones are shared by the event and the state. It is written like any
/// `String`, in the log and elsewhere.
///
/// ```
/// use taffrail::run::Text;
/// let step: Text = "publish#2".into();
/// assert_eq!(step, "publish#2");
/// assert!(step.starts_with("publish"));
/// ```
#[derive(Clone)]
pub struct Text(Kept);

#[derive(Clone)]
enum Kept {
    /// Zeros behind the text, so that comparing whole words compares texts.
    Short {
        len: u8,
        bytes: [u8; SHORT_LEN_BYTES],
    },
    Long(Arc<str>),
}

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Whole characters were put in, so nothing but the check itself can be saved here.
            Kept::Short { len, bytes } => std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Kept::Long(text) => text,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Short { len, bytes } => &bytes[..usize::from(*len)],
            Kept::Long(text) => text.as_bytes(),
        }
    }

    fn cmp_long(&self, other: &Text) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }

    /// Whether it has no character.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Kept::Short { len: 0, .. })
    }
}

/// The first sixteen and the last six bytes, as numbers that compare as the bytes do.
#[inline]
fn words(bytes: &[u8; SHORT_LEN_BYTES]) -> (u128, u64) {
    let (mut first, mut last) = ([0; 16], [0; 8]);
    first.copy_from_slice(&bytes[..16]);
    last[..SHORT_LEN_BYTES - 16].copy_from_slice(&bytes[16..]);
    (u128::from_be_bytes(first), u64::from_be_bytes(last))
}

impl From<&str> for Text {
    #[inline]
    fn from(text: &str) -> Text {
        let mut bytes = [0; SHORT_LEN_BYTES];
        match bytes.get_mut(..text.len()) {
            Some(short) => {
                short.copy_from_slice(text.as_bytes());
                // At most 22.
                Text(Kept::Short { len: u8::try_from(text.len()).unwrap_or_default(), bytes })
            }
            None => Text(Kept::Long(text.into())),
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        text.as_str().into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Text {
        text.as_str().into()
    }
}

impl From<&Text> for Text {
    fn from(text: &Text) -> Text {
        text.clone()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> String {
        text.as_str().to_owned()
    }
}

impl Default for Text {
    fn default() -> Text {
        Text(Kept::Short { len: 0, bytes: [0; SHORT_LEN_BYTES] })
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Ord for Text {
    #[inline]
    fn cmp(&self, other: &Text) -> Ordering {
        match (&self.0, &other.0) {
            // Where one ends, it has zeros. Only a text with zeros of its own is told from that by its length.
            (Kept::Short { len, bytes }, Kept::Short { len: other_len, bytes: other }) => {
                words(bytes).cmp(&words(other)).then(len.cmp(other_len))
            }
            _ => self.cmp_long(other),
        }
    }
}

impl PartialOrd for Text {
    #[inline]
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        match (&self.0, &other.0) {
            (Kept::Short { len, bytes }, Kept::Short { len: other_len, bytes: other }) => {
                len == other_len && bytes == other
            }
            // A long text is never short.
            (Kept::Long(text), Kept::Long(other)) => text == other,
            _ => false,
        }
    }
}

impl Eq for Text {}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Text> for str {
    fn eq(&self, other: &Text) -> bool {
        other == self
    }
}

impl PartialEq<Text> for String {
    fn eq(&self, other: &Text) -> bool {
        other == self
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), formatter)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

struct Texts;

impl Visitor<'_> for Texts {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(text.into())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_str(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{canonical_bytes, decode_canonical};
    use proptest::prelude::*;

    /// Texts about the length that is kept in place, of few characters, so that they often begin alike.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof!["[ab\u{0}]{0,4}", "[ab\u{0}]{14,26}", "[aé\u{1f600}]{4,9}"]
    }

    proptest! {
        #[test]
        fn a_text_is_and_compares_as_the_string_that_it_was_made_of(one in texts(), other in texts()) {
            let (text, second) = (Text::from(&one), Text::from(&other));
            prop_assert_eq!(text.as_str(), &one);
            prop_assert_eq!(text.is_empty(), one.is_empty());
            prop_assert_eq!(text.cmp(&second), one.cmp(&other));
            prop_assert_eq!(text == second, one == other);
            prop_assert_eq!(text == other, one == other);
            let bytes = canonical_bytes(&one).unwrap();
            prop_assert_eq!(&canonical_bytes(&text).unwrap(), &bytes);
            prop_assert_eq!(&decode_canonical::<Text>(&bytes).unwrap(), &text);
            let map = std::collections::BTreeMap::from([(text, 1), (second, 2)]);
            prop_assert_eq!(map.get(other.as_str()), Some(&2));
        }
    }

    #[test]
    fn texts_take_no_more_room_than_strings() {
        assert_eq!(size_of::<Text>(), size_of::<String>());
        assert_eq!(size_of::<Option<Text>>(), size_of::<String>());
        assert_eq!(Text::default(), "");
        assert_eq!(format!("{:?} {:>3}", Text::from("a\n"), Text::from("b")), "\"a\\n\"   b");
    }
}

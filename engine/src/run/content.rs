//! What requests, results and values hold: JSON in the event, or a reference to where the bytes are.

use crate::run::text::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A JSON text. In the log and in a state's canonical bytes it is the text; shown to people it is the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Json(Text);

impl Json {
    /// The text of a value.
    #[must_use]
    pub fn of(value: &Value) -> Json {
        Json(value.to_string().into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value; a text that is no JSON (it came from a log that was not written by this library) as a string.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_else(|_| Value::from(self.0.as_str()))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { self.value().serialize(serializer) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        if deserializer.is_human_readable() {
            Value::deserialize(deserializer).map(|value| Json::of(&value))
        } else {
            Text::deserialize(deserializer).map(Json)
        }
    }
}

/// Something of any size. Shown to people, what stands in the event is shown as itself (so that `steps.notes.result.lines`
/// is a path), and a reference as an object that says where: reading a content back from JSON is not possible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Nothing was given.
    #[default]
    None,
    /// It stands in the event.
    Inline(Json),
    /// A blob of the store.
    Blob {
        /// Its digest: 64 hexadecimal digits.
        digest: String,
        /// Its length in bytes.
        len_bytes: u64,
    },
    /// A file of the imported run, by its name relative to the run's directory. The import has kept it as a blob, and
    /// noted its digest behind the events.
    File(String),
}

impl Content {
    /// A value in the event.
    #[must_use]
    pub fn inline(value: &Value) -> Content {
        Content::Inline(Json::of(value))
    }

    /// Whether nothing was given.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Content::None)
    }
}

/// The form of [`Content`] in the log.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Content")]
enum Recorded {
    None,
    Inline(Json),
    Blob { digest: String, len_bytes: u64 },
    File(String),
}

impl From<Recorded> for Content {
    fn from(recorded: Recorded) -> Content {
        match recorded {
            Recorded::None => Content::None,
            Recorded::Inline(json) => Content::Inline(json),
            Recorded::Blob { digest, len_bytes } => Content::Blob { digest, len_bytes },
            Recorded::File(name) => Content::File(name),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return match self.clone() {
                Content::None => Recorded::None,
                Content::Inline(json) => Recorded::Inline(json),
                Content::Blob { digest, len_bytes } => Recorded::Blob { digest, len_bytes },
                Content::File(name) => Recorded::File(name),
            }
            .serialize(serializer);
        }
        match self {
            Content::None => serializer.serialize_none(),
            Content::Inline(json) => json.serialize(serializer),
            Content::Blob { digest, len_bytes } => {
                serde_json::json!({ "blob": digest, "len_bytes": len_bytes }).serialize(serializer)
            }
            Content::File(name) => serde_json::json!({ "file": name }).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        if deserializer.is_human_readable() {
            return Err(serde::de::Error::custom("a content is not read from JSON: what it was can not be told"));
        }
        Recorded::deserialize(deserializer).map(Content::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{canonical_bytes, state_json};
    use serde_json::json;

    #[test]
    fn contents_are_shown_as_what_they_are_and_kept_byte_for_byte() {
        let blob = Content::Blob { digest: "ab".repeat(32), len_bytes: 7 };
        for (content, shown) in [
            (Content::None, json!(null)),
            (Content::inline(&json!({"b": 1, "a": [true]})), json!({"b": 1, "a": [true]})),
            (blob, json!({"blob": "ab".repeat(32), "len_bytes": 7})),
            (Content::File("tasks/a/result.json".into()), json!({"file": "tasks/a/result.json"})),
        ] {
            assert_eq!(state_json(&content), shown);
            let bytes = canonical_bytes(&content).unwrap();
            let back: Content = crate::fold::decode_canonical(&bytes).unwrap();
            assert_eq!(back, content);
            assert!(serde_json::from_value::<Content>(shown).is_err());
        }
    }

    #[test]
    fn text_that_is_no_json_is_shown_as_text() {
        assert_eq!(state_json(&Json("{".into())), json!("{"));
    }
}

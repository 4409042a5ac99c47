//! The lines of an export.

use super::base64;
use crate::blob::Digest;
use crate::error::{Error, Result};
use crate::{Codec, ErrorKind, Kind, Record, TypeEntry};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Deepest JSON that is written as JSON, counted in brackets; deeper data is written as text.
const DEPTH: usize = 64;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "schema")]
pub(crate) enum Line {
    #[serde(rename = "taffrail.export/1")]
    Header(Header),
    #[serde(rename = "taffrail.exported-type/1")]
    Type(TypeLine),
    #[serde(rename = "taffrail.exported/1")]
    Event(Box<Exported>),
    #[serde(rename = "taffrail.export-end/1")]
    End(End),
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// 32 hexadecimal digits.
    pub(crate) log_id: String,
    /// Version of the log's format, whose reserved kinds and bodies the lines use.
    pub(crate) format: u16,
    /// Whether this is the whole log.
    pub(crate) complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<u64>,
}

/// A type, in an export that may lack its registration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeLine {
    /// The body of a `TypeRegistered`.
    pub(crate) data_base64: String,
}

/// The last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) events: u64,
    pub(crate) last_seq: u64,
    /// Blobs that the events name. They are not part of an export.
    #[serde(default)]
    pub(crate) blobs_not_carried: u64,
}

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exported {
    pub(crate) seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u32>,
    pub(crate) time_ns: i64,
    /// Name of the type, or of one of the log's own kinds.
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
    /// Version of the type; absent in the log's own kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u16>,
    /// Number of the codec: 0 bytes, 1 JSON, 2 bincode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) codec: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<Digest>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) hint: bool,
    /// Another event of the same batch follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) more: bool,
    /// The payload is not the one that was appended: it was redacted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) redacted: bool,
    /// The payload, where it is JSON without white space that reads and writes back to the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) data: Option<Value>,
    /// The payload, where it is other text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data_text: Option<String>,
    /// The payload, where it is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data_base64: Option<String>,
}

/// A `null` that is there is a value.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Line {
    /// The line without its newline.
    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::new(ErrorKind::Invalid, "T0190", error.to_string()))
    }
}

impl Exported {
    /// The line of an event.
    pub(crate) fn of(record: &Record<'_>, run_name: Option<String>) -> Exported {
        let mut exported = Exported {
            seq: record.seq.get(),
            run: record.run.map(crate::Seq::get),
            run_name,
            revision: record.run.map(|_| record.revision),
            time_ns: record.time_ns,
            hint: record.hint,
            more: record.more,
            redacted: record.redacted,
            ..Exported::default()
        };
        match &record.entry {
            Some(entry) => {
                (exported.type_name, exported.variant) = (entry.name.clone(), entry.variant.clone());
                (exported.version, exported.codec) = (Some(entry.version), Some(entry.codec.number()));
                exported.fingerprint = entry.fingerprint.map(Digest);
            }
            None => exported.type_name = record.type_name(),
        }
        exported.set_payload(&record.payload);
        exported
    }

    /// A payload of another codec stays bytes even where its schema is known: decoding it and writing it again need not give
    /// the same bytes, and a restored log is byte for byte the exported one. The registration in the export has the schema.
    fn set_payload(&mut self, payload: &[u8]) {
        let is_own = self.version.is_none();
        match std::str::from_utf8(payload) {
            Ok(text) if !is_own => {
                self.data = as_value(text);
                self.data_text = self.data.is_none().then(|| text.to_owned());
            }
            _ => self.data_base64 = Some(base64::encode(payload)),
        }
    }

    /// The payload's bytes.
    ///
    /// # Errors
    /// What is wrong with the line, in words.
    pub(crate) fn payload(&self) -> std::result::Result<Vec<u8>, String> {
        match (&self.data, &self.data_text, &self.data_base64) {
            (Some(value), None, None) => serde_json::to_vec(value).map_err(|error| error.to_string()),
            (None, Some(text), None) => Ok(text.as_bytes().to_vec()),
            (None, None, Some(text)) => base64::decode(text).ok_or_else(|| "data_base64 is no base 64".to_owned()),
            _ => Err("expected exactly one of data, data_text and data_base64".to_owned()),
        }
    }

    /// The log's own kind, if it is one.
    ///
    /// # Errors
    /// What is wrong with the line, in words.
    pub(crate) fn own_kind(&self) -> std::result::Result<Option<Kind>, String> {
        if self.version.is_some() {
            return Ok(None);
        }
        let kinds = (1..Kind::FIRST_USER.get()).filter_map(Kind::new);
        let found = kinds.filter(|kind| kind.takes_seq()).find(|kind| kind.reserved_name() == Some(&self.type_name));
        found.map(Some).ok_or_else(|| format!("{:?} is no kind of the log's own, and has no version", self.type_name))
    }

    /// The row of the type table that the line tells; its descriptor stands elsewhere.
    pub(crate) fn entry(&self) -> TypeEntry {
        TypeEntry {
            variant: self.variant.clone(),
            version: self.version.unwrap_or(1),
            codec: Codec::from_number(self.codec.unwrap_or(0)),
            hint: self.hint,
            fingerprint: self.fingerprint.map(|digest| digest.0),
            ..TypeEntry::json(&self.type_name)
        }
    }
}

/// The JSON value of a text that is exactly how the value is written.
fn as_value(text: &str) -> Option<Value> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            // Brackets in strings count as well, so that some data that could be JSON is written as text.
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return None;
        }
    }
    let value: Value = serde_json::from_str(text).ok()?;
    (serde_json::to_string(&value).ok()? == text).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(payload: &[u8]) -> Exported {
        let mut exported = Exported { version: Some(1), ..Exported::default() };
        exported.set_payload(payload);
        let text = Line::Event(Box::new(exported)).to_json().unwrap();
        let Line::Event(back) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!(back.payload().unwrap(), payload, "{text}");
        *back
    }

    #[test]
    fn payloads_of_every_sort_read_back_to_the_same_bytes() {
        let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
        for json in ["null", "{}", "{\"b\":1,\"a\":[true,\"\u{202e}\"]}", "-0.1", "1.0", "18446744073709551615", &deep]
        {
            assert!(round(json.as_bytes()).data.is_some(), "{json}");
        }
        let deeper = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for text in ["", " ", "{ }", "1e5", "{\"a\":1,\"a\":2}", "\"\\u0041\"", "\"\\ud800\"", "{", "1\n", &deeper] {
            assert!(round(text.as_bytes()).data_text.is_some(), "{text}");
        }
        for bytes in [&b"\xff"[..], b"{\"a\":\"\xc3\"}", &[0, 159, 146, 150]] {
            assert!(round(bytes).data_base64.is_some());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_read_back(payload: Vec<u8>) {
            round(&payload);
        }

        #[test]
        fn any_text_reads_back(payload: String) {
            round(payload.as_bytes());
        }

        #[test]
        fn any_number_reads_back(number: f64) {
            round(number.to_string().as_bytes());
        }
    }
}

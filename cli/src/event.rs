//! An event as programs see it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use taffrail::Record;

use crate::payloads::hexadecimal;

/// `taffrail.event/1`: also what `--where` asks about.
#[derive(Debug, Serialize)]
pub struct EventReport<'record> {
    schema: &'static str,
    seq: u64,
    /// RFC 3339, UTC.
    time: String,
    run: Option<String>,
    /// Its ordinal in the run; 0 for an event of the store.
    revision: u32,
    r#type: String,
    version: Option<u16>,
    hint: bool,
    /// The payload, where it can be told as JSON.
    data: Option<&'record RawValue>,
    /// Else its bytes, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    segment: u32,
    offset: u64,
    len_bytes: u64,
}

impl<'record> EventReport<'record> {
    /// The members that tell of a payload.
    pub const OF_PAYLOAD: [&'static str; 2] = ["data", "bytes"];

    /// The report of a record; `run` is the name of its run, `data` the payload as JSON.
    #[must_use]
    pub fn new(record: &Record<'_>, run: Option<String>, data: Option<&'record RawValue>) -> Self {
        let bytes = data.is_none().then(|| hexadecimal(&record.payload));
        Self { data, bytes, ..Self::without_payload(record, run) }
    }

    /// The report without what needs the payload to be read.
    #[must_use]
    pub fn without_payload(record: &Record<'_>, run: Option<String>) -> Self {
        let time_ns = i128::from(record.time_ns);
        Self {
            schema: "taffrail.event/1",
            seq: record.seq.get(),
            time: Timestamp::from_nanosecond(time_ns).map(|time| time.to_string()).unwrap_or_default(),
            run,
            revision: record.revision,
            r#type: record.type_name(),
            version: record.entry.as_ref().map(|entry| entry.version),
            hint: record.hint,
            data: None,
            bytes: None,
            segment: record.segment.get(),
            offset: record.offset,
            len_bytes: record.frame_len,
        }
    }
}

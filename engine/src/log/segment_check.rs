//! What is checked within one segment beyond its CRCs: its type table, its records, its footer.

use crate::log::piece::{Damage, Severity};
use crate::log::verify_report::Depth;
use crate::{
    Codec, DefectKind, Footer, FooterBuilder, Frame, GapRange, GapReason, Gaps, Kind, Mark, OperatorAction, Recovered,
    RunOpened, SegmentHeader, SegmentNumber, TypeRegistered, TypeTable,
};
use serde::de::IgnoredAny;
use taffrail_log_format::{Checkpoint, layout};

/// The state of the segment that is being walked over.
#[derive(Debug)]
pub(crate) struct SegmentCheck {
    /// The number in the file's name.
    pub(crate) name: SegmentNumber,
    pub(crate) number: SegmentNumber,
    pub(crate) header: Option<SegmentHeader>,
    depth: Depth,
    /// The summary of the frames so far; `None` behind the footer, or where something is missing.
    builder: Option<FooterBuilder>,
    footer_at: Option<u64>,
    /// Origin length and digest, once sealed and without damage.
    pub(crate) origin: Option<(u64, [u8; 32])>,
    pub(crate) types: TypeTable,
    /// Whether all types are in the table: nothing has been lost that may have registered one.
    pub(crate) types_complete: bool,
    pub(crate) events: u64,
    /// Of these, how many have another payload than they were appended with.
    pub(crate) redacted: u64,
    pub(crate) lost: u64,
    pub(crate) worst: Severity,
    pub(crate) has_finding: bool,
    pub(crate) sealed: bool,
}

impl SegmentCheck {
    pub(crate) fn new(
        name: SegmentNumber,
        number: SegmentNumber,
        header: Option<&SegmentHeader>,
        depth: Depth,
    ) -> SegmentCheck {
        SegmentCheck {
            name,
            number,
            header: header.cloned(),
            depth,
            builder: header.map(|header| FooterBuilder::new(header.first_seq, header.time_floor_ns)),
            footer_at: None,
            origin: None,
            types: TypeTable::new(),
            types_complete: true,
            events: 0,
            redacted: 0,
            lost: 0,
            worst: Severity::Clean,
            has_finding: false,
            sealed: false,
        }
    }

    /// Takes what the walk has told of, so that it is not told of twice.
    pub(crate) fn note(&mut self, damage: &Damage) {
        self.has_finding = true;
        self.worst = self.worst.max(damage.severity);
        self.lost = self.lost.saturating_add(damage.lost_count());
        if damage.severity >= Severity::Damaged && !damage.range.is_empty() {
            let in_header = damage.range.end <= layout::FIRST_FRAME;
            if !in_header {
                (self.builder, self.origin, self.types_complete) = (None, None, false);
            }
        }
    }

    fn finding(&self, kind: DefectKind, frame: &Frame<'_>) -> Damage {
        Damage { header: Some(frame.header), ..Damage::new(kind, Some(self.name), frame.offset..frame.end()) }
    }

    /// Checks a frame whose CRCs are good.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, before: Option<&TypeTable>) -> Vec<Damage> {
        let mut found = Vec::new();
        let payload = frame.payload();
        let kind = frame.header.kind;
        if frame.offset == layout::FIRST_FRAME && kind != Kind::TYPE_TABLE {
            found.push(self.finding(DefectKind::TypeTable, frame).saying("the type table", kind.to_string()));
            self.types_complete = false;
        }
        match kind {
            Kind::TYPE_TABLE => found.extend(self.type_table(frame, &payload, before)),
            Kind::FOOTER => found.extend(self.footer(frame, &payload)),
            Kind::SEAL => found.extend(self.seal(frame, &payload)),
            Kind::GAPS if self.is_rewritten() && has_lost_events(&payload) => self.types_complete = false,
            _ => {}
        }
        if !matches!(kind, Kind::FOOTER | Kind::SEAL)
            && let Some(builder) = &mut self.builder
        {
            builder.observe(&frame.header, frame.header_bytes(), frame.offset, &payload);
        }
        if kind.takes_seq() {
            self.events += 1;
            self.redacted += u64::from(frame.header.redacted);
        }
        if kind == Kind::TYPE_REGISTERED {
            found.extend(self.register(frame, &payload));
        } else if kind.is_reserved() {
            found.extend(self.record(frame, &payload));
        } else {
            found.extend(self.user(frame, &payload));
        }
        found
    }

    /// Whether this is not the segment as it was appended to, but what a repair made of it.
    fn is_rewritten(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.generation > 0)
    }

    fn type_table(&mut self, frame: &Frame<'_>, payload: &[u8], before: Option<&TypeTable>) -> Option<Damage> {
        let finding = self.finding(DefectKind::TypeTable, frame);
        match TypeTable::decode(payload) {
            Ok(table) => {
                let differs = before.is_some_and(|before| match self.is_rewritten() {
                    // What was registered further on is in the table that a rewrite begins with.
                    true => before.rows().any(|(kind, entry)| table.get(kind) != Some(entry)),
                    false => *before != table,
                });
                self.types = table;
                differs.then(|| finding.saying("the types at the end of the segment before", "others"))
            }
            Err(malformed) => {
                self.types_complete = false;
                Some(finding.saying("a type table", malformed.to_string()))
            }
        }
    }

    fn register(&mut self, frame: &Frame<'_>, payload: &[u8]) -> Option<Damage> {
        let finding = self.finding(DefectKind::TypeTable, frame);
        match TypeRegistered::decode(payload) {
            Err(malformed) => {
                self.types_complete = false;
                Some(finding.saying("a registration", malformed.to_string()))
            }
            Ok(registered) => match self.types.register(registered) {
                Err(known) if self.is_rewritten() && self.types.get(known.kind) == Some(&known.entry) => None,
                Err(refused) if self.types_complete => {
                    Some(finding.saying("a new type and the next kind", format!("kind {}", refused.kind.get())))
                }
                _ => None,
            },
        }
    }

    /// The bodies of the log's own records.
    fn record(&self, frame: &Frame<'_>, payload: &[u8]) -> Option<Damage> {
        let header = &frame.header;
        let unreadable = match header.kind {
            Kind::TYPE_TABLE | Kind::FOOTER | Kind::SEAL | Kind::GAPS => None,
            kind if kind.reserved_name().is_none() => {
                let mut finding = self.finding(DefectKind::TypeTable, frame);
                finding.severity = Severity::Incompatible;
                let finding = finding.saying("a kind that this build knows", kind.to_string());
                return (!header.flags.hint).then_some(finding);
            }
            _ if self.depth < Depth::Decode => None,
            Kind::RUN_OPENED => RunOpened::decode(payload).err(),
            Kind::CHECKPOINT => Checkpoint::decode(payload).err(),
            Kind::MARK => Mark::decode(payload).err(),
            Kind::OPERATOR_ACTION => OperatorAction::decode(payload).err(),
            Kind::RECOVERED => Recovered::decode(payload).err(),
            _ => None,
        };
        let say = |malformed: taffrail_log_format::wire::Malformed| {
            let finding = self.finding(DefectKind::RecordBody, frame);
            finding.saying(format!("the body of {}", header.kind), malformed.to_string())
        };
        unreadable.map(say)
    }

    /// An application's event: its type is known, and its payload is what the type says.
    fn user(&self, frame: &Frame<'_>, payload: &[u8]) -> Option<Damage> {
        let Some(entry) = self.types.get(frame.header.kind) else {
            let finding = self.finding(DefectKind::TypeTable, frame);
            let finding = finding.saying("a registered type", frame.header.kind.to_string());
            return self.types_complete.then_some(finding);
        };
        if self.depth < Depth::Decode || entry.codec != Codec::Json {
            return None;
        }
        let error = serde_json::from_slice::<IgnoredAny>(payload).err()?;
        Some(self.finding(DefectKind::PayloadCodec, frame).saying("JSON", error.to_string()))
    }

    fn footer(&mut self, frame: &Frame<'_>, payload: &[u8]) -> Option<Damage> {
        self.footer_at = Some(frame.offset);
        let footer = match Footer::decode(payload) {
            Ok(footer) => footer,
            Err(malformed) => {
                self.builder = None;
                return Some(self.finding(DefectKind::Footer, frame).saying("a footer", malformed.to_string()));
            }
        };
        let computed = self.builder.take().map(|builder| builder.finish(None));
        if !self.types_complete {
            self.types = footer.types.clone();
        }
        let mut computed = computed?;
        let first_origin = self.header.as_ref().and_then(|header| header.origin);
        computed.origin = first_origin.unwrap_or(computed.origin);
        self.origin = Some(computed.origin);
        let differing = [
            (footer.next_seq != computed.next_seq || footer.events != computed.events, "count"),
            (footer.time_max_ns != computed.time_max_ns, "time"),
            (footer.origin != computed.origin, "digest"),
            (footer.types != computed.types, "types"),
            (footer.index != computed.index, "index"),
            (footer.runs != computed.runs, "runs"),
        ];
        let names: Vec<&str> = differing.iter().filter(|(differs, _)| *differs).map(|(_, name)| *name).collect();
        let finding = self.finding(DefectKind::FooterMismatch, frame);
        (!names.is_empty()).then(|| finding.saying("a summary of the frames", format!("other {}", names.join(", "))))
    }

    fn seal(&mut self, frame: &Frame<'_>, payload: &[u8]) -> Option<Damage> {
        self.sealed = true;
        let target = payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let bad = payload.len() != 8 || (self.footer_at.is_some() && target != self.footer_at);
        let finding = self.finding(DefectKind::Footer, frame);
        bad.then(|| finding.saying("the offset of the footer", format!("{target:?}")))
    }
}

/// Whether a record of absences tells of events that were lost: one of them may have registered a type.
fn has_lost_events(payload: &[u8]) -> bool {
    let is_lost = |range: &GapRange| range.reason == GapReason::Damaged;
    Gaps::decode(payload).is_ok_and(|gaps| gaps.ranges().iter().any(is_lost))
}

//! A segment with other payloads in the place of some.

use super::rewrite::{Admit, Content, rewrite_changed};
use super::survey::Survey;
use crate::error::{Error, Result};
use crate::log::segment::Segment;
use crate::storage::{OpenMode, Storage};
use crate::{ErrorKind, Gaps, Header, SegmentNumber, TypeEntry};

/// What takes the place of an event's payload, by its header, its type and the payload; `None` to keep it.
pub(crate) type Change<'a> = &'a mut dyn FnMut(&Header, Option<&TypeEntry>, &[u8]) -> Option<Vec<u8>>;

/// Rewrites a segment, sealed, with what `change` puts in the place of payloads; everything else stays byte for byte but for
/// where it stands. Its generation is higher than before, and than `above_generation`. `admit` sees the new file before it is
/// put in its place. The caller holds the lock.
///
/// # Errors
/// `Damaged` where there is damage in it, which has to be repaired first; `Io`.
pub(crate) fn redact_segment(
    storage: &dyn Storage,
    number: SegmentNumber,
    above_generation: u32,
    change: Change<'_>,
    admit: Admit<'_>,
) -> Result<()> {
    let segment = Segment::open(storage, number, OpenMode::Read)?;
    let survey = Survey::read(&segment)?;
    if let Some(bad) = survey.bad.first() {
        let message = format!("segment {number} is damaged, and has to be repaired before it is redacted");
        return Err(Error::new(ErrorKind::Damaged, "T0308", message)
            .segment(number)
            .offset(bad.bytes.start)
            .hint("taffrail log repair"));
    }
    let mut header = survey.header.clone();
    header.generation = header.generation.max(above_generation) + 1;
    let gaps = Gaps::new(survey.recorded.clone())
        .ok_or_else(|| Error::new(ErrorKind::Damaged, "T0308", "the absences of a segment overlap").segment(number))?;
    let content = Content {
        header,
        types: &survey.types,
        gaps,
        kept: &survey.kept,
        next_seq: survey.next_seq,
        origin: survey.origin,
    };
    let mut of_type = |header: &Header, payload: &[u8]| change(header, survey.types.get(header.kind), payload);
    rewrite_changed(storage, Some(&segment), &content, &mut of_type, admit)
}

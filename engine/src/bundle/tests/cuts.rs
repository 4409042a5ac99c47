//! Where a log is cut that somebody writes to, compacts, or has lost a part of.

use super::kit::{
    Content, batch_of, bundle_bytes, bytes_of, events, fill, memory, opened, options, put, sample, severity, shelf,
};
use crate::Severity;
use crate::bundle::{Bundle, export};
use crate::storage::{OpenMode, Storage, write_all_at};
use std::ops::ControlFlow;
use std::sync::Arc;

#[test]
fn a_bundle_beside_a_writer_ends_at_the_durable_head() {
    let store = memory();
    fill(&store, &sample());
    let journal = options().sync(crate::SyncPolicy::Never).open_on(Arc::clone(&store)).unwrap();
    let durable = journal.durable();
    journal.append(batch_of(1, &[(1, 9)], None)).unwrap();
    let (bytes, report) = bundle_bytes(&store, None);
    assert_eq!((report.durable, report.events_behind > 0), (durable, true), "{report:?}");
    journal.sync().unwrap();
    let (later, report) = bundle_bytes(&store, None);
    assert_eq!((report.durable, report.events_behind), (journal.durable(), 0));
    assert_ne!(bytes, later);
    assert_eq!(severity(&opened(&bytes).unwrap()), Severity::Clean);
    // A store whose watermark is lost tells less, and nothing that is wrong.
    journal.close().unwrap();
    store.remove("watermark").unwrap();
    let (bytes, report) = bundle_bytes(&store, None);
    assert!(report.durable <= durable + 2 && report.events_behind > 0, "{report:?}");
    assert_eq!(severity(&opened(&bytes).unwrap()), Severity::Clean);
}

/// A cut took only the watermark file for evidence of what is durable. That file is not written while appends are queued, so a
/// bundle made beside a busy writer could lack what had been acknowledged long before it was begun. And where the newest
/// segment had no watermark yet, a frame that was half written was called damage.
#[test]
fn a_cut_takes_what_later_frames_say_was_durable_and_leaves_out_what_is_half_written() {
    let store = memory();
    fill(&store, &sample());
    let journal = options().open_on(Arc::clone(&store)).unwrap();
    let old_mark = bytes_of(&*store, "watermark");
    let mut ends = Vec::new();
    for _ in 0..3 {
        journal.append(batch_of(1, &[(1, 40), (2, 40)], None)).unwrap();
        ends.push(journal.durable());
    }
    let file = store.open("watermark", OpenMode::Write).unwrap();
    write_all_at(&*file, 0, &old_mark).unwrap();
    let (bytes, report) = bundle_bytes(&store, None);
    assert_eq!((report.durable, report.events_behind), (ends[1], ends[2] - ends[1]), "{report:?}");
    assert_eq!(severity(&opened(&bytes).unwrap()), Severity::Clean);
    // Half of a frame at the end, and no watermark for this segment.
    store.remove("watermark").unwrap();
    let newest = crate::Listing::read(&*store).unwrap().newest().unwrap();
    let segment = store.open(&format!("segments/{}", newest.file_name()), OpenMode::Write).unwrap();
    let content = bytes_of(&*store, &format!("segments/{}", newest.file_name()));
    let end = content.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(8);
    write_all_at(&*segment, end as u64, &[0xA6; 20]).unwrap();
    let (again, report) = bundle_bytes(&store, None);
    assert_eq!(report.durable, ends[1], "{report:?}");
    assert!(again == bytes, "what is behind the cut is not in the bundle");
}

#[test]
fn an_archive_has_a_bundle_of_its_own_with_all_of_it() {
    let store = memory();
    fill(&store, &sample());
    let archive = shelf();
    archive.create_dir("segments").unwrap();
    let listing = crate::Listing::read(&*store).unwrap().segments;
    for (number, _) in &listing[..listing.len() - 1] {
        let name = format!("segments/{}", number.file_name());
        put(&*archive, &name, &bytes_of(&*store, &name));
    }
    let expected = events(&archive);
    let (bytes, report) = bundle_bytes(&archive, None);
    assert_eq!(expected.last().map(|event| event.0), Some(report.durable));
    let bundle: Arc<dyn Storage> = Arc::new(opened(&bytes).unwrap());
    assert_eq!(events(&bundle), expected);
    assert_eq!(severity(&*bundle), Severity::Clean);
}

/// A segment that was put in another one's place while it was copied went into the bundle with the length of the old one: cut
/// off, and called whole.
#[test]
fn a_segment_that_is_rewritten_while_it_is_copied_is_copied_anew() {
    let store = memory();
    fill(&store, &Content { config: false, ..sample() });
    let expected = events(&store);
    let target = shelf();
    let mut rewritten = 0;
    // After each piece, in turn, another segment is replaced by one that is longer.
    let mut replace = |_: &'static str, _: u64, _: u64| {
        if rewritten < 2 {
            rewritten += 1;
            let number = crate::SegmentNumber::new(rewritten).unwrap();
            let mut change = |header: &crate::Header, _: Option<&crate::TypeEntry>, payload: &[u8]| {
                let is_ours = !header.kind.is_reserved() && payload.len() == 300;
                is_ours.then(|| vec![b'"'; 900])
            };
            crate::repair::redact_segment(&*store, number, 0, &mut change, &mut |_| Ok(())).unwrap();
        }
        ControlFlow::Continue(())
    };
    export(&store, None, &*target, "b", &mut replace).unwrap();
    assert_eq!(rewritten, 2);
    let bundle: Arc<dyn Storage> = Arc::new(Bundle::open(target, "b").unwrap());
    assert_eq!(severity(&*bundle), Severity::Clean);
    let there = events(&bundle);
    assert_eq!(there.len(), expected.len());
    assert!(there == events(&store) && there != expected, "as it is after the last of them");
}

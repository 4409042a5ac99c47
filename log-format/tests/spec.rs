//! `docs/format.md` against the code: its tables, its limits, its bodies and its worked examples.

#![allow(clippy::panic, reason = "a test's verdict")]

use std::collections::BTreeMap;
use taffrail_log_format::crc32c;
use taffrail_log_format::{
    DefectKind, Flags, FooterBuilder, FrameFields, Kind, LogId, RunOpened, SegmentKey, SegmentNumber, Seq, TypeEntry,
    TypeTable, apply_mask, encode_frame, layout,
};

const PAGE: &str = include_str!("../../docs/format.md");

/// The rows of the table that follows a mark `<!-- name -->`, without its two head lines.
fn table(name: &str) -> Vec<Vec<&'static str>> {
    let mark = format!("<!-- {name} -->\n");
    assert_eq!(PAGE.matches(&mark).count(), 1, "the mark of {name}");
    let (_, behind) = PAGE.split_once(&mark).expect("counted");
    let lines = behind.lines().take_while(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// (offset, size, field) of a table of the page.
fn fields(name: &str) -> Vec<(usize, usize, String)> {
    table(&format!("table: {name}")).iter().map(|row| (number(row[0]), number(row[1]), row[2].to_owned())).collect()
}

/// The names of a source file's field offsets, in order: those constants of its `layout` module whose documentation tells
/// of bytes in the structure, which are the ones above its length.
fn field_names(source: &'static str, last: &str) -> Vec<String> {
    let (_, module) = source.split_once("pub mod layout {").expect("a layout module");
    let (module, _) = module.split_once("\n}").expect("its end");
    let names = module.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split_once(": usize"));
    let mut names: Vec<_> = names.map(|(name, _)| name.to_lowercase()).collect();
    let end = names.iter().position(|name| name == last).expect("the structure's length");
    names.truncate(end);
    names
}

macro_rules! offsets {
    ($module:path; $($name:ident)*) => {{
        use $module as module;
        vec![$((stringify!($name).to_lowercase(), module::$name)),*]
    }};
}

fn check_layout(name: &str, source: &'static str, last: &str, offsets: &[(String, usize)], len: usize) {
    let named: Vec<_> = offsets.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(named, field_names(source, last), "{name}: the fields in the source and in this test");
    let ends = offsets.iter().skip(1).map(|(_, offset)| *offset).chain([len]);
    let expected: Vec<_> =
        offsets.iter().zip(ends).map(|((field, start), end)| (*start, end - start, field.clone())).collect();
    assert_eq!(fields(name), expected, "{name}");
}

#[test]
fn the_byte_tables_are_the_ones_of_the_code() {
    let block = offsets!(layout::block; MAGIC FORMAT_VERSION READER_FLOOR NUMBER LOG_ID GENERATION COVERS_FROM FIRST_SEQ
        CREATED_NS TIME_FLOOR_NS PREDECESSOR_LEN PREDECESSOR_DIGEST ORIGIN_LEN ORIGIN_DIGEST SYNC_POLICY SYNC_PADDING
        SYNC_INTERVAL_MS UNUSED CRC);
    check_layout("block", include_str!("../src/block.rs"), "len_bytes", &block, layout::block::LEN_BYTES);
    let frame = offsets!(layout::frame; HEADER_CRC LEN_MARK SEQ RUN TIME_NS LAG REVISION PAYLOAD_CRC KIND MASK FLAGS);
    let len = layout::frame::HEADER_LEN_BYTES;
    check_layout("frame", include_str!("../src/frame.rs"), "header_len_bytes", &frame, len);
    let watermark =
        offsets!(layout::watermark; MAGIC SEGMENT LOG_ID COUNTER OFFSET DURABLE LAST_FRAME LAST_FRAME_CRC CRC);
    check_layout(
        "watermark",
        include_str!("../src/watermark.rs"),
        "len_bytes",
        &watermark,
        layout::watermark::LEN_BYTES,
    );
}

#[test]
fn the_kinds_and_the_flags_are_the_ones_of_the_code() {
    let kinds: Vec<_> = table("table: kinds").iter().map(|row| (number(row[0]), row[1], row[2])).collect();
    let expected: Vec<_> = (1..16)
        .filter_map(Kind::new)
        .filter_map(|kind| Some((usize::from(kind.get()), kind.reserved_name()?, kind.takes_seq())))
        .map(|(number, name, takes_seq)| (number, name, if takes_seq { "yes" } else { "no" }))
        .collect();
    assert_eq!(kinds, expected);
    assert!(PAGE.contains(&format!("User types begin at {}:", Kind::FIRST_USER.get())));

    use layout::frame::{FLAG_HINT, FLAG_MORE, FLAG_REDACTED, FLAGS_CONSTANT, FLAGS_CRITICAL_UNKNOWN, MARK};
    let mut flags: BTreeMap<&str, u8> = BTreeMap::new();
    for row in table("table: flags") {
        *flags.entry(row[1]).or_default() |= 1 << number(row[0]);
    }
    let all = FLAG_MORE | FLAG_HINT | FLAG_REDACTED | FLAGS_CRITICAL_UNKNOWN | FLAGS_CONSTANT;
    assert_eq!(all, u8::MAX, "each bit has its meaning");
    let expected = [
        ("more", FLAG_MORE),
        ("hint", FLAG_HINT),
        ("critical", FLAGS_CRITICAL_UNKNOWN),
        ("constant", FLAGS_CONSTANT),
        ("redacted", FLAG_REDACTED),
    ];
    assert_eq!(flags, BTreeMap::from(expected));
    assert_eq!((table("table: flags").len(), MARK), (8, 0xA6));
}

#[test]
fn the_limits_are_the_ones_of_the_code() {
    let limit = |len: u64| usize::try_from(len).expect("small");
    let expected = [
        ("MAX_PAYLOAD_LEN_BYTES", layout::MAX_PAYLOAD_LEN_BYTES),
        ("MAX_BATCH_LEN_BYTES", limit(layout::MAX_BATCH_LEN_BYTES)),
        ("FRAME_ALIGN_BYTES", limit(layout::FRAME_ALIGN_BYTES)),
        ("SECTOR_LEN_BYTES", limit(layout::SECTOR_LEN_BYTES)),
        ("HEADER_LEN_BYTES", layout::frame::HEADER_LEN_BYTES),
        ("SEAL_LEN_BYTES", limit(layout::SEAL_LEN_BYTES)),
        ("FIRST_BLOCK", limit(layout::FIRST_BLOCK)),
        ("SECOND_BLOCK", limit(layout::SECOND_BLOCK)),
        ("FIRST_FRAME", limit(layout::FIRST_FRAME)),
        ("MAX_ROWS", TypeTable::MAX_ROWS),
        ("MAX_TABLE_LEN_BYTES", TypeTable::MAX_LEN_BYTES),
        ("MAX_NAME_LEN_BYTES", TypeEntry::MAX_NAME_LEN_BYTES),
        ("MAX_DESCRIPTOR_LEN_BYTES", TypeEntry::MAX_DESCRIPTOR_LEN_BYTES),
        ("MAX_RUN_NAME_LEN_BYTES", RunOpened::MAX_NAME_LEN_BYTES),
        ("INDEX_STRIDE_BYTES", limit(FooterBuilder::INDEX_STRIDE_BYTES)),
        ("FILE_LEN_BYTES", layout::watermark::FILE_LEN_BYTES),
        ("FORMAT_VERSION", usize::from(layout::FORMAT_VERSION)),
    ];
    let limits: Vec<_> = table("table: limits").iter().map(|row| (row[0], number(row[1]))).collect();
    assert_eq!(limits, expected);
    let (_, module) = include_str!("../src/lib.rs").split_once("pub mod layout {").expect("a layout module");
    for line in module.lines().filter_map(|line| line.trim().strip_prefix("pub const ")) {
        let (name, _) = line.split_once(':').expect("a constant");
        assert!(expected.iter().any(|(known, _)| *known == name), "{name} has no row");
    }
}

#[test]
fn every_defect_has_a_row() {
    let names: Vec<_> = table("table: defects").iter().map(|row| row[0]).collect();
    assert_eq!(names, DefectKind::ALL.map(DefectKind::name));
}

/// Reads a body by the page's own tables, as a stranger would; the position behind it.
fn read_type(name: &str, body: &[u8], at: usize) -> usize {
    if let Some(inner) = name.strip_prefix("list of ") {
        let (count, at) = read_unsigned(body, at);
        return (0..count).fold(at, |at, _| read_type(inner, body, at));
    }
    if let Some(inner) = name.strip_prefix("option of ") {
        assert!(body[at] < 2, "a flag at {at}");
        return if body[at] == 1 { read_type(inner, body, at + 1) } else { at + 1 };
    }
    match name {
        "uint" | "sint" | "seq" => {
            let (value, end) = read_unsigned(body, at);
            assert!(name != "seq" || value > 0);
            end
        }
        "byte" => at + 1,
        "flag" => {
            assert!(body[at] < 2, "a flag at {at}");
            at + 1
        }
        "digest" => at + 32,
        "u64" => at + 8,
        "text" | "bytes" => {
            let (len, at) = read_unsigned(body, at);
            let end = at + usize::try_from(len).expect("small");
            assert!(name != "text" || std::str::from_utf8(&body[at..end]).is_ok());
            end
        }
        other => table(&format!("body: {other}")).iter().fold(at, |at, row| read_type(row[0], body, at)),
    }
}

fn read_unsigned(body: &[u8], at: usize) -> (u64, usize) {
    let len = match body[at] {
        251 => 2,
        252 => 4,
        253 => 8,
        small => return (u64::from(small), at + 1),
    };
    let mut value = [0; 8];
    value[..len].copy_from_slice(&body[at + 1..=at + len]);
    (u64::from_le_bytes(value), at + 1 + len)
}

#[test]
#[allow(clippy::disallowed_methods, reason = "golden files are files")]
fn the_golden_bodies_are_read_by_the_tables_of_the_page() {
    let mut read = 0;
    for name in (1..16).filter_map(Kind::new).filter_map(Kind::reserved_name) {
        let path = format!("{}/tests/golden/body-{name}-v1.bin", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(read_type(name, &body, 0), body.len(), "{name}");
        read += 1;
    }
    // Beside the kinds there are the three rows that lists hold, and the row of a type.
    assert_eq!(PAGE.matches("<!-- body: ").count(), read + 4);
    let wire: Vec<_> = table("table: wire").iter().map(|row| row[0]).collect();
    let known = ["uint", "sint", "seq", "byte", "flag", "text", "bytes", "digest", "option of T", "list of T", "u64"];
    assert_eq!(wire, known);
}

/// The lines of a fenced block.
fn block(name: &str) -> String {
    let (_, behind) = PAGE.split_once(&format!("```{name}\n")).unwrap_or_else(|| panic!("no block {name}"));
    behind.split_once("```").expect("the block's end").0.to_owned()
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let digits: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("{:02}  {}\n", line * 16, digits.join(" "));
    }
    text
}

#[test]
fn the_worked_examples_are_what_the_code_makes() {
    let log_id = LogId(std::array::from_fn(|byte| u8::try_from(byte).expect("below sixteen")));
    let seq = |number| Seq::new(number).expect("not zero");
    let mut keystream = [0; 24];
    apply_mask(log_id, seq(3), 1, &mut keystream);
    assert_eq!(block("keystream"), dump(&keystream));

    let fields = FrameFields {
        seq: seq(3),
        run: Some(seq(2)),
        revision: 2,
        time_ns: 1_700_000_000_000_000_000,
        durable: 2,
        kind: Kind::FIRST_USER,
        flags: Flags::default(),
    };
    let mut frame = Vec::new();
    let key = SegmentKey::new(log_id, SegmentNumber::FIRST);
    encode_frame(&mut frame, &key, 4680, &fields, b"hello").expect("a frame");
    assert_eq!(block("frame"), dump(&frame));
    assert_eq!(crc32c(b"hello"), 0x9A71_BB4C);
    // The page's own account of the header CRC.
    let by_hand = [&log_id.0[..], &[1, 0, 0, 0], &[0x48, 0x12, 0, 0, 0, 0, 0, 0], &frame[4..48]].concat();
    assert_eq!(frame[..4], crc32c(&by_hand).to_le_bytes());
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
}

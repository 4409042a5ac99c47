//! Any bytes as any body: what is accepted is encoded to the same bytes again, so each value has one encoding.

use taffrail_log_format::crc32c;
use taffrail_log_format::{
    Checkpoint, Footer, Gaps, Mark, OperatorAction, RawBlock, Recovered, RunOpened, TypeRegistered, TypeTable,
};

/// The target.
pub fn run(bytes: &[u8]) {
    macro_rules! again {
        ($($body:ty)*) => {$(
            if let Ok(body) = <$body>::decode(bytes) {
                assert_eq!(body.encode(), bytes, "{body:?}");
            }
        )*};
    }
    again!(Checkpoint Footer Gaps Mark OperatorAction Recovered RunOpened TypeRegistered TypeTable);
    if let Ok(gaps) = Gaps::decode(bytes) {
        for range in gaps.ranges() {
            assert_eq!(gaps.covering(range.first), Some(range));
            assert!(gaps.skip(range.first) > range.last);
        }
    }
    if let Ok(table) = TypeTable::decode(bytes) {
        for (kind, row) in table.rows() {
            assert_eq!(table.find(&row.name, &row.variant, row.version), Some(kind));
        }
    }
    // A header block with its CRC put right.
    if let Some(block) = bytes.first_chunk::<512>() {
        let mut block = *block;
        let crc = crc32c(&block[..508]);
        block[508..].copy_from_slice(&crc.to_le_bytes());
        if let Ok(header) = RawBlock::new(&block).check(0) {
            assert_eq!(RawBlock::new(&header.encode()).check(0), Ok(header));
        }
    }
}

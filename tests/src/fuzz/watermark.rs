//! Any bytes as a watermark file, as they are and with their CRCs put right.

use taffrail_log_format::crc32c;
use taffrail_log_format::{WatermarkSlots, layout::watermark as layout};

/// The target.
pub fn run(bytes: &[u8]) {
    let _slots = WatermarkSlots::read(bytes);
    let mut file = bytes.to_vec();
    for start in layout::SLOTS.map(|at| usize::try_from(at).expect("small")) {
        if let Some(slot) = file.get_mut(start..start + layout::LEN_BYTES) {
            let crc = crc32c(&slot[..layout::CRC]);
            slot[layout::CRC..].copy_from_slice(&crc.to_le_bytes());
        }
    }
    let slots = WatermarkSlots::read(&file);
    if let Some(newest) = slots.newest {
        let written = newest.encode();
        let at = layout::SLOTS.map(|at| usize::try_from(at).expect("small"));
        assert!(at.iter().any(|at| file.get(*at..*at + layout::LEN_BYTES) == Some(&written[..])));
        assert!(layout::SLOTS.contains(&newest.slot_offset()));
    }
}

//! Members, block by block.

use super::kit::shelf;
use crate::blob::Digest;
use crate::bundle::{BLOCK_LEN_BYTES, member};
use crate::storage::{OpenMode, StorageFile, read_full_at};
use std::sync::Arc;

#[test]
fn blocks_of_every_length_read_back_at_every_place() {
    let shelf = shelf();
    let file = shelf.open("x", OpenMode::CreateNew).unwrap_or_else(|_| shelf.open("x", OpenMode::Write).unwrap());
    for len in [0, 1, BLOCK_LEN_BYTES - 1, BLOCK_LEN_BYTES, BLOCK_LEN_BYTES + 1, 2 * BLOCK_LEN_BYTES + 77] {
        let mut state = 7_u32;
        let content: Vec<u8> = (0..len)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at % 5000 < 2500 { state.to_be_bytes()[0] } else { 7 }
            })
            .collect();
        let mut sink = member::Sink::new(&*file);
        let mut writer = member::MemberWriter::new(&mut sink);
        content.chunks(997).for_each(|chunk| writer.push(chunk).unwrap());
        let member = writer.finish("config.toml").unwrap();
        assert_eq!((member.len_bytes, member.digest), (len as u64, Digest::of(&content)));
        let shared: Arc<dyn StorageFile> = shelf.open("x", OpenMode::Read).unwrap().into();
        let read = member::MemberFile::open(shared, &member).unwrap();
        for start in [0, 1, len / 2, len.saturating_sub(3), len, len + 9] {
            let mut buffer = vec![0; 300_000];
            let count = read_full_at(&read, start as u64, &mut buffer).unwrap();
            let expected = content.get(start..).unwrap_or_default();
            assert_eq!(buffer[..count], expected[..expected.len().min(300_000)], "{len} {start}");
        }
    }
}

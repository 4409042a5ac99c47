//! Files in memory, changed as an input says.

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use taffrail::storage::{Memory, OpenMode, Storage, write_all_at};
use taffrail_log_format::{Crc32c, crc32c};
use taffrail_log_format::{RawHeader, layout};

/// Files by name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A storage that holds these files.
pub(super) fn storage(files: &Files) -> Memory {
    let memory = Memory::new();
    memory.create_dir("").expect("the root");
    for (name, bytes) in files {
        let mut directory = String::new();
        for part in name.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
            directory = if directory.is_empty() { part.to_owned() } else { format!("{directory}/{part}") };
            memory.create_dir(&directory).expect("a directory");
        }
        let file = memory.open(name, OpenMode::CreateNew).expect("each name once");
        write_all_at(&*file, 0, bytes).expect("memory");
    }
    memory
}

/// The files of a storage, directories of one level included.
pub(super) fn files(storage: &dyn Storage) -> Files {
    let mut found = Files::new();
    let mut left = vec![String::new()];
    while let Some(directory) = left.pop() {
        for entry in storage.list(&directory).unwrap_or_default() {
            let name = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
            match entry.kind {
                taffrail::storage::EntryKind::Directory => left.push(name),
                _ => {
                    let file = storage.open(&name, OpenMode::Read).expect("listed");
                    let mut bytes = vec![0; usize::try_from(entry.len_bytes).expect("small")];
                    taffrail::storage::read_full_at(&*file, 0, &mut bytes).expect("memory");
                    found.insert(name, bytes);
                }
            }
        }
    }
    found
}

/// Changes files until the input is used up, sixteen times at most.
pub(super) fn apply(files: &mut Files, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    for _ in 0..16 {
        if input.is_empty() || files.is_empty() {
            return Ok(());
        }
        let name = files.keys().nth(input.choose_index(files.len())?).cloned().expect("in range");
        one(files, &name, input)?;
    }
    Ok(())
}

fn one(files: &mut Files, name: &str, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let others: Vec<Vec<u8>> = files.values().cloned().collect();
    let file = files.get_mut(name).expect("it is listed");
    let place = |input: &mut Unstructured<'_>, len: usize| -> arbitrary::Result<usize> {
        let at = usize::try_from(input.arbitrary::<u32>()?).expect("64 bits");
        Ok(at.checked_rem(len).unwrap_or(0))
    };
    let at = place(input, file.len())?;
    match input.int_in_range(0..=8_u8)? {
        0 if at < file.len() => file[at] ^= 1 << input.int_in_range(0..=7_u8)?,
        1 => {
            let bytes = input.arbitrary::<[u8; 8]>()?;
            let count = input.int_in_range(1..=8_usize)?;
            for (to, byte) in file.iter_mut().skip(at).zip(&bytes[..count]) {
                *to = *byte;
            }
        }
        2 => file.truncate(at),
        3 => {
            let len = usize::from(input.arbitrary::<u16>()?);
            file.iter_mut().skip(at).take(len).for_each(|byte| *byte = 0);
        }
        4 => {
            let len = usize::from(input.arbitrary::<u16>()?);
            file.resize(file.len() + len, input.arbitrary()?);
        }
        5 => {
            // A piece of some file, the same or another one, at a multiple of eight as frames are.
            let from = &others[input.choose_index(others.len())?];
            let start = place(input, from.len())? / 8 * 8;
            let len = usize::from(input.arbitrary::<u16>()?);
            for (to, byte) in file.iter_mut().skip(at / 8 * 8).zip(from.iter().skip(start).take(len)) {
                *to = *byte;
            }
        }
        6 => {
            files.remove(name);
        }
        7 => {
            let bytes = others[input.choose_index(others.len())?].clone();
            files.insert(name.to_owned(), bytes);
        }
        _ => {
            let number = input.int_in_range(1..=6_u32)?;
            let bytes = file.clone();
            files.insert(format!("segments/{number:010}.seg"), bytes);
        }
    }
    Ok(())
}

/// Puts the CRCs of headers and blocks right, which no fuzzer finds: what lies behind proven headers is to be reached.
pub(super) fn put_right(name: &str, bytes: &mut [u8]) {
    let Some(number) = name.strip_prefix("segments/").and_then(|name| name.strip_suffix(".seg")) else { return };
    let Ok(number) = number.parse::<u32>() else { return };
    for at in [0, 4096] {
        if let Some(block) = bytes.get_mut(at..at + 512).filter(|block| block.starts_with(b"taffrail")) {
            let crc = crc32c(&block[..508]);
            block[508..].copy_from_slice(&crc.to_le_bytes());
        }
    }
    let Some(log_id) = bytes.get(16..32).map(<[u8]>::to_vec) else { return };
    let first = usize::try_from(layout::FIRST_FRAME).expect("small");
    for at in (first..bytes.len().saturating_sub(47)).step_by(8) {
        if !RawHeader::new(&bytes[at..]).is_some_and(|raw| raw.looks_like_header()) {
            continue;
        }
        let crc = Crc32c::default().then(&log_id).then(&number.to_le_bytes()).then(&(at as u64).to_le_bytes());
        let crc = crc.then(&bytes[at + 4..at + 48]).value();
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

//! Bundles that were cut off, changed, forged, or made of a damaged log.

use super::kit::{bundle_bytes, fill, go_on, import_into, memory, opened, options, sample};
use crate::bundle::{TRAILER_MAGIC, import};
use crate::storage::{Memory, OpenMode, Storage, write_all_at};
use std::sync::Arc;

/// Every cut and many flipped bits of a bundle: refused, or without effect on what a check covers.
#[test]
fn a_cut_or_flipped_bundle_is_refused_before_anything_is_written() {
    let store = memory();
    fill(&store, &sample());
    let (bytes, _) = bundle_bytes(&store, None);
    let refused = |spoiled: &[u8], what: &str| {
        let there: Arc<dyn Storage> = Arc::new(Memory::new());
        let failure = import_into(&there, spoiled).expect_err(what);
        assert!(matches!(failure.error.code(), "T0170" | "T0171" | "T0165"), "{what}: {failure}");
        assert!(there.list("").is_err(), "{what}: not even a directory was made");
    };
    for len in (0..bytes.len()).step_by(397).chain(bytes.len() - 70..bytes.len()) {
        refused(&bytes[..len], &format!("cut at {len}"));
    }
    let padding: Vec<usize> = {
        let manifest = opened(&bytes).unwrap();
        let ends = manifest.manifest().members.iter().map(|member| member.offset + member.stored_len_bytes);
        ends.flat_map(|end| end..end.next_multiple_of(8)).map(|at| usize::try_from(at).unwrap()).collect()
    };
    // A snapshot can be made anew: damage to one refuses nothing else.
    let of_snapshots: Vec<std::ops::Range<usize>> = {
        let bundle = opened(&bytes).unwrap();
        let members = bundle.manifest().members.iter().filter(|member| member.path.starts_with("snapshots/"));
        let range = |at: u64, len: u64| usize::try_from(at).unwrap()..usize::try_from(at + len).unwrap();
        members.map(|member| range(member.offset, member.stored_len_bytes)).collect()
    };
    for at in (0..bytes.len()).step_by(261).chain(0..16).chain(bytes.len() - 64..bytes.len()) {
        if !padding.contains(&at) && !of_snapshots.iter().any(|range| range.contains(&at)) {
            let mut spoiled = bytes.clone();
            spoiled[at] ^= 1 << (at % 8);
            refused(&spoiled, &format!("bit {at}"));
        }
    }
}

/// A bundle with this manifest in the place of its own.
fn forged(bytes: &[u8], change: &dyn Fn(&mut serde_json::Value)) -> Vec<u8> {
    let number = |at: usize| usize::try_from(u64::from_le_bytes(*bytes[at..].first_chunk().unwrap())).unwrap();
    let trailer = bytes.len() - 64;
    let offset = number(trailer + 8);
    let mut manifest: serde_json::Value = serde_json::from_slice(&bytes[offset..trailer]).unwrap();
    change(&mut manifest);
    let text = serde_json::to_vec(&manifest).unwrap();
    let mut forged = bytes[..offset].to_vec();
    forged.extend_from_slice(&text);
    let start = forged.len();
    forged.extend_from_slice(&TRAILER_MAGIC);
    forged.extend_from_slice(&(offset as u64).to_le_bytes());
    forged.extend_from_slice(&(text.len() as u64).to_le_bytes());
    forged.extend_from_slice(blake3::hash(&text).as_bytes());
    forged.extend_from_slice(&[0; 4]);
    let crc = taffrail_log_format::crc32c(&forged[start..]);
    forged.extend_from_slice(&crc.to_le_bytes());
    forged
}

#[test]
fn a_hostile_manifest_is_refused_with_a_code() {
    let store = memory();
    fill(&store, &sample());
    let (bytes, _) = bundle_bytes(&store, None);
    assert!(opened(&forged(&bytes, &|_| {})).is_ok(), "the forgery itself is well made");
    let paths = [
        "../evil",
        "/etc/passwd",
        "segments/../../x",
        "segments/1.seg",
        "segments//0000000001.seg",
        "LOCK",
        "runs.idx",
        "blobs/../x",
        "quarantine/x",
        "snapshots/../../x.snap",
        "snapshots/a/b/c.snap",
        "",
        ".",
        "config.toml\0",
        "segments/0000000000.seg",
        "archive/x/segments/0000000001.seg",
        "snapshots/x\\y.snap",
    ];
    for path in paths {
        let spoiled = forged(&bytes, &|manifest| manifest["members"][0]["path"] = path.into());
        assert_eq!(opened(&spoiled).expect_err(path).code(), "T0171", "{path}");
    }
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, &str, Change); 13] = [
        ("twice", "T0171", |m| m["members"][1] = m["members"][0].clone()),
        ("order", "T0171", |m| m["members"].as_array_mut().unwrap().reverse()),
        ("huge", "T0171", |m| m["members"][0]["len_bytes"] = u64::MAX.into()),
        ("bomb", "T0171", |m| m["members"][0]["len_bytes"] = (1_u64 << 50).into()),
        ("far", "T0171", |m| m["members"][0]["offset"] = (1_u64 << 50).into()),
        ("overlap", "T0171", |m| m["members"][1]["offset"] = m["members"][0]["offset"].clone()),
        ("stored", "T0171", |m| m["members"][0]["stored_len_bytes"] = u64::MAX.into()),
        ("unknown field", "T0170", |m| m["members"][0]["link"] = "x".into()),
        ("log id", "T0171", |m| m["log_id"] = "x".into()),
        ("neither whole nor a run", "T0171", |m| m["whole"] = false.into()),
        ("newer", "T0165", |m| m["format"] = 2.into()),
        ("newer schema", "T0165", |m| m["schema"] = "taffrail.bundle/2".into()),
        ("no members", "T0171", |m| m["members"] = serde_json::json!([])),
    ];
    for (what, code, change) in changes {
        assert_eq!(opened(&forged(&bytes, &change)).expect_err(what).code(), code, "{what}");
    }
    let other_log = forged(&bytes, &|m| m["log_id"] = "00000000000000000000000000000001".into());
    let there: Arc<dyn Storage> = Arc::new(Memory::new());
    assert_eq!(import_into(&there, &other_log).expect_err("another log").error.code(), "T0171");
    let other_digest = forged(&bytes, &|m| {
        let segment =
            m["members"].as_array_mut().unwrap().iter_mut().find(|it| it["path"] == "segments/0000000001.seg");
        segment.unwrap()["digest"] = "0".repeat(64).into();
    });
    assert_eq!(import_into(&there, &other_digest).expect_err("another digest").error.code(), "T0170");
    assert!(there.list("").is_err());
}

#[test]
fn a_damaged_log_goes_into_a_bundle_as_it_is_and_comes_out_only_where_that_is_wanted() {
    let store = memory();
    fill(&store, &sample());
    let file = store.open("segments/0000000001.seg", OpenMode::Write).unwrap();
    write_all_at(&*file, 5000, &[0xEE; 3]).unwrap();
    let (bytes, _) = bundle_bytes(&store, None);
    let there = memory();
    assert_eq!(import_into(&there, &bytes).expect_err("damaged").error.code(), "T0174");
    let bundle = opened(&bytes).unwrap();
    let imported = import(&bundle, &there, options(), true, &mut go_on).unwrap();
    assert!(imported.restored && imported.notes.len() == 2, "{imported:?}");
    assert_eq!(bundle_bytes(&there, None).0, bytes);
}

//! What an engine does with a damaged log. Every step runs in its own process; the writer leaves
//! by _exit after durable appends, as a crash would, so no clean-shutdown file can mask the damage.
use crate::arguments::Arguments;
use crate::child::{emit, leave};
use crate::payload::{Gen, marker, seq_of};
use crate::peer::Mode;
use crate::peers;
use crate::results::Results;
use crate::suite::spawn;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use taffrail_compare_report::APPENDED_BEHIND_FAULT;

const N: u64 = 300;
const MID: u64 = 150;
const SIZE: usize = 1024;

pub const FAULTS: [(&str, &str); 8] = [
    ("none", "reopen after a crash, no damage"),
    ("cut_tail", "file cut 500 bytes before the end of its data (torn last record)"),
    ("zero_tail", "last 1,500 bytes of data overwritten with zeros (size persisted, data not)"),
    ("zero_extend", "64 KiB of zeros appended after the end of data"),
    ("garbage_extend", "4 KiB of random bytes appended after the end of data"),
    ("flip_payload", "one bit flipped in the payload of event 150"),
    ("flip_header", "one bit flipped 6 bytes before the payload of event 150"),
    ("zero_page", "the 4 KiB page holding event 150 zeroed"),
];

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    if let Ok(rd) = std::fs::read_dir(dir) {
        for e in rd.flatten() {
            let p = e.path();
            if p.is_dir() { files(&p, out) } else { out.push(p) }
        }
    }
}
fn find(h: &[u8], n: &[u8]) -> Vec<usize> {
    let mut v = vec![];
    let mut i = 0;
    while i + n.len() <= h.len() {
        match h[i..].windows(n.len()).position(|w| w == n) {
            Some(o) => {
                v.push(i + o);
                i += o + n.len();
            }
            None => break,
        }
    }
    v
}

/// Damages the log under `dir`; says what it did.
fn damage(dir: &Path, fault: &str) -> Result<String> {
    if fault == "none" {
        return Ok(String::new());
    }
    let mut fs = vec![];
    files(dir, &mut fs);
    // The data files: those that hold the wanted event in the clear.
    let want = match fault {
        "flip_payload" | "flip_header" | "zero_page" => MID,
        _ => N - 1,
    };
    let m = marker(want);
    let mut said = vec![];
    for p in fs {
        let mut d = std::fs::read(&p)?;
        let at = find(&d, m.as_bytes());
        if at.is_empty() {
            continue;
        }
        let name = p.strip_prefix(dir)?.display().to_string();
        let end = d.iter().rposition(|&b| b != 0).unwrap() + 1;
        match fault {
            "cut_tail" => d.truncate(end - 500),
            "zero_tail" => d[end - 1500..end].fill(0),
            "zero_extend" => {
                let n = d.len().max(end + (64 << 10));
                d.resize(n, 0)
            }
            "garbage_extend" => {
                let mut g = vec![0u8; 4096];
                let mut x = 7;
                for b in &mut g {
                    x = crate::payload::mix(x);
                    *b = x as u8 | 1;
                }
                d.resize(d.len().max(end + 4096), 0);
                d[end..end + 4096].copy_from_slice(&g);
            }
            "flip_payload" => at.iter().for_each(|&a| d[a + 600] ^= 0x10),
            "flip_header" => at.iter().for_each(|&a| d[a - 6] ^= 0x10),
            "zero_page" => at.iter().for_each(|&a| {
                let s = (a + 300) & !4095;
                let e = (s + 4096).min(d.len());
                d[s..e].fill(0)
            }),
            _ => bail!("no such fault"),
        }
        // In place: keep the inode, as the damage would.
        let f = std::fs::OpenOptions::new().write(true).open(&p)?;
        use std::os::unix::fs::FileExt;
        f.write_all_at(&d, 0)?;
        f.set_len(d.len() as u64)?;
        said.push(format!("{name}@{end} x{}", at.len()));
    }
    if said.is_empty() {
        bail!("event {want} not found in the clear in any file");
    }
    Ok(said.join(" "))
}

pub fn child(a: &Arguments) -> Result<()> {
    let peer = peers::by_name(a.needed("peer")?).context("no such peer")?;
    let dir = PathBuf::from(a.needed("dir")?);
    let mut g = Gen::new(SIZE);
    match a.needed("op")? {
        "write" => {
            std::fs::create_dir_all(&dir)?;
            let mut l = peer.open(&dir, Mode::Durable)?;
            for i in 0..N {
                l.append_durable(g.event(i))?;
            }
            std::mem::forget(l);
            emit(&json!({"ok": true}));
        }
        "read" => {
            let r = (|| -> Result<Value> {
                let mut l = match peer.open(&dir, Mode::Durable) {
                    Ok(l) => l,
                    Err(e) => return Ok(json!({"stage": "open", "error": format!("{e:#}")})),
                };
                let (mut n, mut wrong, mut holes, mut next) = (0u64, 0u64, 0u64, 0u64);
                let r = l.replay(&mut |p| {
                    n += 1;
                    match seq_of(p) {
                        Some(s) if p == g.event(s) => {
                            if s != next {
                                holes += 1;
                            }
                            next = s + 1;
                        }
                        _ => {
                            wrong += 1;
                            next += 1;
                        }
                    }
                });
                let mut v = json!({"events": n, "wrong": wrong, "jumps": holes, "next": next});
                if let Err(e) = r {
                    v["stage"] = json!("replay");
                    v["error"] = json!(format!("{e:#}"));
                }
                // Does it accept new events, and are they there after the next open?
                if a.get("append").is_some() {
                    let mut g2 = Gen::new(SIZE);
                    let r = (|| -> Result<()> {
                        for i in 0..APPENDED_BEHIND_FAULT {
                            l.append(g2.event(5000 + i))?;
                        }
                        l.sync()
                    })();
                    v["append"] = json!(match r {
                        Ok(()) => "ok".to_string(),
                        Err(e) => format!("{e:#}"),
                    });
                }
                if a.get("close").is_some() {
                    v["close"] = json!(match l.close() {
                        Ok(()) => "ok".to_string(),
                        Err(e) => format!("{e:#}"),
                    });
                } else {
                    std::mem::forget(l);
                }
                Ok(v)
            })()?;
            emit(&r);
        }
        o => bail!("no such op {o}"),
    }
    leave()
}

fn verdict(v: &Value) -> String {
    if let Some(x) = v.get("died").and_then(|d| d.as_str()) {
        return x.to_string();
    }
    let e = v.get("error").and_then(|e| e.as_str()).map(|e| {
        let e = e.replace('\n', " ");
        e.chars().take(90).collect::<String>()
    });
    let n = v["events"].as_u64().unwrap_or(0);
    let w = v["wrong"].as_u64().unwrap_or(0);
    let j = v["jumps"].as_u64().unwrap_or(0);
    match (v["stage"].as_str(), e) {
        (Some("open"), Some(e)) => format!("refuses to open: {e}"),
        (_, Some(e)) => {
            format!("{n} events{}, then error: {e}", if w > 0 { format!(" ({w} WRONG)") } else { String::new() })
        }
        _ => format!(
            "{n} events{}{}, no error",
            if w > 0 { format!(" ({w} WRONG)") } else { String::new() },
            if j > 0 { format!(" (HOLE x{j})") } else { String::new() }
        ),
    }
}

/// Every fault on every peer.
pub fn all(arguments: &Arguments, results: &mut Results) -> Result<()> {
    let base = arguments.data().join("faults");
    for peer in peers::all() {
        let name = peer.name();
        if name.starts_with("floor") || !arguments.wants_peer(name) {
            continue;
        }
        for (fault, _) in FAULTS {
            let directory = base.join(name).join(fault);
            let _nothing_there = std::fs::remove_dir_all(&directory);
            let mut row =
                json!({"kind": "fault", "w": "faults", "peer": name, "version": peer.meta().version, "fault": fault});
            one(name, fault, &directory, &mut row);
            results.put(&row)?;
            let _nothing_there = std::fs::remove_dir_all(&directory);
        }
    }
    Ok(())
}

fn one(peer: &str, fault: &str, directory: &Path, row: &mut Value) {
    let place = directory.display().to_string();
    let child = |operation: &[&str]| {
        let common = ["fault-child", "--peer", peer, "--dir", place.as_str(), "--op"];
        spawn(&[&common[..], operation].concat(), 60)
    };
    let written = child(&["write"]);
    if written.get("died").is_some() {
        row["write_failed"] = written;
        return;
    }
    match damage(directory, fault) {
        Ok(damage) => row["damage"] = json!(damage),
        Err(error) => {
            row["not_applicable"] = json!(error.to_string());
            return;
        }
    }
    let first = child(&["read", "--append", "1"]);
    let again = child(&["read"]);
    row["append"] = first["append"].clone();
    row["verdict"] = json!(verdict(&first));
    row["verdict_reopened"] = json!(verdict(&again));
}

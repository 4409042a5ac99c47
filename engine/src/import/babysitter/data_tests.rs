//! Every real journal at hand, read in place. Skipped, with a line that says so, where there is none.

use super::test_support::{Items, Tree};
use super::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn data_directory() -> Option<PathBuf> {
    let root = std::env::var_os("TAFFRAIL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let directory = root.join("babysitter");
    if !directory.is_dir() {
        eprintln!("skipped: no journals at {} (set TAFFRAIL_DATA)", directory.display());
        return None;
    }
    Some(directory)
}

fn read_all(directory: &Path) -> BTreeMap<String, Items> {
    let tree = Tree::load(directory);
    let discovery = discover(&tree, &Limits::default()).expect("listed");
    assert_eq!(discovery.oddities, []);
    let read = |run: &RunLocation| (run.directory.clone(), Items::read(&tree, run, Limits::default()));
    discovery.runs.iter().map(read).collect()
}

fn count(items: &Items, code: OddityCode) -> usize {
    items.oddities.iter().filter(|oddity| oddity.code == code).count()
}

#[test]
fn every_checksum_of_the_current_version_is_valid() {
    let Some(directory) = data_directory() else { return };
    let runs = read_all(&directory.join("sdk-6.0.0"));
    assert_eq!(runs.len(), 15);
    let mut events = 0;
    for (name, items) in &runs {
        assert!(items.errors.is_empty());
        for event in &items.events {
            assert_eq!(event.checksum, Checksum::Valid, "{}", event.file);
            assert!(event.recorded_at_ns.is_some() && event.type_name.is_some());
            let body = shape::EventBody::parse(&event.raw).expect("an event");
            assert!(body.event_type().is_some());
        }
        let expected: &[_] = match name.as_str() {
            "process-error-recovered" => {
                &[("backup-beside-journal", "process-error-recovered/journal.process-error.bak.1795339258884")]
            }
            "process-error-unrecovered" => &[("run-id-differs", "process-error-unrecovered/run.json")],
            _ => &[],
        };
        assert_eq!(items.codes(), expected, "{name}");
        events += items.events.len();
    }
    assert_eq!(events, 716, "722 files, 6 of them in a backup");
}

#[test]
fn the_damaged_runs_are_read_whole() {
    let Some(directory) = data_directory() else { return };
    let runs = read_all(&directory.join("damaged"));
    let codes = |name: &str| runs[name].oddities.iter().map(|oddity| oddity.code).collect::<Vec<_>>();
    assert_eq!(runs["race-two-writers-broken"].events.len(), 82);
    assert_eq!(count(&runs["race-two-writers-broken"], OddityCode::DuplicateSeq), 4);
    assert_eq!(codes("lock-torn"), [OddityCode::RunIdDiffers, OddityCode::TornLock]);
    for (name, in_backup) in [
        ("corrupt-truncated-requested", OddityCode::EmptyFile),
        ("corrupt-flip-value", OddityCode::WrongChecksum),
        ("corrupt-clock-back", OddityCode::UlidStepsBack),
    ] {
        assert_eq!(codes(name), [OddityCode::RunIdDiffers, OddityCode::BackupBesideJournal, in_backup], "{name}");
        let backups = runs[name].files.iter().filter(|file| file.kind == FileKind::JournalBackup).count();
        assert_eq!(backups, 8, "{name}");
    }
}

#[test]
fn older_and_sanitised_journals_are_read_whole() {
    let Some(directory) = data_directory() else { return };
    let runs = read_all(&directory.join("repo-history"));
    assert_eq!(runs.values().map(|items| items.events.len()).sum::<usize>(), 661);
    assert_eq!(runs.values().map(|items| count(items, OddityCode::WrongChecksum)).sum::<usize>(), 658);
    assert_eq!(runs.values().map(|items| items.errors.len()).sum::<usize>(), 0);
    let smoke = &runs["2026-01-20-sdk-cli-fixture/cli-smoke"];
    assert_eq!(count(smoke, OddityCode::UlidStepsBack), 1);
    assert_eq!(count(smoke, OddityCode::RecordedAtStepsBack), 2);
    assert!(smoke.events.iter().all(|event| event.checksum == Checksum::Valid));
}

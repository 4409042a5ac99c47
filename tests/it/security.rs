//! The rows of docs/security.md that no other test shows.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use crate::imports::make_run;
use crate::kit::{Directory, command, run, snapshot};
use crate::reading_only::filled;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent").to_path_buf()
}

/// Every Rust source of the programs, tests left out, as (path below the root, text).
fn program_sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = ["cli/src", "engine/src", "log-format/src"].map(|path| root().join(path)).into();
    while let Some(directory) = left.pop() {
        for entry in directory.read_dir().expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let is_test = name.contains("test") || name == "conformance.rs";
            if path.is_dir() && name != "tests" {
                left.push(path);
            } else if name.ends_with(".rs") && !is_test {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                let below = path.strip_prefix(root()).expect("below it").to_string_lossy().into_owned();
                found.push((below, program));
            }
        }
    }
    assert!(found.len() > 100, "the sources were not found");
    found
}

fn naming(words: &[&str]) -> BTreeSet<String> {
    let sources = program_sources().into_iter();
    sources.filter(|(_, text)| words.iter().any(|word| text.contains(word))).map(|(path, _)| path).collect()
}

#[test]
fn a_store_ignores_itself_in_version_control() {
    let directory = Directory::new("ignored");
    let store = filled(&directory);
    assert_eq!(std::fs::read_to_string(store.join(".gitignore")).expect("it is there"), "*\n");
    let git = |words: &[&str]| {
        Command::new("git").current_dir(directory.path()).args(words).stderr(Stdio::null()).output().ok()
    };
    // Where there is git, it is asked.
    if git(&["init", "-q"]).is_some_and(|output| output.status.success()) {
        let seen = git(&["status", "--porcelain", "--untracked-files=all"]).expect("git runs");
        let seen = String::from_utf8(seen.stdout).expect("UTF-8");
        let of_store = format!("{}/", store.file_name().expect("a name").to_string_lossy());
        assert!(!seen.contains(&of_store), "{seen}");
    }
}

#[test]
fn every_file_of_a_store_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "022", "277"] {
        let directory = Directory::new("modes");
        let store = directory.path().join("store");
        let source = directory.path().join("source");
        make_run(&source, "run", 3);
        std::fs::write(source.join("run/notes.txt"), "a prompt").expect("written");
        let script = format!(
            "umask {umask}; set -e; \"$0\" store init -q; \"$0\" log import \"$1\" >/dev/null; \
             for n in 1 2 3; do \"$0\" log append --create --run r --type t $n >/dev/null; done; \
             \"$0\" snap create run >/dev/null; \"$0\" log mark here >/dev/null"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_taffrail-under-test")]).arg(&source);
        shell.env("TAFFRAIL_STORE", &store).env("XDG_CONFIG_HOME", "/nonexistent");
        let output = shell.output().expect("a shell");
        assert!(output.status.success(), "umask {umask}: {}", String::from_utf8_lossy(&output.stderr));
        let made = snapshot(&store);
        assert!(made.len() > 12 && made.keys().any(|path| path.to_string_lossy().contains("/blobs/")), "{made:?}");
        for path in made.keys() {
            let metadata = path.symlink_metadata().expect("it is there");
            let due = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.mode() & 0o7777, due, "umask {umask}: {}", path.display());
        }
    }
}

#[test]
fn a_forged_record_of_a_repair_leads_nowhere_outside_of_the_store() {
    // An OperatorAction that says a repair has kept its originals in a directory far above the store: an undo that believed
    // it would put whatever is there into the log.
    for kept_in in ["../outside", "/etc", "quarantine/../../outside", "quarantine/link"] {
        let directory = Directory::new("forged");
        let store = directory.store();
        let outside = directory.path().join("outside");
        std::fs::create_dir(&outside).expect("a directory");
        let text = "a segment of somebody else";
        let name = format!("segment-0000000001.{}.bin", &taffrail_digest(text)[..16]);
        std::fs::write(outside.join(&name), text).expect("written");
        std::fs::create_dir_all(store.join("quarantine")).expect("a directory");
        std::os::unix::fs::symlink(&outside, store.join("quarantine/link")).expect("a link");
        let detail = format!("{{\"kept_in\":\"{kept_in}\",\"segments\":[{{\"segment\":1,\"action\":\"rewrite\"}}]}}");
        let action = taffrail::OperatorAction {
            verb: "repair".to_owned(),
            plan: [7; 32],
            reason: "none".to_owned(),
            actor: "uid:0".to_owned(),
            detail,
        };
        forge(&store, &action);
        let before = snapshot(&store);
        let undo = run(&store, &["store", "undo", "--json"], "");
        assert_ne!(undo.exit, Some(0), "{kept_in}: {}", undo.data);
        let code = undo.error()["code"].as_str().expect("a code").to_owned();
        assert!(["T0309", "T0314", "T0404"].contains(&code.as_str()), "{kept_in}: {}", undo.notes);
        assert!(snapshot(&store) == before, "{kept_in}");
    }
}

fn taffrail_digest(text: &str) -> String {
    taffrail::blob::Digest::of(text.as_bytes()).to_string()
}

/// Puts an event of the log's own into a store, behind its last one, as anybody can who may write its files.
fn forge(store: &Path, action: &taffrail::OperatorAction) {
    use taffrail_log_format::{Flags, FrameFields, Kind, Scanner, SegmentHeader, SegmentKey, Step, encode_frame};
    let path = store.join("segments/0000000001.seg");
    let mut bytes = std::fs::read(&path).expect("a segment");
    let (header, _) = SegmentHeader::read(&bytes[..512], &bytes[4096..4608]).expect("a header");
    let key = SegmentKey::new(header.log_id, header.number);
    let mut scanner = Scanner::new(key, 4608, Some(header.first_seq));
    while let Step::Frame(_) = scanner.step(&bytes[usize::try_from(scanner.offset()).expect("small")..], true) {}
    let seq = scanner.expected().expect("a seq");
    let fields = FrameFields {
        seq,
        run: None,
        revision: 0,
        time_ns: 1,
        durable: seq.get() - 1,
        kind: Kind::OPERATOR_ACTION,
        flags: Flags::default(),
    };
    let mut frame = Vec::new();
    encode_frame(&mut frame, &key, scanner.offset(), &fields, &action.encode()).expect("a frame");
    let at = usize::try_from(scanner.offset()).expect("small");
    bytes[at..at + frame.len()].copy_from_slice(&frame);
    std::fs::write(&path, bytes).expect("written");
    let _stale = std::fs::remove_file(store.join("LOCK"));
}

/// The limit that the page states first: nothing is signed.
#[test]
fn whoever_can_write_a_store_can_forge_an_event_and_verify_calls_it_clean() {
    let directory = Directory::new("forgery");
    let store = filled(&directory);
    let action = taffrail::OperatorAction {
        verb: "approve".to_owned(),
        plan: [0; 32],
        reason: "never given".to_owned(),
        actor: "uid:0".to_owned(),
        detail: "{}".to_owned(),
    };
    forge(&store, &action);
    let verified = run(&store, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(0), "{}", verified.data);
    let last = run(&store, &["log", "dump", "head", "--json"], "");
    let all = run(&store, &["log", "dump", "-o", "jsonl"], "");
    assert!(all.data.contains("never given"), "{} {}", last.data, all.data);
}

#[test]
fn deep_or_large_json_is_refused_and_not_recursed_into() {
    let directory = Directory::new("deep");
    let store = filled(&directory);
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    let line = format!("{{\"run\":\"r\",\"type\":\"t\",\"data\":{deep}}}\n");
    let appended = run(&store, &["log", "append", "--json"], &line);
    assert_eq!((appended.exit, appended.error()["code"].as_str()), (Some(2), Some("T0147")), "{}", appended.notes);
    let export = directory.path().join("export.jsonl");
    std::fs::write(&export, format!("{deep}\n")).expect("written");
    let imported = run(&store, &["log", "import", "--json", "--from", "jsonl", export.to_str().expect("UTF-8")], "");
    assert_eq!((imported.exit, imported.error()["code"].as_str()), (Some(2), Some("T0161")), "{}", imported.notes);
    let condition = format!("{}a{}", "(".repeat(200_000), ")".repeat(200_000));
    let dumped =
        command(&store, &["log", "dump", "--json", "--where", &condition[..100_000]]).output().expect("it runs");
    assert_eq!(dumped.status.code(), Some(2), "{}", String::from_utf8_lossy(&dumped.stderr));
}

/// 512 MiB of address space hold the binary, its stacks and every window that reading takes, whatever the bytes say.
#[test]
fn hostile_segments_are_read_in_bounded_memory() {
    let directory = Directory::new("memory");
    let store = filled(&directory);
    let segment = store.join("segments/0000000001.seg");
    let sound = std::fs::read(&segment).expect("a segment");
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for case in 0..12 {
        let mut bytes = sound.clone();
        match case % 4 {
            // Lengths and counts that lie: every byte of a stretch is all ones.
            0 => bytes[4608 + case * 97..4608 + case * 97 + 64].fill(0xFF),
            1 => (0..400).for_each(|_| {
                let at = usize::try_from(random()).expect("small") % 20_000;
                bytes[at] = u8::try_from(random() % 256).expect("a byte");
            }),
            2 => bytes.resize(40 << 20, 0x5A),
            _ => bytes.extend_from_slice(&sound.repeat(200)),
        }
        std::fs::write(&segment, &bytes).expect("written");
        for words in [
            &["log", "dump", "-o", "jsonl"][..],
            &["log", "verify"],
            &["log", "stat"],
            &["run", "list"],
            &["store", "info"],
        ] {
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -v 524288; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_taffrail-under-test")]);
            shell.args(words).env("TAFFRAIL_STORE", &store).env("XDG_CONFIG_HOME", "/nonexistent");
            let output = shell.stdout(Stdio::null()).output().expect("a shell");
            let notes = String::from_utf8_lossy(&output.stderr);
            let exit = output.status.code();
            assert!(matches!(exit, Some(0 | 1 | 3 | 4 | 8)), "case {case} {words:?}: {:?} {notes}", output.status);
        }
    }
}

fn is_dangerous(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn no_text_output_carries_a_character_that_moves_a_cursor_or_reorders_a_line(
        run_name in "[a-z\u{202e}\u{2066}\u{200f}é日]{1,12}x",
        texts in proptest::collection::vec(any::<String>(), 1..4),
        hidden in "[\\x00-\\x1f\\x7f-\\x9f\u{200e}-\u{202e}]{1,20}",
    ) {
        let directory = Directory::new("escape");
        let store = directory.store();
        let mut lines = String::new();
        for text in texts.iter().chain([&hidden]) {
            let data = serde_json::json!({ "run": run_name, "type": "t", "data": { hidden.clone(): text } });
            lines.push_str(&format!("{data}\n"));
        }
        let appended = run(&store, &["log", "append", "--create"], &lines);
        prop_assert_eq!(appended.exit, Some(0), "{}", appended.notes);
        for words in [
            &["log", "dump"][..], &["log", "dump", "-o", "json"], &["log", "dump", "-o", "jsonl"], &["log", "dump", "-o", "hex"],
            &["log", "stat", "--by", "run"], &["log", "verify"], &["log", "export"], &["run", "list"],
            &["run", "show", &run_name], &["run", "show", &hidden], &["log", "dump", "--run", &hidden],
            &["log", "dump", "--where", &hidden], &["state", "show", &run_name], &[hidden.as_str()],
        ] {
            if words.iter().any(|word| word.contains('\0')) {
                continue;
            }
            let answer = run(&store, words, "");
            prop_assert!(!answer.data.contains(is_dangerous), "{:?}: {:?}", words, answer.data);
            prop_assert!(!answer.notes.contains(is_dangerous), "{:?}: {:?}", words, answer.notes);
        }
    }
}

/// What the program is built of, by name; tests and benches left out.
fn dependencies() -> BTreeSet<String> {
    let tree = ["tree", "-p", "taffrail-cli", "--all-features", "-e", "normal", "--prefix", "none", "--offline"];
    let tree = Command::new(env!("CARGO")).args(tree).current_dir(root()).output().expect("cargo");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("UTF-8");
    let names: BTreeSet<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(names.contains("taffrail") && names.len() > 20, "{names:?}");
    names
}

#[test]
fn no_source_names_the_network_and_no_dependency_is_one() {
    let network = ["std::net", "TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "rustix::net"];
    assert_eq!(naming(&network), BTreeSet::new());
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let rustix = manifest.lines().find(|line| line.starts_with("rustix")).expect("rustix");
    assert!(!rustix.contains("\"net\""), "{rustix}");
    let engine = std::fs::read_to_string(root().join("engine/Cargo.toml")).expect("the manifest");
    let tokio = engine.lines().find(|line| line.starts_with("tokio = { workspace = true, optional")).expect("tokio");
    assert!(!tokio.contains("net") && !tokio.contains("full"), "{tokio}");
    let names = dependencies();
    let connects = [
        "socket2",
        "mio",
        "hyper",
        "reqwest",
        "ureq",
        "curl",
        "curl-sys",
        "h2",
        "quinn",
        "rustls",
        "openssl",
        "openssl-sys",
        "native-tls",
        "tungstenite",
        "tonic",
        "attohttpc",
        "isahc",
        "trust-dns-resolver",
        "hickory-resolver",
    ];
    let found: Vec<&&str> = connects.iter().filter(|name| names.contains(**name)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_decompressor_enters_but_a_checked_one() {
    let names = dependencies();
    let inflate = ["flate2", "miniz_oxide", "zstd", "zstd-sys", "brotli", "lz4", "snap", "bzip2", "xz2", "zip", "tar"];
    let found: Vec<&&str> = inflate.iter().filter(|name| names.contains(**name)).collect();
    assert!(found.is_empty(), "{found:?}");
    if names.contains("lz4_flex") {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
        let line = manifest.lines().find(|line| line.starts_with("lz4_flex")).expect("lz4_flex");
        let is_checked = line.contains("default-features = false") && line.contains("\"checked-decode\"");
        assert!(is_checked && line.contains("\"safe-decode\""), "{line}");
    }
}

#[test]
fn no_command_opens_a_socket_or_starts_a_program_that_was_not_asked_for() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success()) {
        println!("SKIPPED: no strace here");
        return;
    }
    let directory = Directory::new("calls");
    let store = filled(&directory);
    let trace = directory.path().join("trace");
    for words in [
        &["log", "append", "--run", "r", "--type", "t", "1"][..],
        &["log", "dump"],
        &["log", "verify"],
        &["log", "stat"],
        &["log", "export"],
        &["log", "repair"],
        &["run", "list"],
        &["state", "show", "r"],
        &["store", "info"],
        &["replay", "--check", "--run", "r"],
        &["snap", "list"],
    ] {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=network,execve,execveat", "-o"]).arg(&trace);
        strace.arg(env!("CARGO_BIN_EXE_taffrail-under-test")).args(words);
        strace.env("TAFFRAIL_STORE", &store).env("XDG_CONFIG_HOME", "/nonexistent");
        let output = strace.stdin(Stdio::null()).output().expect("strace");
        assert!(output.status.code().is_some_and(|code| code < 6), "{words:?} {output:?}");
        let calls = std::fs::read_to_string(&trace).expect("a trace");
        let calls: Vec<&str> = calls.lines().filter(|line| line.contains('(')).collect();
        assert_eq!(calls.len(), 1, "{words:?}: {calls:#?}");
        assert!(calls[0].contains("execve("), "{words:?}: {calls:#?}");
    }
}

#[test]
fn two_commands_start_a_program_and_both_say_so() {
    let starts = naming(&["Command::new(", "process::Command", "posix_spawn", "execve", "libc::fork"]);
    let expected = ["cli/src/command/replay_twin.rs", "cli/src/command/state/bisect.rs"].map(str::to_owned);
    assert_eq!(starts, BTreeSet::from(expected));
    let shells: Vec<String> = naming(&["\"sh\"", "/bin/sh", "\"bash\""]).into_iter().collect();
    assert!(shells.is_empty(), "a command line is never handed to a shell: {shells:?}");
}

#[test]
fn there_is_no_unsafe_code_and_every_crate_is_held_to_that() {
    let found =
        naming(&["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code", "expect(unsafe_code"]);
    assert_eq!(found, BTreeSet::new());
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(workspace.contains("unsafe_code = \"deny\""));
    for crate_directory in ["log-format", "engine", "cli", "tests"] {
        let manifest = std::fs::read_to_string(root().join(crate_directory).join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{crate_directory}");
    }
}

#[test]
fn what_the_program_is_built_of_is_pinned_and_judged() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(packages.len() > 50, "{}", packages.len());
    for package in packages {
        let is_own = ["taffrail", "compare", "lab"].iter().any(|own| package.contains(&format!("name = \"{own}")));
        let is_pinned = package.contains("source = \"registry+https://github.com/rust-lang/crates.io-index\"")
            && package.contains("checksum = \"");
        assert!(is_pinned || is_own, "{package}");
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(manifest.contains("bincode = { version = \"=2.0.1\""));
    let deny = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    for rule in ["unknown-registry = \"deny\"", "unknown-git = \"deny\"", "wildcards = \"deny\"", "RUSTSEC-2025-0141"] {
        assert!(deny.contains(rule), "{rule}");
    }
    let check = std::fs::read_to_string(root().join(".ci/check")).expect(".ci/check");
    assert!(check.contains("cargo deny --all-features check bans licenses sources"));
    assert!(
        check.contains("skipped+=('dependencies: cargo-deny is missing"),
        "a check without it must not pass in silence"
    );
    let names_bincode: Vec<String> = naming(&["bincode::"]).into_iter().collect();
    assert_eq!(names_bincode, ["engine/src/fold/codec.rs"]);
}

//! docs/security.md and docs/durability.md: rows whose evidence exists, and no assurance beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent").to_path_buf()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A row of a table whose columns are statement, status and evidence.
#[derive(Debug)]
struct Row {
    line: usize,
    statement: String,
    status: String,
    evidence: String,
}

/// The rows of a page's tables with those columns.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut in_table = false;
    for (number, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", "statement", "status", "evidence", ""] => in_table = true,
            ["", rule, _, _, ""] if rule.starts_with("---") => {}
            ["", statement, status, evidence, ""] if in_table => rows.push(Row {
                line: number + 1,
                statement: (*statement).to_owned(),
                status: (*status).to_owned(),
                evidence: (*evidence).to_owned(),
            }),
            _ => in_table = false,
        }
    }
    rows
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Evidence {
    may_skip: bool,
    text: String,
}

/// The pieces of an evidence cell: texts in backticks, some of them marked.
fn pieces(cell: &str) -> Vec<Evidence> {
    let mut parts = cell.split('`');
    let mut found = Vec::new();
    while let (Some(before), Some(text)) = (parts.next(), parts.next()) {
        found.push(Evidence { may_skip: before.contains("may skip"), text: text.to_owned() });
    }
    found
}

fn sources(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in directory.read_dir().unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            found.push((path, text));
        }
    }
}

/// What is wrong with a test that is named `PACKAGE:TARGET PATH`.
fn trouble_of_test(package: &str, target: &str, path: &str, may_skip: bool) -> Option<String> {
    let directory = match target {
        "lib" => root().join(package).join("src"),
        "it" => root().join(package).join("it"),
        "format" => root().join(package).join("tests/format"),
        "spec" => root().join(package).join("tests"),
        _ => return Some(format!("there is no target {target}")),
    };
    let (modules, name) = path.rsplit_once("::").unwrap_or(("", path));
    let mut all = Vec::new();
    sources(&directory, &mut all);
    let wanted = format!("fn {name}(");
    let is_in_modules = |file: &Path, text: &str| {
        let below = file.strip_prefix(&directory).expect("below it").with_extension("");
        let parts: BTreeSet<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let mut modules = modules.split("::").filter(|module| !module.is_empty());
        modules.all(|module| parts.contains(module) || text.contains(&format!("mod {module} {{")))
    };
    let text =
        all.iter().find(|(file, text)| text.contains(&wanted) && is_in_modules(file, text)).map(|(_, text)| text);
    let Some(text) = text else { return Some("there is no such test".to_owned()) };
    let (before, behind) = text.split_once(&wanted).expect("it is there");
    let above = before.rsplit_once('\n').map_or("", |(above, _)| above);
    let attributes: Vec<&str> =
        above.lines().rev().map(str::trim).take_while(|line| line.starts_with('#') || line.starts_with("//")).collect();
    if !attributes.contains(&"#[test]") {
        return Some("it is no test".to_owned());
    }
    if attributes.iter().any(|attribute| attribute.starts_with("#[ignore") || attribute.starts_with("#[cfg")) {
        return Some("it is ignored, or not everywhere there".to_owned());
    }
    // A test ends where the next item begins; a helper that may skip is named in it.
    let body = behind.split("\n}\n").next().unwrap_or_default();
    let skips = ["SKIPPED", "skipped:", "::skip(", "Mount::new("].iter().any(|word| body.contains(word));
    match (skips, may_skip) {
        (true, false) => Some("it may skip itself, and the row does not say so".to_owned()),
        (false, true) => Some("it does not skip itself: `may skip` is wrong".to_owned()),
        _ => None,
    }
}

/// What is wrong with a check of the lab.
fn trouble_of_check(name: &str, may_skip: bool) -> Option<String> {
    let directory = root().join("lab/checks");
    let Ok(entries) = directory.read_dir() else { return Some("there is no lab".to_owned()) };
    let files = entries.filter_map(Result::ok).map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default());
    let registered: Vec<String> =
        files.flat_map(|text| text.split("[[check]]").map(str::to_owned).collect::<Vec<_>>()).collect();
    let is_named = |text: &&String| text.lines().any(|line| line.trim() == format!("name = \"{name}\""));
    let Some(check) = registered.iter().find(is_named) else { return Some("there is no such check".to_owned()) };
    // A check that needs something of the machine is skipped where it is not there.
    match (check.lines().any(|line| line.starts_with("needs = [\"")), may_skip) {
        (true, false) => return Some("it may be skipped, and the row does not say so".to_owned()),
        (false, true) => return Some("it is not skipped: `may skip` is wrong".to_owned()),
        (true, true) => return None,
        (false, false) => {}
    }
    let published = std::fs::read_to_string(root().join("docs/lab.json")).unwrap_or_default();
    let published: serde_json::Value = serde_json::from_str(&published).unwrap_or_default();
    let checks = published["checks"].as_array().cloned().unwrap_or_default();
    let of_name = checks.iter().find(|check| check["check"] == name || check["name"] == name);
    let skipped = of_name.is_some_and(|check| !check["skipped"].is_null());
    skipped.then(|| "docs/lab.json says that it was skipped".to_owned())
}

fn trouble(evidence: &Evidence) -> Option<String> {
    let Some((kind, path)) = evidence.text.split_once(' ') else { return Some("it is no evidence".to_owned()) };
    match kind.split_once(':') {
        Some((package, target)) => trouble_of_test(package, target, path, evidence.may_skip),
        None if kind == "lab" => trouble_of_check(path, evidence.may_skip),
        None => Some("it is neither a test nor a check of the lab".to_owned()),
    }
}

/// What is wrong with a page's rows.
fn troubles(page: &str, text: &str) -> Vec<String> {
    let mut troubles = Vec::new();
    for row in rows(text) {
        let mut say = |why: &str| troubles.push(format!("{page}:{}: {}: {why}", row.line, row.statement));
        let evidence = pieces(&row.evidence);
        match row.status.as_str() {
            "deferred" if evidence.is_empty() => {}
            "deferred" => say("a deferred row has no evidence"),
            "normative" => {
                if evidence.iter().all(|piece| piece.may_skip) {
                    say("no evidence that is always run");
                }
                for piece in &evidence {
                    if let Some(why) = trouble(piece) {
                        say(&format!("`{}`: {why}", piece.text));
                    }
                }
            }
            _ => say("the status is neither normative nor deferred"),
        }
    }
    troubles
}

const PAGES: [&str; 2] = ["docs/security.md", "docs/durability.md"];

#[test]
fn every_normative_row_names_evidence_that_exists_and_is_run() {
    let mut seen = 0;
    let mut all = Vec::new();
    for page in PAGES {
        let text = read(page);
        seen += rows(&text).iter().filter(|row| row.status == "normative").count();
        all.extend(troubles(page, &text));
    }
    assert!(all.is_empty(), "{all:#?}");
    assert!(seen > 40, "{seen} normative rows");
    println!(
        "lab-result {{\"check\":\"security-page\",\"promise\":[],\"cases\":{seen},\"failures\":0,\"skipped\":null,\"figures\":{{}}}}"
    );
}

/// The test of the test: each way in which a row can be wrong is found.
#[test]
fn a_row_without_real_evidence_is_found() {
    let head = "| statement | status | evidence |\n|---|---|---|\n";
    let found = |row: &str| troubles("page", &format!("{head}{row}\n")).len();
    assert_eq!(found("| x | deferred | |"), 0);
    assert_eq!(found("| x | normative | `tests:it security_page::a_row_without_real_evidence_is_found` |"), 0);
    for row in [
        "| x | normative | |",
        "| x | normative | none |",
        "| x | normal | `lab bit-flips` |",
        "| x | deferred | `lab bit-flips` |",
        "| x | normative | `tests:it security_page::no_such_test` |",
        "| x | normative | `tests:it repair::a_row_without_real_evidence_is_found` |",
        "| x | normative | `tests:it security_page::rows` |",
        "| x | normative | `tests:nowhere security_page::x` |",
        "| x | normative | `lab no-such-check` |",
        "| x | normative | `lab power-cuts` |",
        "| x | normative | `lab bit-flips`, may skip `lab bit-flips` |",
        "| x | normative | `cargo test` |",
        "| x | normative | `tests:it mounts::on_a_read_only_mount_everything_is_read_and_every_change_is_refused_with_a_code` |",
    ] {
        assert_eq!(found(row), 1, "{row}");
    }
    let marked =
        "may skip `tests:it mounts::on_a_read_only_mount_everything_is_read_and_every_change_is_refused_with_a_code`";
    assert_eq!(found(&format!("| x | normative | {marked} |")), 1, "nothing that is always run");
    assert_eq!(found("| x | normative | `lab bit-flips`, may skip `lab power-cuts` |"), 0);
    let own = "`tests:it security_page::a_row_without_real_evidence_is_found`";
    assert_eq!(found(&format!("| x | normative | {own}, {marked} |")), 0);
    assert_eq!(found(&format!("| x | normative | may skip {own}, {own} |")), 1, "it does not skip");
}

/// Words that assure instead of saying what is the case.
const ASSURANCE: &[&str] = &[
    "secure",
    "securely",
    "secured",
    "safe from",
    "safe against",
    "guarantee",
    "guarantees",
    "guaranteed",
    "tamper-proof",
    "tamperproof",
    "tamper-evident",
    "unbreakable",
    "bulletproof",
    "hardened",
    "airtight",
    "foolproof",
    "fail-safe",
    "immune",
    "invulnerable",
    "unhackable",
    "impossible to",
    "prevents",
    "prevent",
    "protects against",
    "protected against",
    "protects from",
    "military-grade",
    "battle-tested",
    "never loses",
    "never lose",
    "cannot lose",
    "can not lose",
    "cannot be lost",
    "can not be lost",
    "cannot be forged",
    "can not be forged",
    "cannot be changed",
    "can not be changed",
    "cannot be bypassed",
    "can not be bypassed",
    "cannot be broken",
    "can not be broken",
    "always safe",
    "completely safe",
];

/// The lines of a page that assure something: not those of code, not rows with evidence, and not what a comment in the same
/// paragraph (`<!-- shown by: EVIDENCE -->`) gives evidence for.
fn assurances(page: &str, text: &str) -> Vec<String> {
    let evident: BTreeSet<usize> =
        rows(text).iter().filter(|row| row.status == "normative").map(|row| row.line).collect();
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let is_row = evident.contains(&(number + 1));
        if in_code || is_row {
            continue;
        }
        // Inline code is a name, not a claim.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
        for word in ASSURANCE {
            let is_word = prose.match_indices(word).any(|(at, _)| {
                let before = prose[..at].chars().next_back();
                let after = prose[at + word.len()..].chars().next();
                !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
            });
            if is_word && !is_shown(text, number) {
                found.push(format!("{page}:{}: {word:?} in: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// Whether the paragraph of a line gives evidence that holds.
fn is_shown(text: &str, number: usize) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines[..number].iter().rposition(|line| line.is_empty()).map_or(0, |at| at + 1);
    let end = lines[number..].iter().position(|line| line.is_empty()).map_or(lines.len(), |len| number + len);
    let paragraph = lines[start..end].join(" ");
    let Some((_, behind)) = paragraph.split_once("<!-- shown by: ") else { return false };
    let evidence = pieces(behind.split("-->").next().unwrap_or_default());
    evidence.iter().any(|piece| !piece.may_skip) && evidence.iter().all(|piece| trouble(piece).is_none())
}

#[test]
fn no_page_assures_what_no_evidence_shows() {
    let mut pages: Vec<String> = vec!["README.md".to_owned()];
    for entry in root().join("docs").read_dir().expect("docs") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    let mut all: Vec<String> = pages.iter().flat_map(|page| assurances(page, &read(page))).collect();
    for manifest in manifests() {
        all.extend(assurances(&manifest, &description(&read(&manifest))));
    }
    assert!(all.is_empty(), "{all:#?}");
}

/// The manifests of all packages.
fn manifests() -> Vec<String> {
    let entries = root().read_dir().expect("the repository");
    let named = entries.map(|entry| format!("{}/Cargo.toml", entry.expect("an entry").file_name().to_string_lossy()));
    named.filter(|manifest| root().join(manifest).is_file()).collect()
}

/// What a manifest says of its package.
fn description(manifest: &str) -> String {
    let line = manifest.lines().find_map(|line| line.strip_prefix("description = "));
    line.map(|text| text.trim_matches('"').to_owned()).unwrap_or_default()
}

/// The engine was described as a log "that cannot lose what it acknowledged", a word that the pages were not allowed, and which
/// is not so with every policy: nobody looked at what the manifests say, which is what a registry shows of a package first.
#[test]
fn descriptions_of_packages_are_read_as_pages_are() {
    let manifests = manifests();
    for package in ["engine", "cli", "log-format"] {
        let manifest = format!("{package}/Cargo.toml");
        assert!(manifests.contains(&manifest) && !description(&read(&manifest)).is_empty(), "{manifest}");
    }
    let boast = "[package]\nname = \"x\"\ndescription = \"A log that cannot lose what it acknowledged.\"\n";
    assert_eq!(assurances("Cargo.toml", &description(boast)).len(), 1);
}

#[test]
fn an_assurance_is_found_unless_it_is_shown() {
    let count = |text: &str| assurances("page", text).len();
    assert_eq!(count("The log is secure.\n"), 1);
    assert_eq!(count("It guarantees order, and is tamper-proof.\n"), 2);
    assert_eq!(count("`secure` is a name, and insecure another word.\n"), 0);
    assert_eq!(count("```sh\nsecure\n```\n"), 0);
    let row = "| statement | status | evidence |\n|---|---|---|\n| it prevents x | normative | `lab x` |\n";
    assert_eq!(count(row), 0, "whether its evidence holds is another test's matter");
    assert_eq!(count(&row.replace("normative", "deferred")), 1);
    let shown =
        "It prevents x.\n<!-- shown by: `tests:it security_page::an_assurance_is_found_unless_it_is_shown` -->\n";
    assert_eq!(count(shown), 0);
    assert_eq!(count(&shown.replace("unless_it_is_shown", "unless_it_is_not")), 1);
}

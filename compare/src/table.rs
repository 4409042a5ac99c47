//! Results as Markdown: medians, beside the limits of the same run.

use crate::peer::Peer;
use crate::results::{Select, median};
use crate::{peers, promises, runs};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A number as people read it.
pub fn short(number: f64) -> String {
    match number {
        number if !number.is_finite() => "-".into(),
        number if number >= 1e9 => format!("{:.2}G", number / 1e9),
        number if number >= 1e6 => format!("{:.2}M", number / 1e6),
        number if number >= 1e4 => format!("{:.0}k", number / 1e3),
        number if number >= 1e3 => format!("{:.1}k", number / 1e3),
        number if number >= 10.0 => format!("{number:.0}"),
        number => format!("{number:.2}"),
    }
}

fn ratio(number: f64) -> String {
    if number.is_finite() { format!("{number:.2}") } else { "-".into() }
}

struct Tables<'a> {
    rows: &'a [Value],
    peers: Vec<&'static dyn Peer>,
    limits: BTreeMap<String, f64>,
    text: String,
}

/// All tables for which there are results.
pub fn tables<'a>(rows: &'a [Value]) -> String {
    let measured: BTreeSet<&str> = rows.iter().filter_map(|row| row["peer"].as_str()).collect();
    let peers = peers::all().into_iter().filter(|peer| measured.contains(peer.name())).collect();
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["kind"] == "limit") {
        if let (Some(name), Some(value)) = (row["limit"].as_str(), row["value"].as_f64()) {
            values.entry(name.to_owned()).or_default().push(value);
        }
    }
    let limits = values.into_iter().map(|(name, values)| (name, median(values))).collect();
    let mut tables = Tables { rows, peers, limits, text: String::new() };
    tables.environment();
    tables.limits();
    for (workload, table) in [
        ("W1", Tables::buffered as fn(&mut Tables<'a>)),
        ("W2", Tables::durable),
        ("W3", Tables::threads),
        ("W4", Tables::replay),
        ("W5", Tables::opening),
        ("W6", Tables::lookups),
        ("W1", Tables::overhead),
    ] {
        if rows.iter().any(|row| row["w"] == workload) {
            table(&mut tables);
        }
    }
    tables.runs();
    tables.faults();
    tables.text
}

impl Tables<'_> {
    fn line(&mut self, line: &str) {
        let _never_fails = writeln!(self.text, "{line}");
    }

    fn head(&mut self, title: &str, columns: &str) {
        let rule = "|---".repeat(columns.matches('|').count().saturating_sub(1));
        self.line(&format!("\n### {title}\n\n{columns}\n{rule}|"));
    }

    fn limit(&self, name: &str) -> f64 {
        self.limits.get(name).copied().unwrap_or(f64::NAN)
    }

    fn best_limit(&self, names: &[&str]) -> f64 {
        names.iter().map(|name| self.limit(name)).fold(f64::NAN, f64::max)
    }

    fn figure(&self, workload: &str, peer: &str, fields: &[(&str, Value)], figure: &str) -> f64 {
        Select { workload, peer, fields }.median(self.rows, figure)
    }

    /// A figure, or why there is none.
    fn cell(&self, workload: &str, peer: &str, fields: &[(&str, Value)], figure: &str) -> String {
        let select = Select { workload, peer, fields };
        let value = select.median(self.rows, figure);
        match select.died(self.rows) {
            Some(why) if value.is_nan() => why,
            _ => short(value),
        }
    }

    /// A peer's name, with a mark where the judgement leaves it out.
    fn name(&self, peer: &dyn Peer, workload: &str) -> String {
        let mark = if promises::exception(peer.name(), workload).is_some() { " *" } else { "" };
        if peers::is_ours(peer.name()) { format!("**{}**", peer.name()) } else { format!("{}{mark}", peer.name()) }
    }

    fn notes(&mut self, workload: &str) {
        let mut text = String::new();
        if let Some(promise) = promises::PROMISES.iter().find(|promise| promise.workload == workload) {
            let _never_fails = write!(text, "\nPromised: {}.", promise.promise);
        }
        for peer in &self.peers {
            if let Some(reason) = promises::exception(peer.name(), workload) {
                let _never_fails = write!(text, " * {}: {reason}.", peer.name());
            }
        }
        self.line(&text);
    }

    fn environment(&mut self) {
        let Some(machine) = self.rows.iter().find(|row| row["kind"] == "environment").cloned() else { return };
        let told = |name: &str| machine[name].as_str().unwrap_or("-").to_owned();
        let rounds = self.rows.iter().filter_map(|row| row["round"].as_u64()).max().map_or(0, |last| last + 1);
        self.line(&format!(
            "{}: {} cores of {}, {} GiB, {}, Linux {}, {}; medians of {rounds} rounds.",
            told("date"),
            told("cores"),
            told("cpu"),
            told("memory_gib"),
            told("file_system"),
            told("kernel"),
            told("rustc")
        ));
    }

    fn limits(&mut self) {
        if self.limits.is_empty() {
            return;
        }
        self.head("Limits of the machine", "| limit | per second |");
        for (name, value) in self.limits.clone() {
            self.line(&format!("| {} | {} |", name.replace('_', " "), short(value)));
        }
    }

    fn buffered(&mut self) {
        let limit =
            self.best_limit(&["write_300m_64k_fdatasync", "write_300m_256k_fdatasync", "write_300m_1024k_fdatasync"]);
        let title = format!(
            "W1: buffered append, one sync at the end, events/s (x of {}B/s of write + fdatasync)",
            short(limit)
        );
        self.head(&title, "| peer | 128 B | x | 1 KiB | x | 16 KiB | x | peak memory, 1 KiB |");
        for peer in self.peers.clone() {
            let mut line = format!("| {} |", self.name(peer, "W1"));
            for size in [128_u32, 1024, 16 << 10] {
                let fields = [("size", json!(size))];
                let part = self.figure("W1", peer.name(), &fields, "events_per_s") * f64::from(size) / limit;
                let cell = self.cell("W1", peer.name(), &fields, "events_per_s");
                let _never_fails = write!(line, " {cell} | {} |", ratio(part));
            }
            let memory = self.figure("W1", peer.name(), &[("size", json!(1024))], "resident");
            self.line(&format!("{line} {}B |", short(memory)));
        }
        self.notes("W1");
    }

    fn durable(&mut self) {
        let limit = self.limit("zeroed_overwrite_1k_fdatasync");
        let title =
            format!("W2: durable append, one writer, events/s (x of {}/s: fdatasync over written zeros)", short(limit));
        self.head(&title, "| peer | 128 B | 1 KiB | x | p50 us | p99 us | 16 KiB |");
        for peer in self.peers.clone() {
            let cell = |size: u32| self.cell("W2", peer.name(), &[("size", json!(size))], "events_per_s");
            let figure = |figure: &str| self.figure("W2", peer.name(), &[("size", json!(1024))], figure);
            let line = format!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                self.name(peer, "W2"),
                cell(128),
                cell(1024),
                ratio(figure("events_per_s") / limit),
                short(figure("p50_us")),
                short(figure("p99_us")),
                cell(16 << 10)
            );
            self.line(&line);
        }
        self.notes("W2");
    }

    fn threads(&mut self) {
        let limit = self.limit("zeroed_overwrite_1k_fdatasync");
        self.head(
            "W3: durable append, 1 KiB, events/s (x: appends a sync of one thread)",
            "| peer | 8 threads | x | 64 threads | x |",
        );
        for peer in self.peers.clone() {
            let mut line = format!("| {} |", self.name(peer, "W3"));
            for threads in [8, 64] {
                let fields = [("threads", json!(threads))];
                let rate = self.figure("W3", peer.name(), &fields, "events_per_s");
                let cell = self.cell("W3", peer.name(), &fields, "events_per_s");
                let _never_fails = write!(line, " {cell} | {} |", ratio(rate / limit));
            }
            self.line(&line);
        }
        self.notes("W3");
    }

    fn replay(&mut self) {
        let cold = self.limit("read_1m_cold");
        let warm = self.best_limit(&["mmap_read_warm_populate", "mmap_read_warm_fresh_map", "read_1m_warm"]);
        let title = format!(
            "W4: open, replay, verify and fold, payload bytes/s (limits: {}B/s cold, {}B/s warm)",
            short(cold),
            short(warm)
        );
        self.head(
            &title,
            "| peer | 128 B cold | 128 B warm | events/s | 1 KiB cold | 1 KiB warm | 16 KiB cold | 16 KiB warm |",
        );
        for peer in self.peers.clone() {
            let cell = |size: u32, temperature: &str, figure: &str| {
                self.cell("W4", peer.name(), &[("size", json!(size)), ("temp", json!(temperature))], figure)
            };
            let bytes = |size: u32, temperature: &str| cell(size, temperature, "bytes_per_s");
            let line = format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                self.name(peer, "W4"),
                bytes(128, "cold"),
                bytes(128, "warm"),
                cell(128, "warm", "events_per_s"),
                bytes(1024, "cold"),
                bytes(1024, "warm"),
                bytes(16 << 10, "cold"),
                bytes(16 << 10, "warm")
            );
            self.line(&line);
        }
        self.notes("W4");
    }

    fn opening(&mut self) {
        self.head("W5: opening a log of 1 GiB", "| peer | events | cold ms | warm ms | peak memory |");
        for peer in self.peers.clone() {
            let figure = |temperature: &str, figure: &str| {
                self.figure("W5", peer.name(), &[("temp", json!(temperature))], figure)
            };
            let line = format!(
                "| {} | {} | {} | {} | {}B |",
                self.name(peer, "W5"),
                short(figure("warm", "wrote")),
                short(figure("cold", "open_s") * 1e3),
                short(figure("warm", "open_s") * 1e3),
                short(figure("warm", "resident"))
            );
            self.line(&line);
        }
        self.notes("W5");
    }

    fn lookups(&mut self) {
        self.head("W6: 100,000 random reads by number, 300,000 events of 1 KiB, warm", "| peer | lookups/s | us |");
        for peer in self.peers.clone() {
            let select = Select { workload: "W6", peer: peer.name(), fields: &[("supported", json!(false))] };
            if select.rows(self.rows).next().is_some() {
                self.line(&format!("| {} | has none | |", self.name(peer, "W6")));
                continue;
            }
            let rate = self.figure("W6", peer.name(), &[], "lookups_per_s");
            let cell = self.cell("W6", peer.name(), &[], "lookups_per_s");
            self.line(&format!("| {} | {cell} | {} |", self.name(peer, "W6"), short(1e6 / rate)));
        }
        self.notes("W6");
    }

    fn overhead(&mut self) {
        self.head(
            "W7: bytes on disk beyond the payload, per event",
            "| peer | 128 B | 1 KiB | 16 KiB | set aside by the file system, 1 KiB |",
        );
        for peer in self.peers.clone() {
            let figure =
                |size: u32, figure: &str| short(self.figure("W1", peer.name(), &[("size", json!(size))], figure));
            let line = format!(
                "| {} | {} | {} | {} | {} |",
                self.name(peer, ""),
                figure(128, "overhead"),
                figure(1024, "overhead"),
                figure(16 << 10, "overhead"),
                figure(1024, "overhead_allocated")
            );
            self.line(&line);
        }
    }

    fn runs(&mut self) {
        if !self.rows.iter().any(|row| row["w"] == "append") {
            return;
        }
        self.head("Runs", "| workload | taffrail ms | the reference system ms |");
        for (operation, what, reference) in runs::WORKLOADS {
            let line = format!("| {what} | {} | {} |", self.cell(operation, "taffrail", &[], "ms"), short(reference));
            self.line(&line);
        }
        let cold = |figure: &str| self.figure("cold", "taffrail", &[], figure);
        let line = format!(
            "| `log append` of a new process, durable, {}B and 10,000 runs in the store | {} (the process alone: {}; first after dropping the page cache: {}) | - |",
            short(cold("store_len_bytes")),
            short(cold("ms")),
            short(cold("start_ms")),
            short(cold("dropped_caches_ms"))
        );
        self.line(&line);
    }

    fn faults(&mut self) {
        let rows: Vec<&Value> = self.rows.iter().filter(|row| row["kind"] == "fault").collect();
        if rows.is_empty() {
            return;
        }
        let title =
            "Faults: 300 durable appends of 1 KiB, the writer left without closing; event 150 or the tail is damaged";
        self.head(title, "| peer | fault | opening it | appending 10 | opening it again |");
        for row in rows {
            let told =
                |name: &str| row[name].as_str().unwrap_or("-").replace('|', "/").chars().take(70).collect::<String>();
            let peer = told("peer");
            let none = row["not_applicable"].as_str().map(|why| format!("not applicable: {why}"));
            let first = none.unwrap_or_else(|| told("verdict"));
            let line =
                format!("| {peer} | {} | {first} | {} | {} |", told("fault"), told("append"), told("verdict_reopened"));
            self.line(&line);
        }
    }
}

//! The tables of every engine, beside the limits of the same run.

use crate::number::{part, short};
use crate::promises;
use crate::report::{PeerFacts, Report};
use std::fmt::Write;

/// What an orchestrator does with runs, and what it took in the system that the run model was taken from, in ms.
const RUNS: [(&str, &str, f64); 3] = [
    ("append", "append and sync one event of a run of 10,000", 16.0),
    ("fold", "fold the 10,000 events of a run", 1100.0),
    ("status", "open the store, find a run of 10,000 events, tell its status", 8600.0),
];

struct Tables<'a> {
    report: &'a Report,
    text: String,
}

/// All tables for which there are figures.
#[must_use]
pub fn tables(report: &Report) -> String {
    let mut tables = Tables { report, text: String::new() };
    type Table<'a> = fn(&mut Tables<'a>);
    let all: [(&str, Table<'_>); 7] = [
        ("W1", Tables::buffered),
        ("W2", Tables::durable),
        ("W3", Tables::threads),
        ("W4", Tables::replay),
        ("W5", Tables::opening),
        ("W6", Tables::lookups),
        ("W1", Tables::overhead),
    ];
    for (workload, table) in all {
        if report.has(workload) {
            table(&mut tables);
        }
    }
    tables.runs();
    tables.peers();
    tables.faults();
    tables.limits();
    tables.text
}

/// What was measured on, in a line.
pub(crate) fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let rounds = report.measured.iter().flat_map(|one| one.figures.values().map(Vec::len)).max().unwrap_or(0);
    format!(
        "{}, commit {}: {} cores of {}, {} GiB, {}, Linux {}, {}; medians of {rounds} rounds{}.",
        machine.date,
        machine.commit,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.file_system,
        machine.kernel,
        machine.compiler,
        if machine.scale_percent == 100 {
            String::new()
        } else {
            format!(", {} % of the events", machine.scale_percent)
        }
    )
}

impl<'a> Tables<'a> {
    fn line(&mut self, line: &str) {
        let _never_fails = writeln!(self.text, "{line}");
    }

    fn head(&mut self, title: &str, columns: &str) {
        let count = columns.matches('|').count().saturating_sub(2);
        self.line(&format!("\n### {title}\n\n{columns}\n|---{}|", "|---:".repeat(count)));
    }

    /// A figure, or why there is none.
    fn cell(&self, workload: &str, peer: &str, case: &str, figure: &str) -> String {
        let value = self.report.figure(workload, peer, case, figure);
        let lacks = self.report.find(workload, peer, case).and_then(|one| one.lacks.as_deref());
        lacks.filter(|_| value.is_nan()).map_or_else(|| short(value), |why| why.replace('|', "/"))
    }

    fn peers_of(&self, workload: &str) -> Vec<&'a PeerFacts> {
        let report = self.report;
        let is_there =
            |peer: &&PeerFacts| report.measured.iter().any(|one| one.workload == workload && one.peer == peer.name);
        report.peers.iter().filter(is_there).collect()
    }

    /// A peer's name, with a mark where the judgement leaves it out.
    fn name(&self, peer: &PeerFacts, workload: &str) -> String {
        let mark = if promises::exception(self.report, &peer.name, workload).is_some() { " *" } else { "" };
        if peer.is_ours { format!("**{}**", peer.name) } else { format!("{}{mark}", peer.name) }
    }

    fn notes(&mut self, workload: &str) {
        let mut text = String::new();
        if let Some(promise) = promises::PROMISES.iter().find(|promise| promise.workload == workload) {
            let _never_fails = write!(text, "\nPromised: {}. With a * and not judged:", promise.promise);
        }
        let left_out: Vec<String> = self
            .peers_of(workload)
            .into_iter()
            .filter_map(|peer| {
                Some(format!("{} ({})", peer.name, promises::exception(self.report, &peer.name, workload)?))
            })
            .collect();
        self.line(&format!("{text} {}.", left_out.join("; ")));
    }

    fn buffered(&mut self) {
        let chunks = ["write_64k_fdatasync", "write_256k_fdatasync", "write_1024k_fdatasync"];
        let limit = chunks.map(|name| self.report.limit("W1", name)).into_iter().fold(f64::NAN, f64::max);
        let title = "W1: buffered append, one sync at the end, events/s".to_owned();
        self.line(&format!(
            "\n### {title}\n\nx: payload bytes as a part of one write + fdatasync, {}B/s.\n",
            short(limit)
        ));
        self.line("| engine | 128 B | x | 1 KiB | x | 16 KiB | x | peak memory, 1 KiB |\n|---|---:|---:|---:|---:|---:|---:|---:|");
        for peer in self.peers_of("W1") {
            let mut line = format!("| {} |", self.name(peer, "W1"));
            for (case, size) in [("128 B", 128.0), ("1 KiB", 1024.0), ("16 KiB", 16384.0)] {
                let of_limit = self.report.figure("W1", &peer.name, case, "events_per_s") * size / limit;
                let cell = self.cell("W1", &peer.name, case, "events_per_s");
                let _never_fails = write!(line, " {cell} | {} |", part(of_limit));
            }
            let memory = self.report.figure("W1", &peer.name, "1 KiB", "resident");
            self.line(&format!("{line} {}B |", short(memory)));
        }
        self.notes("W1");
    }

    fn durable(&mut self) {
        let limit = self.report.limit("W2", "overwrite_1k_fdatasync");
        let title = "W2: durable append, one writer, events/s";
        self.line(&format!("\n### {title}\n\nx: part of {}/s, write + fdatasync over written zeros.\n", short(limit)));
        self.line("| engine | 128 B | 1 KiB | x | p50 us | p99 us | 16 KiB |\n|---|---:|---:|---:|---:|---:|---:|");
        for peer in self.peers_of("W2") {
            let cell = |case: &str| self.cell("W2", &peer.name, case, "events_per_s");
            let figure = |figure: &str| self.report.figure("W2", &peer.name, "1 KiB", figure);
            let line = format!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                self.name(peer, "W2"),
                cell("128 B"),
                cell("1 KiB"),
                part(figure("events_per_s") / limit),
                short(figure("p50_us")),
                short(figure("p99_us")),
                cell("16 KiB")
            );
            self.line(&line);
        }
        self.notes("W2");
    }

    fn threads(&mut self) {
        let limit = self.report.limit("W3", "overwrite_1k_fdatasync");
        let title = "W3: durable append, 1 KiB, many threads, events/s";
        self.line(&format!(
            "\n### {title}\n\nx: appends for every fdatasync that one thread could do, {}/s.\n",
            short(limit)
        ));
        self.line("| engine | 8 threads | x | 64 threads | x |\n|---|---:|---:|---:|---:|");
        for peer in self.peers_of("W3") {
            let mut line = format!("| {} |", self.name(peer, "W3"));
            for case in ["8 threads", "64 threads"] {
                let rate = self.report.figure("W3", &peer.name, case, "events_per_s");
                let cell = self.cell("W3", &peer.name, case, "events_per_s");
                let _never_fails = write!(line, " {cell} | {} |", part(rate / limit));
            }
            self.line(&line);
        }
        self.notes("W3");
    }

    fn replay(&mut self) {
        let (cold, warm) = (self.report.limit("W4", "read_1m_cold"), self.report.limit("W4", "read_1m_warm"));
        self.head(
            "W4: open, replay, verify and fold, events/s",
            "| engine | 128 B, cold | 128 B, warm | cores | 1 KiB, cold | 1 KiB, warm | x | 16 KiB, cold | 16 KiB, warm |",
        );
        for peer in self.peers_of("W4") {
            let cell = |case: &str| self.cell("W4", &peer.name, case, "events_per_s");
            let of_limit = self.report.figure("W4", &peer.name, "1 KiB, warm", "events_per_s") * 1024.0 / warm;
            let small = |figure: &str| self.report.figure("W4", &peer.name, "128 B, warm", figure);
            let line = format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                self.name(peer, "W4"),
                cell("128 B, cold"),
                cell("128 B, warm"),
                part(small("cpu_s") / small("total_s")),
                cell("1 KiB, cold"),
                cell("1 KiB, warm"),
                part(of_limit),
                cell("16 KiB, cold"),
                cell("16 KiB, warm")
            );
            self.line(&line);
        }
        self.line(&format!(
            "\nx: of {}B/s, read() of a warm file; cold, the disk gives {}B/s. cores: at work, of those there are: taffrail has one \
             thread that reads and proves ahead, `Events::prove_ahead(1)`.",
            short(warm),
            short(cold)
        ));
        self.notes("W4");
    }

    fn opening(&mut self) {
        self.head("W5: opening a log of 1 GiB", "| engine | events | cold, ms | warm, ms | peak memory |");
        for peer in self.peers_of("W5") {
            let figure = |case: &str, figure: &str| self.report.figure("W5", &peer.name, case, figure);
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
        let limit = self.report.limit("W6", "pread_1k_warm");
        self.head("W6: random reads by number, events of 1 KiB, warm", "| engine | lookups/s | us | x |");
        for peer in self.peers_of("W6") {
            if self.report.figure("W6", &peer.name, "", "supported") == 0.0 {
                self.line(&format!("| {} | has none | - | - |", self.name(peer, "W6")));
                continue;
            }
            let rate = self.report.figure("W6", &peer.name, "", "lookups_per_s");
            let cell = self.cell("W6", &peer.name, "", "lookups_per_s");
            let (name, us) = (self.name(peer, "W6"), short(1e6 / rate));
            self.line(&format!("| {name} | {cell} | {us} | {} |", part(rate / limit)));
        }
        self.line(&format!("\nx: of {}/s, pread of 1 KiB at random places of a warm file.", short(limit)));
        self.notes("W6");
    }

    fn overhead(&mut self) {
        self.head(
            "W7: bytes on disk beyond the payload, per event",
            "| engine | 128 B | 1 KiB | 16 KiB | set aside by the file system, 1 KiB |",
        );
        for peer in self.peers_of("W1") {
            let figure = |case: &str, figure: &str| short(self.report.figure("W1", &peer.name, case, figure));
            let line = format!(
                "| {} | {} | {} | {} | {} |",
                self.name(peer, ""),
                figure("128 B", "overhead"),
                figure("1 KiB", "overhead"),
                figure("16 KiB", "overhead"),
                figure("1 KiB", "overhead_allocated")
            );
            self.line(&line);
        }
        self.line("\nBelow zero: the engine compresses.");
    }

    fn runs(&mut self) {
        if !self.report.has("append") {
            return;
        }
        self.head("Runs", "| workload | taffrail, ms | the system that the run model was taken from, ms |");
        for (operation, what, reference) in RUNS {
            let line = format!("| {what} | {} | {} |", self.cell(operation, "taffrail", "", "ms"), short(reference));
            self.line(&line);
        }
        let cold = |figure: &str| self.report.figure("cold", "taffrail", "", figure);
        if cold("ms").is_nan() {
            return;
        }
        let line = format!(
            "| `log append` of a new process, durable, {}B and 10,000 runs in the store (`--version` of the same binary: {}; with the page cache dropped: {}) | {} | - |",
            short(cold("store_len_bytes")),
            short(cold("start_ms")),
            short(cold("dropped_caches_ms")),
            short(cold("ms"))
        );
        self.line(&line);
        self.line("\nIts figures are of another machine: the figures of the reference were taken once, and it is not run here.");
    }

    /// How each is driven, and what its figures do without.
    fn peers(&mut self) {
        self.line("\n### How each is driven, and what it does without\n");
        self.line(
            "| engine | version | appends in W1 | many threads | checksum | durable where nothing is said | not judged in |\n\
             |---|---|---|---|---|---|---|",
        );
        for peer in &self.report.peers {
            let mut left_out: Vec<String> = Vec::new();
            for exception in promises::EXCEPTIONS.iter().filter(|exception| exception.peer == peer.name) {
                left_out.push(format!("{}: {}", exception.workloads.join(" "), exception.reason));
            }
            if promises::leaves_torn_tails(self.report, &peer.name) {
                let promises::Exception { workloads, reason, .. } = promises::TORN_TAIL;
                left_out.push(format!("{}: {reason}", workloads.join(" ")));
            }
            let left_out = if left_out.is_empty() { "-".to_owned() } else { left_out.join("; ") };
            self.line(&format!(
                "| {} | {} | {} | {} | {} | {} | {left_out} |",
                peer.name, peer.version, peer.buffered, peer.threads, peer.checksum, peer.durable_by_default
            ));
        }
    }

    fn faults(&mut self) {
        if self.report.faults.is_empty() {
            return;
        }
        self.line("\n### Faults\n\n300 durable appends of 1 KiB, and the writer left without closing; then event 150 or the tail is damaged.\n");
        self.line("| engine | fault | opening it | appending 10 | opening it again |\n|---|---|---|---|---|");
        for fault in &self.report.faults {
            let told = |text: &str| text.replace('|', "/").replace('<', "&lt;");
            let line = format!(
                "| {} | {} | {} | {} | {} |",
                fault.peer,
                fault.fault.replace('_', " "),
                told(&fault.opening),
                told(&fault.appending),
                told(&fault.again)
            );
            self.line(&line);
        }
    }

    fn limits(&mut self) {
        if self.report.limits.is_empty() {
            return;
        }
        self.head("Limits of the machine", "| measured beside | limit | per second |");
        for (workload, limits) in &self.report.limits {
            for name in limits.keys() {
                let value = short(self.report.limit(workload, name));
                self.line(&format!("| {workload} | {} | {value} |", name.replace('_', " ")));
            }
        }
    }
}

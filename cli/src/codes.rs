//! The catalogue of error codes: what `taffrail explain` prints.
//!
//! T01 usage and names, T02 expressions, T03 format and damage, T04 plans, T05 replay, T06 process, T07 approvals,
//! T08 hooks and plugins. A code is never given another meaning. Every code here is raised somewhere in the sources,
//! and every code there is here; a test compares them.

use std::fmt;

/// A code of the catalogue. There are no others: only this module makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(&'static str);

impl Code {
    /// As written: `T0101`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.0)
    }
}

/// One code, explained.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// A few words.
    pub title: &'static str,
    /// A paragraph: what happened, and why it is an error.
    pub explanation: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Finds a code as people write it: `T0101`, `t0101` or `0101`.
#[must_use]
pub fn find(written: &str) -> Option<&'static Entry> {
    let digits = written.trim_start_matches(['T', 't']);
    CATALOGUE.iter().find(|entry| entry.code.as_str().strip_prefix('T') == Some(digits))
}

/// The code of an engine's error. A test sees to it that the catalogue has them all.
#[must_use]
pub fn of_engine(code: &str) -> Code {
    find(code).map_or(T0190, |entry| entry.code)
}

macro_rules! catalogue {
    ($($code:ident $title:literal $explanation:literal $remedy:literal)*) => {
        $(
            #[doc = concat!(stringify!($code), ": ", $title, ".")]
            pub const $code: Code = Code(stringify!($code));
        )*

        /// Every code, in order.
        pub const CATALOGUE: &[Entry] = &[
            $(Entry { code: $code, title: $title, explanation: $explanation, remedy: $remedy }),*
        ];
    };
}

catalogue! {
    T0101 "unknown command"
        "The first word that is not an option names a command, and some commands have commands of their own. This word names none of them."
        "Run the suggested command, or list them with `taffrail --help`."
    T0102 "unknown argument"
        "This command takes no such option, or no further positional argument. Options that belong to every command may stand before or after its name; others only after it."
        "Run the suggested command, or see the command's `--help`. A value that starts with a dash goes after `--`."
    T0103 "invalid value"
        "The value of an option or argument is not one of those it takes, or cannot be read as what it should be. Durations are a whole number and a unit (5s, 50ms), sizes too (64MiB)."
        "The message says what was expected. Correct the value and run the command again; nothing was done."
    T0104 "missing argument"
        "The command cannot do anything without an argument or a command that was not given."
        "See the command's `--help` for what it needs."
    T0105 "conflicting arguments"
        "Two arguments that exclude each other were given, or one was given twice."
        "Leave one of them out."
    T0106 "command line not understood"
        "The command line could not be read, for example because an argument is not UTF-8 where text is needed."
        "See the command's `--help`."
    T0107 "output format not available"
        "Every command prints as human, json or jsonl; hex and raw exist only where the answer is bytes."
        "Choose another format with `-o`."
    T0110 "no store found"
        "No store was named with `--store` or `TAFFRAIL_STORE`, and none of the directories from here upwards has a `.taffrail`. The search ends at the boundary of the file system and at the home directory."
        "Change into the project, name the store with `--store PATH`, or make one with `taffrail store init`."
    T0111 "the store named is not there"
        "The path that `--store` or `TAFFRAIL_STORE` gives does not lead to a directory or a file, or may not be read. The search for a store in the parent directories does not take over then: a command must never work on another store than the one that was named."
        "Check the path; unset `TAFFRAIL_STORE` to search instead."
    T0112 "the store nearby belongs to somebody else"
        "The search for a store met a `.taffrail` that another user owns, and stopped: whoever can place a directory above yours could otherwise choose the store that your commands work on."
        "If you trust it, name it with `--store PATH`."
    T0113 "the store is there already"
        "`store init` makes a store where there is none. Here is one already, and it was left exactly as it is: its settings are in its config.toml, and its events are safe."
        "Look at it with `taffrail store info`; to have another store, name another place."
    T0114 "the directory is not the demo's"
        "`taffrail demo` works in a directory of its own, which it recognises by a marker and makes anew every time. What is here was made by somebody else, so it was left exactly as it is."
        "Give the demo another directory with `--dir`."
    T0120 "not a position"
        "Positions are one grammar everywhere: 1234, head, head~10, @2026-08-20T12:00Z, @12:31:07, @-15m, snap:latest, snap:N, mark:NAME, seg:3+0x1f40, run:NAME, before:STEP, after:STEP; a range is A..B, half-open, with either side optional."
        "The message says what was expected and gives an example."
    T0130 "configuration not understood"
        "A configuration file (the store's config.toml or the user's own) or a variable of the environment is not TOML, has a key that means nothing, or a value that is out of range. Unknown keys are errors because a misspelt setting that is silently ignored is a setting that somebody relies on."
        "Correct the place that the message names."
    T0140 "unknown code"
        "The catalogue has no such code. Codes are a T and four digits."
        "List all codes with `taffrail explain`."
    T0141 "there is no such run"
        "Runs have names, unique in the store, and are given by name or by a beginning that only one of them has. Nothing makes a run by accident: a name that was mistyped must not become a run of its own."
        "The message has the nearest names, where one is near; `taffrail run list` has all of them. Make a new run with `taffrail log append --create --run NAME ...`."
    T0142 "not a name"
        "Names of runs are 1 to 255 bytes without control characters and without blanks at their ends. Names of types are 1 to 64 of a-z 0-9 _ . and -. Names of marks have no blanks, control characters or `..`, since they stand in positions."
        "Choose another name; nothing was written."
    T0143 "the type has another schema in this store"
        "A type of this name and version is registered already, with another codec or schema. Storing other payloads under it would make the old or the new ones unreadable."
        "Use another name, or raise the type's version in the program that defines it."
    T0144 "the batch cannot be stored"
        "A batch is stored as a whole or not at all, and has limits: 32 MiB together, 16 MiB for one payload, 4,096 types in a store. Nothing of this batch was written."
        "Split the input; without `--atomic` it is split by itself."
    T0145 "conflict"
        "The run is not at the revision that `--expect` names: somebody else has appended to it meanwhile. Nothing was written."
        "Read the run again, decide again, and repeat the append with its present revision."
    T0146 "the position leads nowhere"
        "The position is well formed, but this store has nothing there: no event of that seq, no such mark, no event at that time or offset, no snapshot, no step of that name."
        "`taffrail log stat` shows the first and the last event; `taffrail log dump --type Mark` lists the marks."
    T0147 "input not understood"
        "A line of the input is no JSON object {\"run\", \"type\", \"data\"}, or the data of an event is not JSON. What stood before it was appended and acknowledged, unless `--atomic` was given; it and what follows was not."
        "Correct the line that the message names, and append from there on."
    T0148 "unknown type"
        "No event of this store has that type. A filter that can never match is more likely a slip than a question."
        "The message lists the types that there are."
    T0149 "only a store can do that"
        "A lone segment file or a bundle can be read, but a command that appends, or that asks about the store as a whole, needs the store's directory."
        "Name the store's directory with `--store`. A bundle becomes one with `taffrail -s DIRECTORY log import FILE`."
    T0150 "the type is reserved"
        "Types whose names begin with `taffrail.` belong to the engine. Their events change what a run is, so they pass its rules (`taffrail run ...`) and are never appended as they are."
        "Use the command that does what the event says, or another type name."
    T0151 "nothing to import"
        "The source is not there, or there is no run in or below it: no directory with a run.json or a journal."
        "Check the path."
    T0152 "the source is not of that kind"
        "Run journals are imported from a directory, and an export from a file or from standard input. A dry run exists for directories only: an export is read once, from beginning to end."
        "Leave out `--from` to import what the source looks like, or `--dry-run`."
    T0153 "the store is not empty"
        "A restore gives a store the same log id, seqs and times as the log that was exported, so the store must be empty, or have that log's first events already."
        "Restore into a new store: `taffrail -s DIRECTORY store init`, then import again."
    T0159 "no such blob"
        "Larger artifacts are kept in the store's directory `blobs`, by their digest. An event names this one, and it is not there: somebody has removed it, or the store was copied without it."
        "Put the file back from a copy; importing the same source again brings it back as well."
    T0160 "a blob is damaged"
        "The content of a blob is not what its name, its digest, says. The event that names it is not affected."
        "Importing the same source again writes it anew; else put the file back from a copy."
    T0161 "a line of the export is not understood"
        "The line is no JSON, lacks a field, or does not follow the lines before it. Everything before it has been imported."
        "Correct the line that the message names, or export again, and import again: what is there is not imported twice."
    T0162 "the export is not whole"
        "An export ends with a line that counts its events. This one ends without it, or the count is another one, so something was cut off or left out. What stands before has been imported."
        "Export again, and import again: what is there is not imported twice."
    T0163 "the store and the export differ"
        "Both are of the same log, and have different events of the same seq: two copies of a store were both written to. Nothing of the export was taken from there on."
        "Import into another store; there the events get seqs of their own."
    T0164 "a line is too long"
        "A line of an export takes at most 112 MiB, which is more than the longest event needs. This is no export."
        "Check the file."
    T0165 "the export needs a newer build"
        "The export was written in a format that this build does not know."
        "Use the build that wrote it; `taffrail --version` tells which this is."
    T0166 "an earlier import is not understood"
        "Imports record where each event came from, and an event that says so cannot be read. Going on could import events twice."
        "Import with the build that made the earlier import, or into another store."
    T0170 "the bundle is damaged"
        "The file is cut off, or its bytes are not those that were written: a CRC or a digest is wrong. Nothing of it was published."
        "Copy it again from where it came. What is whole in it can be read in place with `taffrail -s FILE log dump`, if its manifest is good."
    T0171 "the bundle is refused"
        "The file holds what no export writes: a name that leads out of a store, a file twice, a length that can not be, another log than it says. It may have been made to do harm. Nothing of it was published."
        "Do not use it. If an export of this program wrote it, that is a bug."
    T0172 "there is a file of that name"
        "A bundle is written into a new file, and never over another one."
        "Choose another name, or move the file away."
    T0173 "the run was changed while it was exported"
        "Somebody repaired or compacted the store while a run was read from it."
        "Export it again."
    T0174 "the log in the bundle is damaged"
        "The bundle is what was written, and the log in it had damage by then: a restore would bring the damage back. Or a snapshot in it is damaged that is all that is left of events which were compacted away."
        "`taffrail -s FILE log verify` names it. `--accept-damage` restores it as it is, for `taffrail log repair`."
    T0180 "output could not be written"
        "Standard output refused what the command wrote, for example because a disk is full. A reader that closes a pipe early is no error."
        "Make room or choose another destination, and run the command again."
    T0181 "a file could not be written"
        "The system refused to write a file outside of a store that the command was asked to make."
        "The message has the path and the system's reason."
    T0182 "interrupted"
        "SIGINT, which Ctrl-C sends, ended the command at a place where all that it had done was whole. What it acknowledged is safe."
        "Run the suggested command: it goes on where this one stopped."
    T0190 "a bug in taffrail"
        "The program found itself in a state that should be impossible, and stopped. The log is written so that it survives this at any moment: what was acknowledged is safe."
        "Check the store with `taffrail log verify`, and report the message, the version and what you ran at https://github.com/taffrail/taffrail/issues."
    T0201 "expression not understood"
        "The text is not an expression. Expressions are dotted paths, strings, integers, true, false and null, compared with == != < <= > >= =~ and joined with && || ! and parentheses; exists(p) and len(p) ask about paths. Keys that are not plain names are quoted: steps[\"1st\"]."
        "The message has the column, what was expected there and what was found."
    T0202 "expression too large"
        "Expressions are bounded in length, nesting and number of patterns, because they may come from files that other people wrote."
        "Split the expression, or filter in two steps."
    T0203 "pattern not understood"
        "The text after =~ is not a regular expression, or one that would need too much memory. Look-around and back-references do not exist here, so that matching always takes linear time."
        "The message has the column and the reason."
    T0301 "acknowledged events are damaged"
        "At the end of the log, bytes are wrong that had been acknowledged: the log itself, or its watermark, tells that they were durable. That is no torn tail, so nothing is cut, and the store is not opened for writing. Reading still works."
        "See what is lost with `taffrail log verify`."
    T0302 "the end of the log is ambiguous"
        "The last group of events is damaged in a way that a crash does not leave behind, and nothing tells whether it had been acknowledged. Cutting it could lose acknowledged events, so nothing is done by itself."
        "See what it looks like with `taffrail log verify`."
    T0303 "a segment is missing"
        "A segment file is not there, though its neighbours or the watermark tell that it was. The events in it are lost unless the file is put back."
        "Put the file back from a copy; `taffrail log verify` tells what is lost without it."
    T0304 "a segment does not belong here"
        "Segments are chained: each names its log, its number and its predecessor's digest. This one names others, so it was copied here from another log, restored from an older copy, or renamed."
        "`taffrail log verify` tells which link does not hold. Where files have changed names, `taffrail log repair --mode salvage` gives each its own back. Otherwise move the file away: with the right one in its place all is well, and without it a salvage records what is absent."
    T0305 "a segment header is damaged"
        "Both copies of the header that every segment begins with are damaged, or the file is no segment at all."
        "`taffrail log verify` tells what else is damaged."
    T0306 "the directory is no store"
        "A store is made in a new or an empty directory. This one holds something else, and a store among other files would be deleted with them one day."
        "Choose an empty or a new directory, such as `.taffrail` in this one."
    T0307 "the log needs a newer build"
        "A newer build of taffrail wrote this log in a format that this one does not know. It was not touched: guessing at unknown bytes is how logs are destroyed."
        "Use a build that knows the format; `taffrail --version` tells which this is."
    T0308 "damage was met while reading"
        "The command came across bytes that are not what was written. What it printed before is good; what comes behind may be incomplete."
        "See all damage and what is lost with `taffrail log verify`."
    T0309 "the machine refused"
        "A call to the operating system failed: permission, a failing medium, a read-only file system. The message has the reason."
        "Correct the cause and run the command again. Acknowledged events are safe."
    T0310 "the journal stopped after a failure"
        "A write or a sync failed, and after that nobody can tell what reached the medium. So the journal accepts nothing more; the next one that opens the store looks at what is really there."
        "Run the command again: opening the store keeps everything that was acknowledged."
    T0311 "locked by another process"
        "Another process held the store's lock for longer than the timeout. Commands hold it for the length of one write; only a program in exclusive mode keeps it."
        "Wait for it, or give more time with `--lock-timeout`."
    T0312 "no space left"
        "The file system is full, or a quota or a size limit is reached. What was not acknowledged is not counted on: where a write ended half way, its bytes are a torn tail behind the last whole batch, and the next open for writing cuts it into the quarantine."
        "Free space, then run the command again; `taffrail log verify` shows where the log ends."
    T0313 "the run index is spoiled"
        "The file runs.idx, a hint that makes finding runs fast, does not hold what it should. It can be deleted: it is built again from the log."
        "Run the command again; delete runs.idx if this comes back."
    T0314 "something else is in the place of a file"
        "Where a file or a directory of the store should be, there is a symbolic link, a named pipe, a socket or a device. It is never followed, opened or waited for: whoever put it there could otherwise choose what is read and written. What is a hint is passed over instead."
        "Look at it with `ls -l`, move it away, and put the file back; LOCK, runs.idx and config.toml can do without: they are made again, or not needed."
    T0401 "the plan does not match"
        "A command that takes something away carries out exactly the plan that was shown. This name is not that of the plan for the store as it is now: nothing was looked at, the name was mistyped, or the bytes in question have changed since. Nothing was written."
        "Run the command without `--apply`, read the plan, and apply it by its new name."
    T0402 "the loss is not accepted"
        "The plan loses events, or takes them out of a run's history, and `--accept-loss` must be exactly their number: whoever accepts a loss has counted it. Nothing was written."
        "Read the plan again; run the suggested command with a reason if that loss is acceptable."
    T0403 "this cannot be undone"
        "Undoing a repair puts the original segments back. This one replaced none: it cut a torn tail that was never acknowledged, gave files their names back, or changed the history of a run and no file. Or what it replaced has been rewritten since, and the undo of that comes first."
        "The bytes that were cut are in the store's quarantine directory; what was done to a run is taken back with `taffrail run undo RUN`."
    T0404 "there is nothing to undo"
        "No repair of this store is left to be undone, the event named is none, or the originals are no longer in the quarantine. Of a run: it was neither closed nor rewound, or all of that was undone."
        "List what was done with `taffrail log dump --type OperatorAction`."
    T0405 "the plan was not confirmed"
        "`--apply-now` shows the plan and asks. Either there is no terminal on which somebody could answer, or the answer was no. Nothing was written."
        "In a script, apply the plan by name: `--plan NAME --reason TEXT --apply`."
    T0406 "a repair of the tail does not reach the damage"
        "Without `--mode`, a repair only touches the end of the newest segment, and only if all damage is there. Here some is elsewhere, or in events that had been acknowledged."
        "Run the suggested command: it shows what a salvage would keep and lose, and writes nothing."
    T0407 "what to redact is not understood"
        "A redaction names events, fields (`data.NAME.NAME`, `*` for any key or item) or a regular expression that matches neither the empty text nor the reason that is given. A secret is named by a variable whose value has at least four bytes: a shorter one would be found everywhere."
        "See `taffrail log redact --help`, or the `[redaction]` table of the settings that the message names."
    T0408 "it can not be redacted"
        "The store's settings say that something must never be written, and the batch holds it where it can not be replaced: in the name of a run, in a mark, in the reason for a plan, or in an event whose codec leaves no room for another text. Nothing was written."
        "Leave it out."
    T0409 "the event can not be redacted"
        "There is no event of that seq, or it is one of the log's own (the opening of a run, the registration of a type, a checkpoint, a mark), which the log itself depends on. A pattern replaces what it matches in the note of a mark and in an operator's reason."
        "`taffrail log dump SEQ..` shows what is there."
    T0411 "nothing is kept there"
        "`store forget` removes directories of the store's archive and quarantine, as its plan names them. There is none of that name."
        "Run the command without a name: it shows everything that is kept, and writes nothing."
    T0412 "interrupted work comes first"
        "A compaction, or the undo of one, was interrupted before it was finished, and what was asked for would undo or remove it."
        "Run `taffrail log compact --apply` with anything to compact: before it plans, it finishes what was interrupted, or takes it back where the log does not tell of it."
    T0421 "what was done for good is not acknowledged"
        "A rewind, or the undo of one, gives up effects that nothing makes up for: they happened, or may have, and the history will not say so any more. Whoever does that names them, all of them and no others, with `--ack-irreversible`. Of an effect about which nobody said how often it may happen, the worst is assumed. Nothing was written."
        "Look at what the plan lists as done for good; if giving that up is what you want, run the suggested command with a reason."
    T0422 "the position is not in the run's history"
        "The event is there and can be read, but a rewind or an undo has given it up: the run's history goes on elsewhere. A run can only go back to, and be forked at, what is its history now."
        "See what is history with `taffrail run show RUN --all`; `taffrail run undo RUN` puts back what the last rewind gave up."
    T0423 "nothing lies behind the position"
        "The position is the run's last event, or behind it, so going back to it would change nothing."
        "See the run's events with `taffrail run show RUN`, and go back to an earlier one."
    T0424 "the event can not be kept"
        "`--keep` keeps results behind the position: of effects and gates that were requested before it, and values that were looked up. Anything else stands on what is given up, is void or decided anew behind a rewind, or stays in any case."
        "Leave the event out of `--keep`, or go back to a later position."
    T0425 "the fold knows none of the events"
        "States, snapshots, rewinds, forks and closes come from a fold, and this one reads events of its own types. The run's events (or all events of the log) are of other types: another program appended them, or `log append` did. They are whole, and everything that works without a fold works on them: dump, stat, verify, export, repair, redact, marks."
        "Look at the events with `taffrail log dump --run RUN`. For states of them, write a fold and build a binary with `taffrail_cli::main_with::<YourFold>()`: it has all these commands."
    T0501 "an event does not decode"
        "The payload's CRC is good, but it is not what its type says: another program wrote it, or the type's name and version were given to another shape."
        "Look at the event's bytes with `taffrail log dump -o hex`; decode it with the build that wrote it."
    T0502 "a value can not be encoded"
        "An event or a state can not be written and read back the same, or the state is over 256 MiB. What can not be read back must not be appended."
        "Use types that serde round-trips: no skipped fields, no untagged enums; keep large data out of the state."
    T0503 "the replay diverged"
        "Folding the log again gave another state than the one recorded: the fold is not deterministic, its code has changed, or events are missing."
        "The report names the event, or the interval; compare the two builds there."
    T0504 "an unknown critical event"
        "A fold met an event of a type or version that it does not know and that is not marked as a hint. Passing over it could give a wrong state."
        "Use a build that knows the type, or let the fold ignore it by name."
    T0505 "a type can not be registered"
        "The shape of the type can not be traced, or its description in the log is unreadable."
        "Give the type samples, or look at the part that the message names."
    T0506 "the schema differs"
        "The log describes this type and version with other fields than this build has. Decoding by the wrong shape would give wrong values in silence."
        "Raise the type's version and add an upcaster from the old one."
    T0507 "the state is incomplete"
        "Events of the run are absent by record (damaged or compacted), so the state is that of what is left. It is shown, but never snapshotted or compared."
        "`taffrail log verify` names what is absent."
    T0508 "the events are no longer in the log"
        "The fold would have to begin before the oldest event that is kept, and no snapshot covers what is gone."
        "Fold the archive, or use a snapshot of this fold."
    T0509 "nothing to compare"
        "No checkpoint of this fold and version lies in the range, so the replay proves nothing either way."
        "Record a checkpoint, or compare two folds of this build."
    T0510 "no such snapshot"
        "The store has no snapshot of that fold, version and position."
        "List the snapshots that there are."
    T0511 "the command was rejected"
        "The fold's own rule refused the command in the present state. Nothing was appended."
        "Read the reason, and decide again by the present state."
    T0512 "the snapshot was refused"
        "The snapshot is damaged, of another log, of another fold version, or not of this place of the log. It was passed over."
        "Drop it; an older one, or the log itself, serves."
    T0513 "the fold can not be used so"
        "The fold's name is not a valid one, or a fold over the store was used for a run, or the other way round."
        "Correct the name, or use the fold in its own scope."
    T0514 "the file of states is not understood"
        "A line of the file of recorded states is not one that this build writes."
        "Make the file again with the other build."
    T0515 "there is nothing to bisect"
        "The range has no good beginning and bad end: the condition holds at both ends, or at neither."
        "Choose a range at whose ends the condition differs."
    T0516 "the state has no such path"
        "A path names values by keys and list places, joined by points; at the place that the message names there is none of that name."
        "Show the whole state with `taffrail state show`, and take the path from there."
    T0517 "a command ended the bisection"
        "The command that judges states exited with 127 or above, was stopped by a signal, or could not be started. Exit codes: 0 good, 125 cannot tell, 1 to 124 and 126 bad."
        "Try the command on one state: `taffrail state show RUN --json | COMMAND`."
    T0518 "the snapshot is needed"
        "Events before it are compacted away, and no other snapshot of the same fold and run tells what they did."
        "Write a newer snapshot with `taffrail snap create`, and drop this one then."
    T0519 "the second process of a replay failed"
        "`replay --twice` folds in a process of its own as well, to have other hash seeds. That could not be started, or ended without an answer."
        "Run `taffrail replay --json` by hand, and see what it says; without --twice, one process does."
    T0520 "a compaction would change a state"
        "What a compaction leaves is folded before anything is put in its place, and a run came to another state than before. Nothing was changed."
        "Run `taffrail replay --check`: a fold that depends on more than its events is the likely cause."
    T0521 "a snapshot of another fold"
        "A snapshot is of another fold, or of a version of it that this build can neither read nor migrate. It was passed over: the state comes from another snapshot, or from the first event."
        "Write a new one with `taffrail snap create`."
    T0522 "a snapshot of another history"
        "The log has no checkpoint that vouches for the snapshot: it was taken of another log, or of events that this one does not have, as after an older copy was put back. It was passed over."
        "Take it away with `taffrail snap drop FILE`, and write a new one with `taffrail snap create`."
    T0523 "a snapshot is not whole"
        "A file of a snapshot is cut short, spoiled, or written in another format. It was passed over: the state comes from an older snapshot, or from the first event."
        "See them with `taffrail snap list`; `taffrail snap drop --keep 2` takes those that are of no use away."
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{CATALOGUE, find};

    /// All Rust sources of a directory, as (path, text).
    fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
        for entry in directory.read_dir().expect("a source directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text =
                    std::io::read_to_string(std::fs::OpenOptions::new().read(true).open(&path).expect("a source"));
                found.push((path.to_string_lossy().into_owned(), text.expect("UTF-8")));
            }
        }
    }

    fn program_sources() -> Vec<(String, String)> {
        let mut found = Vec::new();
        for directory in ["src", "../engine/src", "../log-format/src"] {
            sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut found);
        }
        assert!(found.len() > 10, "the sources were not found");
        found
    }

    #[test]
    fn codes_are_ordered_unique_well_formed_and_explained() {
        let codes: Vec<&str> = CATALOGUE.iter().map(|entry| entry.code.as_str()).collect();
        let sorted: BTreeSet<&str> = codes.iter().copied().collect();
        assert_eq!(codes, sorted.into_iter().collect::<Vec<_>>(), "sorted, and none twice");
        for entry in CATALOGUE {
            let code = entry.code.as_str();
            let digits = code.strip_prefix("T0").expect("T0");
            assert!(digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
            assert!((b'1'..=b'8').contains(&digits.as_bytes()[0]), "{code} is of no group");
            assert!(!entry.title.ends_with('.') && entry.title.len() < 60, "{code}");
            assert!(entry.explanation.ends_with('.') && entry.explanation.len() > 40, "{code}");
            assert!(entry.remedy.ends_with('.'), "{code}");
        }
    }

    #[test]
    fn every_code_is_raised_and_no_raised_code_is_unknown() {
        let mut raised = BTreeSet::new();
        for (path, text) in program_sources() {
            if path.ends_with("cli/src/codes.rs") || path.ends_with("/tests.rs") {
                continue;
            }
            let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for (index, _) in program.match_indices("codes::T") {
                raised.insert(program[index + 7..index + 12].to_owned());
            }
            // The engine has no catalogue: its codes are texts.
            for (index, _) in program.match_indices("\"T0") {
                raised.extend(
                    program.get(index + 1..index + 7).and_then(|quoted| quoted.strip_suffix('"')).map(str::to_owned),
                );
            }
        }
        let known: BTreeSet<String> = CATALOGUE.iter().map(|entry| entry.code.to_string()).collect();
        assert_eq!(raised, known);
    }

    #[test]
    fn codes_in_texts_exist() {
        for (path, text) in program_sources() {
            let mentioned = text.match_indices("taffrail explain T").map(|(index, found)| index + found.len());
            for end in mentioned {
                let code: String = text[end - 1..].chars().take(5).collect();
                assert!(
                    find(&code).is_some() || !code[1..].bytes().all(|byte| byte.is_ascii_digit()),
                    "{path}: {code}"
                );
            }
        }
    }

    #[test]
    fn only_the_output_module_names_the_standard_streams() {
        for (path, text) in program_sources() {
            let allowed = path.ends_with("cli/src/output.rs") || path.ends_with("cli/src/codes.rs");
            for stream in ["io::stdout()", "io::stderr()"] {
                assert!(allowed || !text.contains(stream), "{path} names {stream}");
            }
        }
    }

    #[test]
    fn codes_are_found_as_people_write_them() {
        for written in ["T0110", "t0110", "0110"] {
            assert_eq!(find(written).expect(written).code, super::T0110);
        }
        for written in ["", "T", "T110", "T01100", "T9999", "no store"] {
            assert!(find(written).is_none(), "{written}");
        }
    }
}

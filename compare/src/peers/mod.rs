//! The peers: each a module that drives an engine as its documentation recommends, and says so in its [`Meta`].

mod batpak;
mod commitlog;
mod fjall;
mod floor;
mod okaywal;
mod open_wal;
mod raft;
mod redb;
mod rewal;
mod seglog;
mod spacetime;
mod sqlite;
pub mod taffrail;
mod umadb;
mod wal_db;
mod walrus;

use crate::peer::Peer;
use taffrail_compare_report::PeerFacts;

/// Every peer, ours first. To add one: a module with a `Peer`, and a line here.
pub fn all() -> Vec<&'static dyn Peer> {
    vec![
        &taffrail::SHARED,
        &taffrail::EXCLUSIVE,
        &floor::Floor,
        &floor::FloorPark,
        &spacetime::P,
        &raft::P,
        &okaywal::P,
        &commitlog::P,
        &walrus::P,
        &batpak::P,
        &seglog::P,
        &open_wal::P,
        &wal_db::P,
        &rewal::P,
        &fjall::P,
        &redb::P,
        &sqlite::P,
        &umadb::P,
    ]
}

/// Whether a peer is our own engine.
pub fn is_ours(name: &str) -> bool {
    name == taffrail::SHARED.name() || name == taffrail::EXCLUSIVE.name()
}

/// Whether several processes may write one log of an engine at the same time, as its documentation has it.
fn has_many_processes(name: &str) -> bool {
    [taffrail::SHARED.name(), "sqlite-wal"].contains(&name)
}

/// What the report tells of each.
pub fn facts() -> Vec<PeerFacts> {
    let of = |peer: &'static dyn Peer| {
        let meta = peer.meta();
        PeerFacts {
            name: peer.name().to_owned(),
            version: meta.version.to_owned(),
            is_ours: is_ours(peer.name()),
            has_many_processes: has_many_processes(peer.name()),
            buffered: meta.w1.to_owned(),
            threads: meta.concurrency.to_owned(),
            checksum: meta.checksum.to_owned(),
            durable_by_default: meta.default_durability.to_owned(),
        }
    };
    all().into_iter().map(of).collect()
}

pub fn by_name(name: &str) -> Option<&'static dyn Peer> {
    all().into_iter().find(|peer| peer.name() == name)
}

/// Prints how each is driven.
pub fn list() {
    println!(
        "| peer | version | buffered appends | many threads | checksum | durable by default |\n|---|---|---|---|---|---|"
    );
    for peer in all() {
        let meta = peer.meta();
        let (name, version) = (peer.name(), meta.version);
        println!(
            "| {name} | {version} | {} | {} | {} | {} |",
            meta.w1, meta.concurrency, meta.checksum, meta.default_durability
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_compare_report::{EXCEPTIONS, PROMISES};

    #[test]
    fn exceptions_name_peers_and_workloads_that_there_are() {
        for exception in &EXCEPTIONS {
            assert!(by_name(exception.peer).is_some(), "{}", exception.peer);
            let is_promised = |workload: &&str| PROMISES.iter().any(|one| one.workload == *workload);
            assert!(exception.workloads.iter().all(|workload| is_promised(&workload)));
        }
    }
}

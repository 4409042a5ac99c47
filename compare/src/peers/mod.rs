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

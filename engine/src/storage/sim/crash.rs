//! Power cuts: which of the unsynced bytes, lengths and names survive.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inode::{Inode, SectorVersion, SizeVersion};
use super::machine::Machine;
use super::random::Random;

/// What an unsynced unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingKind {
    /// A name created, renamed (as one) or removed.
    Entry,
    /// A file's length.
    Size,
    /// One sector of 512 bytes, at `index * 512`.
    Sector {
        /// The sector's number in its file.
        index: u64,
    },
}

/// Something that a power cut keeps or loses on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUnit {
    /// Its place in [`super::SimDisk::pending_units`], and its bit in [`super::SimDisk::power_cut_mask`].
    pub index: usize,
    /// What it is.
    pub kind: PendingKind,
    /// The file it belongs to, by the name it was last given.
    pub name: Arc<str>,
    /// How many values it took since the last sync. A choice of 0 keeps the durable one, `versions` the newest.
    pub versions: usize,
}

/// The moments at which a unit took its values, oldest first.
pub(super) enum Moments<'unit> {
    Entry(u64),
    Sizes(&'unit [SizeVersion]),
    Sector(&'unit [SectorVersion]),
}

impl Moments<'_> {
    fn count(&self) -> usize {
        match self {
            Moments::Entry(_) => 1,
            Moments::Sizes(sizes) => sizes.len(),
            Moments::Sector(versions) => versions.len(),
        }
    }

    /// How many values were there before an operation.
    fn count_before(&self, operation: u64) -> usize {
        match self {
            Moments::Entry(written_at) => usize::from(*written_at < operation),
            Moments::Sizes(sizes) => sizes.partition_point(|size| size.written_at < operation),
            Moments::Sector(versions) => versions.partition_point(|version| version.written_at < operation),
        }
    }

    fn first(&self) -> u64 {
        match self {
            Moments::Entry(written_at) => *written_at,
            Moments::Sizes(sizes) => sizes.first().map_or(0, |size| size.written_at),
            Moments::Sector(versions) => versions.first().map_or(0, |version| version.written_at),
        }
    }
}

/// Gives the units their numbers while a walk over the machine meets them.
struct Walk<'choose> {
    next_index: usize,
    choose: &'choose mut dyn FnMut(&PendingUnit, &Moments<'_>) -> usize,
}

impl Walk<'_> {
    fn choice(&mut self, kind: PendingKind, name: &Arc<str>, moments: &Moments<'_>) -> usize {
        let unit = PendingUnit { index: self.next_index, kind, name: Arc::clone(name), versions: moments.count() };
        self.next_index += 1;
        (self.choose)(&unit, moments).min(unit.versions)
    }

    fn survivor(&mut self, inode: &Inode) -> Inode {
        let sizes = inode.pending_sizes();
        let sizes = match sizes {
            [] => 0,
            _ => self.choice(PendingKind::Size, &inode.name, &Moments::Sizes(sizes)),
        };
        inode.survivor(sizes, |index, versions| {
            self.choice(PendingKind::Sector { index }, &inode.name, &Moments::Sector(versions))
        })
    }
}

impl Machine {
    /// A new image of the disk: every unit is asked for, and what it answers survives.
    ///
    /// The order of the units is fixed: names by age, then files by number, each with its length before its sectors.
    pub(super) fn power_cut(&self, choose: &mut dyn FnMut(&PendingUnit, &Moments<'_>) -> usize) -> Machine {
        let mut walk = Walk { next_index: 0, choose };
        let tree = self.names.survivor(|pending| {
            walk.choice(PendingKind::Entry, &pending.name, &Moments::Entry(pending.written_at)) != 0
        });
        let mut inodes: BTreeMap<u64, Arc<Inode>> = BTreeMap::new();
        for (number, inode) in &self.inodes {
            let survivor = if inode.is_settled() { Arc::clone(inode) } else { Arc::new(walk.survivor(inode)) };
            if tree.place_of(*number).is_some() {
                inodes.insert(*number, survivor);
            }
        }
        self.reboot(tree, inodes)
    }

    /// What a power cut would ask for.
    pub(super) fn pending_units(&self) -> Vec<PendingUnit> {
        let mut units = Vec::new();
        self.power_cut(&mut |unit, _| {
            units.push(unit.clone());
            0
        });
        units
    }

    /// A power cut by chance. One in eight keeps all that was written before some moment, and of that moment's call a
    /// part; the others keep each unit on its own, with odds that differ between names, lengths and sectors.
    pub(super) fn power_cut_seeded(&self, seed: u64) -> Machine {
        let mut random = Random::new(seed);
        if random.below(8) == 0 {
            return self.power_cut_at_moment(&mut random);
        }
        let odds: [u64; 3] = std::array::from_fn(|_| [10, 50, 90][usize::from(random.below(3).to_le_bytes()[0])]);
        let old_versions_percent = [0, 30][usize::from(random.percent(50))];
        self.power_cut(&mut |unit, _| {
            let percent = match unit.kind {
                PendingKind::Entry => odds[0],
                PendingKind::Size => odds[1],
                PendingKind::Sector { .. } => odds[2],
            };
            if !random.percent(percent) {
                0
            } else if unit.versions > 1 && random.percent(old_versions_percent) {
                1 + usize::try_from(random.below(unit.versions as u64)).unwrap_or(0)
            } else {
                unit.versions
            }
        })
    }

    /// Everything before one moment survives, and of the call of that moment the first units do: a tear in a disk that
    /// keeps the order.
    fn power_cut_at_moment(&self, random: &mut Random) -> Machine {
        let mut first = self.next_operation;
        self.power_cut(&mut |_, moments| {
            first = first.min(moments.first());
            0
        });
        let moment = first + random.below(self.next_operation - first + 1);
        let mut torn_units = random.below(20);
        self.power_cut(&mut |_, moments| {
            let (before, with) = (moments.count_before(moment), moments.count_before(moment + 1));
            if with > before && torn_units > 0 {
                torn_units -= 1;
                return with;
            }
            before
        })
    }
}

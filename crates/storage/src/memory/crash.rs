//! Loss of power: from what is certain and what happened since, one state that a disk could show.
//!
//! For each file and for the entries, a seed picks how un-synced changes end:
//! 1. all lost; 2. all kept; 3. kept up to some change, that one torn; 4. kept or lost sector by sector.
//!
//! A lost sector shows what was there at the last sync, zeros where nothing was, or (past the old end) foreign bytes, as
//! a file system does that extends a file before it writes the blocks.

use super::{Content, ContentChange, EntryChange, Inode, MemoryDirectory, Tree, lock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

impl MemoryDirectory {
    /// What could be found after loss of power now. Equal seeds find the same; `self` is not changed.
    pub fn crash(&self, seed: u64) -> MemoryDirectory {
        let mut random = Random::new(seed);
        let tree = self.tree();
        let mut survivors: BTreeMap<*const Mutex<Content>, Inode> = BTreeMap::new();
        let mut entries = BTreeMap::new();
        for (name, inode) in tree.entries_after_crash(&mut random) {
            let survivor = survivors.entry(Arc::as_ptr(&inode)).or_insert_with(|| {
                let synced = lock(&inode).after_crash(&mut random);
                Arc::new(Mutex::new(Content { live: synced.clone(), synced, changes: Vec::new() }))
            });
            entries.insert(name, Arc::clone(survivor));
        }
        let folders = tree.folders.clone();
        let tree = Tree { folders, synced: entries.clone(), entries, changes: Vec::new() };
        MemoryDirectory { tree: Arc::new(Mutex::new(tree)), crashes: self.crashes + 1 }
    }
}

impl Tree {
    fn entries_after_crash(&self, random: &mut Random) -> BTreeMap<String, Inode> {
        let mut entries = self.synced.clone();
        let kept_first = match random.below(4) {
            0 => 0,
            1 => self.changes.len(),
            2 => random.below(self.changes.len() + 1),
            _ => {
                for change in &self.changes {
                    if random.below(2) == 0 {
                        change.clone().apply(&mut entries);
                    }
                }
                return entries;
            }
        };
        let kept: &[EntryChange] = &self.changes[..kept_first];
        kept.iter().for_each(|change| change.clone().apply(&mut entries));
        entries
    }
}

impl Content {
    fn after_crash(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        match random.below(6) {
            0 => {}
            1 => self.changes.iter().for_each(|change| change.apply(&mut bytes)),
            2 => {
                let kept = random.below(self.changes.len() + 1);
                self.changes[..kept].iter().for_each(|change| change.apply(&mut bytes));
                if let Some(torn) = self.changes.get(kept) {
                    torn.apply_torn(&mut bytes, random);
                }
            }
            _ => {
                let lost_in = 2 + random.below(6);
                for change in &self.changes {
                    change.apply_in_sectors(&mut bytes, lost_in, random);
                }
            }
        }
        bytes
    }
}

impl ContentChange {
    /// Keeps only the first bytes of a write.
    fn apply_torn(&self, target: &mut Vec<u8>, random: &mut Random) {
        if let Self::Write { offset, bytes } = self {
            let kept = random.below(bytes.len());
            Self::Write { offset: *offset, bytes: bytes[..kept].to_vec() }.apply(target);
        }
    }

    /// Loses about one sector in `lost_in`.
    fn apply_in_sectors(&self, target: &mut Vec<u8>, lost_in: usize, random: &mut Random) {
        let Self::Write { offset, bytes } = self else {
            if random.below(lost_in) > 0 {
                self.apply(target);
            }
            return;
        };
        let mut start = 0;
        while start < bytes.len() {
            let position = offset + start;
            let end = bytes.len().min(start + SECTOR_BYTES - position % SECTOR_BYTES);
            let sector = &bytes[start..end];
            start = end;
            let foreign = target.len() <= position && random.below(4) == 0;
            match random.below(lost_in) {
                0 if foreign => {
                    let bytes = sector.iter().map(|_| random.next() as u8).collect();
                    Self::Write { offset: position, bytes }.apply(target);
                }
                0 => {}
                _ => Self::Write { offset: position, bytes: sector.to_vec() }.apply(target),
            }
        }
    }
}

/// SplitMix64: equal seeds, equal crashes.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % (bound as u64).max(1)) as usize
    }
}

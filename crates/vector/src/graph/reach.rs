//! Making every row reachable from the entry points.
//!
//! Pruning cuts the last link to a few rows in ten thousand; no walk would ever find them.
//!
//! 1. Search breadth-first from the entry points, noting over which link each row was reached first: its tree link.
//! 2. For each row that was not reached, walk towards it (which only meets reached rows), and link it from the nearest row
//!    that has a free place or a link that is no tree link (the last such, the least important, is replaced).
//! 3. Go on with the search from there.
//!
//! Tree links are never replaced, so what was reached stays so. There is always a place: the rows that are last in the
//! tree have no tree links at all.

use std::sync::atomic::{AtomicBool, Ordering};

use super::GraphError;
use super::format::{NONE, words_of};
use super::key::row_of;
use super::scratch::{Seen, Walk};
use super::space::{LinkSpace, RowTarget};
use super::walk::{self, walk};
use crate::screen::prefetch_bytes;

/// Rows that are considered for a link to a row that was not reached.
const BEAM: usize = 64;

/// Rows without a tree link: not reached, or an entry point.
const UNREACHED: u32 = NONE;
const ENTRY: u32 = NONE - 1;

/// Packed neighbours, as they will be stored.
struct Packed<'a> {
    words: &'a mut [u32],
    stride: usize,
    degree: usize,
}

struct Tree {
    /// From which row each row was reached.
    parents: Vec<u32>,
    queue: Vec<u32>,
}

/// Changes as few links as needed for every row to be reachable.
pub(super) fn connect(
    space: &LinkSpace<'_>,
    entries: &[u32],
    degree: u32,
    neighbours: &mut [u32],
    cancel: &AtomicBool,
) -> Result<(), GraphError> {
    let rows = space.terms.len();
    let packed = Packed { words: neighbours, stride: words_of(degree), degree: degree as usize };
    let mut tree = Tree { parents: vec![UNREACHED; rows], queue: Vec::new() };
    for entry in entries {
        tree.parents[*entry as usize] = ENTRY;
        tree.queue.push(*entry);
    }
    tree.grow(&packed);
    let (mut seen, mut buffers, mut target) = (Seen::default(), Walk::default(), RowTarget::default());
    for row in 0..rows as u32 {
        if tree.parents[row as usize] != UNREACHED {
            continue;
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(GraphError::Cancelled);
        }
        space.target_of(row, &mut target);
        let start = (entries, &mut seen, &mut buffers);
        walk(&space.space(), &packed, &target.target(), BEAM, start, |_| ());
        let near = buffers.pool.iter().map(|key| row_of(*key));
        let anywhere = (0..rows as u32).filter(|row| tree.parents[*row as usize] != UNREACHED);
        let place = near.chain(anywhere).find_map(|from| Some((from, packed.place(from, &tree)?)));
        let (from, place) = place.expect("a row that is last in the tree has no tree links");
        packed.words[place] = row;
        tree.parents[row as usize] = from;
        tree.queue.push(row);
        tree.grow(&packed);
    }
    Ok(())
}

impl Tree {
    /// Reaches everything that can be reached from the queue.
    fn grow(&mut self, packed: &Packed<'_>) {
        let mut next = 0;
        while let Some(row) = self.queue.get(next).copied() {
            next += 1;
            for neighbour in packed.row(row) {
                if let Some(parent) = self.parents.get_mut(*neighbour as usize)
                    && *parent == UNREACHED
                {
                    *parent = row;
                    self.queue.push(*neighbour);
                }
            }
        }
        self.queue.clear();
    }
}

impl Packed<'_> {
    fn row(&self, row: u32) -> &[u32] {
        let start = row as usize * self.stride;
        &self.words[start..start + self.stride]
    }

    /// Where a link from a row can be put.
    fn place(&self, from: u32, tree: &Tree) -> Option<usize> {
        let links = &self.row(from)[..self.degree];
        let is_tree = |to: &u32| tree.parents.get(*to as usize) == Some(&from);
        let free = links.iter().position(|to| *to == NONE);
        let place = free.or_else(|| links.iter().rposition(|to| !is_tree(to)))?;
        Some(from as usize * self.stride + place)
    }
}

impl walk::Links for Packed<'_> {
    fn rows(&self) -> u32 {
        (self.words.len() / self.stride) as u32
    }

    fn neighbours<'a>(&'a self, row: u32, _buffer: &'a mut Vec<u32>) -> &'a [u32] {
        self.row(row)
    }

    fn prefetch(&self, row: u32) {
        prefetch_bytes(self.row(row));
    }
}

#[cfg(test)]
mod tests;

//! A set of row positions within one segment, as a dense bitmap.
//!
//! Dense words rather than compressed containers: segments hold at most some millions of rows (125 KB a million),
//! filters combine whole words at once, and the graph walk's membership test is one load. Bits at and beyond `len`
//! are always zero.

/// A set of rows in `0..len`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    words: Vec<u64>,
    len: u32,
}

impl Selection {
    /// The empty set over `len` rows.
    pub fn none(len: u32) -> Self {
        Self { words: vec![0; words_for(len)], len }
    }

    /// The full set over `len` rows.
    pub fn all(len: u32) -> Self {
        let mut set = Self { words: vec![u64::MAX; words_for(len)], len };
        set.clear_tail();
        set
    }

    /// Rows in the universe, not in the set.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Rows in the set.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Grows (new rows absent) or shrinks the universe.
    pub fn resize(&mut self, len: u32) {
        self.words.resize(words_for(len), 0);
        self.len = len;
        self.clear_tail();
    }

    #[inline]
    pub fn contains(&self, row: u32) -> bool {
        self.words.get((row >> 6) as usize).is_some_and(|word| (word >> (row & 63)) & 1 == 1)
    }

    /// Adds a row of the universe; panics beyond it.
    #[inline]
    pub fn insert(&mut self, row: u32) {
        assert!(row < self.len, "row outside of the selection's universe");
        self.words[(row >> 6) as usize] |= 1 << (row & 63);
    }

    #[inline]
    pub fn remove(&mut self, row: u32) {
        if row < self.len {
            self.words[(row >> 6) as usize] &= !(1 << (row & 63));
        }
    }

    /// Keeps the rows that are in `other` too. Rows beyond `other`'s universe are dropped.
    pub fn and(&mut self, other: &Self) {
        for (index, word) in self.words.iter_mut().enumerate() {
            *word &= other.words.get(index).copied().unwrap_or(0);
        }
    }

    /// Adds the rows of `other` that are in this universe.
    pub fn or(&mut self, other: &Self) {
        for (word, added) in self.words.iter_mut().zip(&other.words) {
            *word |= added;
        }
        self.clear_tail();
    }

    /// Drops the rows of `other`.
    pub fn and_not(&mut self, other: &Self) {
        for (word, dropped) in self.words.iter_mut().zip(&other.words) {
            *word &= !dropped;
        }
    }

    /// Turns the set into its complement within the universe.
    pub fn invert(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.clear_tail();
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            std::iter::successors((word != 0).then_some(word), |rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |rest| (index as u32) << 6 | rest.trailing_zeros())
        })
    }

    /// The bitmap's words, row 0 in the lowest bit of the first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words for bulk writers. A writer that sets a bit at or beyond `len` must call `clear_tail`.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Clears the bits beyond the universe.
    pub fn clear_tail(&mut self) {
        if let Some(last) = self.words.last_mut()
            && !self.len.is_multiple_of(64)
        {
            *last &= (1 << (self.len & 63)) - 1;
        }
    }
}

fn words_for(len: u32) -> usize {
    (len as usize).div_ceil(64)
}

#[cfg(test)]
mod tests;

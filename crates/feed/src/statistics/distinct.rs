//! The distinct values of a column and how often each occurs, up to a limit; beyond it only that there are more.

const SLOTS: usize = 256;
const EMPTY: u8 = u8::MAX;

/// At most [`super::KEYS_MAX`] values, each named by 64 bits: a number's own, or the hash of a text.
pub(super) struct Distinct {
    values: Vec<Counted>,
    /// Open addressing: places in `values`.
    slots: Box<[u8; SLOTS]>,
    limit: usize,
    over: bool,
}

pub(super) struct Counted {
    pub bits: u64,
    pub count: u64,
    /// The text, for values that are one.
    pub key: String,
}

impl Distinct {
    /// At most `limit` values, which is at most 200 so that the slots never fill up.
    pub(super) fn new(limit: usize) -> Self {
        Self { values: Vec::new(), slots: Box::new([EMPTY; SLOTS]), limit: limit.min(200), over: false }
    }

    /// `None` once there were more values than the limit.
    pub(super) fn values(&self) -> Option<&[Counted]> {
        (!self.over).then_some(&self.values)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn give_up(&mut self) {
        self.over = true;
        self.values = Vec::new();
    }

    /// Counts one value; `key` is called for a new one only.
    pub(super) fn add(&mut self, bits: u64, key: impl FnOnce() -> String) {
        if self.over {
            return;
        }
        let mut slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize;
        loop {
            match self.slots[slot] {
                EMPTY => break,
                place => {
                    let counted = &mut self.values[place as usize];
                    if counted.bits == bits {
                        counted.count += 1;
                        return;
                    }
                }
            }
            slot = (slot + 1) % SLOTS;
        }
        if self.values.len() == self.limit {
            return self.give_up();
        }
        self.slots[slot] = self.values.len() as u8;
        self.values.push(Counted { bits, count: 1, key: key() });
    }

    /// The same counts under other bits: those of a column whose integers turned out to be floats.
    pub(super) fn renamed(&self, bits: impl Fn(u64) -> u64) -> Self {
        let mut renamed = Self::new(self.limit);
        renamed.over = self.over;
        for value in &self.values {
            renamed.add(bits(value.bits), || value.key.clone());
            if let Some(last) = renamed.values.iter_mut().find(|other| other.bits == bits(value.bits)) {
                last.count += value.count - 1;
            }
        }
        renamed
    }
}

//! An order-independent hash of a multiset: the wrapping sum of its elements' 128-bit hashes.
//!
//! Two copies that hold the same elements have the same sum whatever order they came in, and an element can be taken
//! out again. Against chance it is as good as the 128 bits; it is no defence against chosen elements.

/// The running sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultisetHash(u128);

impl MultisetHash {
    pub const fn from_value(value: u128) -> Self {
        Self(value)
    }

    pub const fn get(self) -> u128 {
        self.0
    }

    pub fn add(&mut self, element: u128) {
        self.0 = self.0.wrapping_add(element);
    }

    pub fn remove(&mut self, element: u128) {
        self.0 = self.0.wrapping_sub(element);
    }
}

#[cfg(test)]
mod tests {
    use super::MultisetHash;

    #[test]
    fn order_does_not_matter_and_removal_undoes() {
        let mut one = MultisetHash::default();
        let mut other = MultisetHash::default();
        [u128::MAX, 5, 9].into_iter().for_each(|element| one.add(element));
        [9, u128::MAX, 7, 5].into_iter().for_each(|element| other.add(element));
        assert_ne!(one, other);
        other.remove(7);
        assert_eq!(one, other);
    }
}

//! Which file is read where.

use crate::datasets::listings::Found;
use lavandin_types::NodeId;
use std::collections::{BTreeMap, VecDeque};

/// Files here that are looked through for one that another node has too.
const LOOKED_AT_MAX: usize = 64;

/// Files to be read, by who has them: none for this node and for stores.
pub(super) struct Waiting(BTreeMap<Option<NodeId>, VecDeque<usize>>);

impl Waiting {
    pub(super) fn new(found: &[Found], files: &[usize]) -> Self {
        let mut waiting: BTreeMap<_, VecDeque<usize>> = BTreeMap::new();
        for at in files {
            waiting.entry(found[*at].holder).or_default().push_back(*at);
        }
        Self(waiting)
    }

    /// The next one for this node: what is not here has to be copied, so that comes last, from whoever has most to do.
    pub(super) fn for_here(&mut self) -> Option<usize> {
        let here = self.0.get_mut(&None).and_then(VecDeque::pop_front);
        here.or_else(|| self.0.values_mut().max_by_key(|of_node| of_node.len())?.pop_back())
    }

    /// The next one for another node.
    pub(super) fn for_node(&mut self, node: NodeId, found: &[Found]) -> Option<usize> {
        let own = self.0.get_mut(&Some(node)).and_then(VecDeque::pop_front);
        own.or_else(|| {
            let here = self.0.get_mut(&None)?;
            let at = here.iter().take(LOOKED_AT_MAX).position(|at| found[*at].is_on(node))?;
            here.remove(at)
        })
    }

    pub(super) fn put_back(&mut self, at: usize, holder: Option<NodeId>) {
        self.0.entry(holder).or_default().push_front(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lavandin_feed::format::Format;
    use lavandin_feed::location::Location;

    const OTHER: NodeId = NodeId::new(2);
    const THIRD: NodeId = NodeId::new(3);

    /// Two files of this node, one that every node can read, two of another node and one of a third.
    fn found() -> Vec<Found> {
        let found = |location: &str, holder| {
            let mut found = Found::here(Location::parse(location).unwrap(), Format::Csv);
            found.holder = holder;
            found
        };
        vec![
            found("file:///data/shard.00000.csv", None),
            found("file:///data/shard.00001.csv", None),
            found("https://store/shard.00002.csv", None),
            found("file:///data/shard.00003.csv", Some(OTHER)),
            found("file:///data/shard.00004.csv", Some(OTHER)),
            found("file:///data/shard.00005.csv", Some(THIRD)),
        ]
    }

    fn waiting(found: &[Found]) -> Waiting {
        Waiting::new(found, &[0, 1, 2, 3, 4, 5])
    }

    #[test]
    fn this_node_reads_its_own_first_and_then_helps_whoever_has_most() {
        let found = found();
        let mut waiting = waiting(&found);
        let all: Vec<_> = std::iter::from_fn(|| waiting.for_here()).collect();
        assert_eq!(all[..4], [0, 1, 2, 4], "from the end of the others, who begin at the front");
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn another_node_reads_its_own_first_and_then_what_it_has_too() {
        let found = found();
        let mut waiting = waiting(&found);
        let mut of_other = || waiting.for_node(OTHER, &found);
        assert_eq!([of_other(), of_other(), of_other(), of_other()], [Some(3), Some(4), Some(2), None]);
        waiting.put_back(4, found[4].holder);
        waiting.put_back(2, found[2].holder);
        assert_eq!(waiting.for_node(OTHER, &found), Some(4));
        assert_eq!([waiting.for_here(), waiting.for_here()], [Some(2), Some(0)]);
    }
}

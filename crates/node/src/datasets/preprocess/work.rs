//! Which files of a job are to be made, and which of them again on another node that has them too.

use crate::datasets::listings::Holders;
use crate::datasets::preprocess::round::Homes;
use lavandin_feed::location::Version;
use lavandin_types::NodeId;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Files to be made.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Work {
    pub(super) rows: VecDeque<u32>,
    pub(super) without_rows: VecDeque<u32>,
    /// Who has those that lie in folders of nodes, and how.
    holders: HashMap<u32, Holders>,
}

impl Work {
    pub(super) fn add(&mut self, file: u32, has_batches: bool, holders: Option<&Holders>) {
        let files = if has_batches { &mut self.rows } else { &mut self.without_rows };
        files.push_back(file);
        if let Some(holders) = holders {
            self.holders.insert(file, holders.clone());
        }
    }

    pub(super) fn homes(&self) -> Homes {
        let nodes = |holders: &Holders| holders.iter().map(|(node, _)| *node).collect();
        self.holders.iter().map(|(file, holders)| (*file, nodes(holders))).collect()
    }

    /// Whether there are files on several nodes, which may leave some as they were.
    pub(super) fn may_leave_stale(&self) -> bool {
        self.holders.values().any(|holders| holders.len() > 1)
    }

    /// Files that lie on some node `now` as they did when the work was planned, and that this node has not made: `made` on
    /// another one that has them. A folder that nodes share shows the new file on all of them. What a node has made may lie
    /// there as it did before: another node may have seen to the job then.
    pub(super) fn stale(
        &self,
        made: &[(u32, NodeId)],
        now: &BTreeMap<String, Holders>,
        names: &[String],
    ) -> Option<Self> {
        let made: HashSet<&(u32, NodeId)> = made.iter().collect();
        let mut stale = Self::default();
        for (files, has_batches) in [(&self.rows, true), (&self.without_rows, false)] {
            for file in files {
                let lies = now.get(&names[*file as usize]);
                let as_before = |holder: &&(NodeId, Version)| {
                    !made.contains(&(*file, holder.0)) && lies.is_some_and(|lies| lies.contains(holder))
                };
                let holders: Holders =
                    self.holders.get(file).into_iter().flatten().filter(as_before).cloned().collect();
                if !holders.is_empty() {
                    stale.add(*file, has_batches, Some(&holders));
                }
            }
        }
        (stale != Self::default()).then_some(stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeId = NodeId::new(1);
    const OTHER: NodeId = NodeId::new(2);

    fn version(time: &str) -> Version {
        Version::new(30, Some(time.to_owned()))
    }

    fn lying(files: &[(&str, &[(NodeId, &str)])]) -> BTreeMap<String, Holders> {
        let holders =
            |holders: &[(NodeId, &str)]| holders.iter().map(|(node, time)| (*node, version(time))).collect();
        files.iter().map(|(name, of)| ((*name).to_owned(), holders(of))).collect()
    }

    fn names() -> Vec<String> {
        ["a", "b"].map(str::to_owned).to_vec()
    }

    /// Two files that are written again, the second one without rows.
    fn work(before: &BTreeMap<String, Holders>) -> Work {
        let mut work = Work::default();
        work.add(0, true, before.get("a"));
        work.add(1, false, before.get("b"));
        work
    }

    #[test]
    fn a_file_is_made_again_on_each_node_that_has_it_once() {
        let before = lying(&[("a", &[(ONE, "old"), (OTHER, "old")]), ("b", &[(ONE, "old"), (OTHER, "old")])]);
        let work = work(&before);
        assert!(work.may_leave_stale());
        let now = lying(&[("a", &[(ONE, "new"), (OTHER, "old")]), ("b", &[(ONE, "old"), (OTHER, "new")])]);
        let stale = work.stale(&[(0, ONE), (1, OTHER)], &now, &names()).expect("one of each");
        assert_eq!((&stale.rows, &stale.without_rows), (&VecDeque::from([0]), &VecDeque::from([1])));
        assert_eq!(stale.homes(), HashMap::from([(0, vec![OTHER]), (1, vec![ONE])]));
        let all = [(0, ONE), (1, OTHER), (0, OTHER), (1, ONE)];
        assert_eq!(stale.stale(&all, &before, &names()), None, "even if it looks as it did");
    }

    #[test]
    fn a_shared_folder_and_a_node_that_is_gone_leave_nothing_to_do() {
        let before = lying(&[("a", &[(ONE, "old"), (OTHER, "old")])]);
        let work = work(&before);
        let shared = lying(&[("a", &[(ONE, "new"), (OTHER, "new")])]);
        assert_eq!(work.stale(&[(0, ONE)], &shared, &names()), None);
        let gone = lying(&[("a", &[(ONE, "new")])]);
        assert_eq!(work.stale(&[(0, ONE)], &gone, &names()), None);
        assert!(!self::work(&gone).may_leave_stale());
    }
}

//! Random commands over a few names, nodes and groups, so that they meet.

use super::{form, key};
use crate::snapshot::weigh;
use crate::*;
use lavandin_types::{
    BuildParameters, ClusterId, CollectionId, ElementType, GroupId, IndexMode, NodeId, PrimaryEpoch, StoreId,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "bad name"]).prop_map(str::to_owned)
}

fn collection_id() -> impl Strategy<Value = CollectionId> {
    (0u64..12).prop_map(CollectionId::new)
}

/// Any command over a few names and ids, so that they meet.
fn command() -> impl Strategy<Value = Command> {
    let element = prop::sample::select(vec![ElementType::F32, ElementType::F16]);
    let mode = prop::sample::select(vec!["FLAT-IP", "hnsw-cos"]);
    let index = mode
        .prop_map(|mode| IndexDefinition::new(&IndexMode::parse(mode).unwrap(), BuildParameters::default()));
    let forms = vec![IntegerIdForm::Unset, IntegerIdForm::External, IntegerIdForm::Internal];
    let text = || prop::option::of("[a-zé]{0,6}");
    prop_oneof![
        (0u128..2).prop_map(form),
        (5u128..9, "[a-z]{0,4}").prop_map(|(store, address)| register(store, &address, 0, None)),
        (name(), any::<bool>())
            .prop_map(|(name, drop_if_exists)| Command::CreateDatabase { name, drop_if_exists }),
        name().prop_map(|name| Command::DropDatabase { name }),
        (name(), name(), 0u32..3, element, text(), any::<bool>()).prop_map(
            |(database, name, dim, element, description, drop_if_exists)| Command::CreateCollection {
                database,
                name,
                dim,
                element,
                description,
                drop_if_exists,
            }
        ),
        (name(), name()).prop_map(|(database, name)| Command::DropCollection { database, name }),
        (collection_id(), text())
            .prop_map(|(collection, description)| Command::SetDescription { collection, description }),
        (collection_id(), 0u32..3).prop_map(|(collection, dim)| Command::FixDimension { collection, dim }),
        (collection_id(), prop::option::of(index))
            .prop_map(|(collection, index)| Command::SetIndex { collection, index }),
        (collection_id(), prop::sample::select(forms))
            .prop_map(|(collection, form)| Command::SetIntegerIdForm { collection, form }),
        (name(), text()).prop_map(|(id, note)| Command::PutApiKey { key: key(&id, note.as_deref()) }),
        name().prop_map(|id| Command::RemoveApiKey { id }),
    ]
}

fn register(store: u128, address: &str, start: u128, intact: Option<Vec<GroupId>>) -> Command {
    Command::RegisterNode(NodeRegistration {
        store: StoreId::new(store),
        address: address.to_owned(),
        start_id: StartId::new(start),
        intact,
        ..NodeRegistration::default()
    })
}

/// What the parts of a command on the cluster's shape are drawn from.
#[derive(Clone, Copy, Debug)]
struct Draw {
    kind: u8,
    group: u64,
    node: u64,
    other: u64,
    /// Whether revision and incarnation are what they should be.
    right: bool,
    number: u64,
}

fn draw() -> impl Strategy<Value = Draw> {
    (0u8..18, 1u64..4, 1u64..8, 1u64..8, prop::bool::weighted(0.9), 0u64..5).prop_map(
        |(kind, group, node, other, right, number)| Draw { kind, group, node, other, right, number },
    )
}

impl Draw {
    /// The command that it is in the state that it meets.
    fn command(self, catalogue: &Catalogue) -> Command {
        let (group, node) = (GroupId::new(self.group), NodeId::new(self.node));
        let wrong = u64::from(!self.right);
        let present = catalogue.group(group).map(|group| group.revision());
        let present = present.unwrap_or(Revision { epoch: PrimaryEpoch::ZERO, version: 0 });
        let expected = Revision { version: present.version + wrong, ..present };
        let incarnation = catalogue.node(node).map_or(0, |node| node.incarnation) + wrong;
        let address = format!("n{}", self.other);
        // Most nodes are no candidates: half of the time take one that is in sync.
        let in_sync = catalogue.group(group).into_iter().flat_map(|group| group.in_sync.keys().rev());
        let in_sync = in_sync.copied().nth(self.number as usize / 3).filter(|_| self.right);
        let member = in_sync.unwrap_or(node);
        match self.kind {
            0 => Command::ShrinkGroup { group, expected, remove: member, reason: StaleReason::MissedWrite },
            1 | 2 => Command::AddJoiner { group, expected, node, incarnation },
            3 => Command::DropJoiner { group, expected },
            4..=6 => {
                let joiner = catalogue.group(group).and_then(|group| group.joiner);
                let node = joiner.map_or(node, |joiner| joiner.node);
                let incarnation = joiner.map_or(incarnation, |joiner| joiner.incarnation + wrong);
                Command::GrowGroup { group, expected, node, incarnation }
            }
            7 => Command::Promote { group, expected, primary: member },
            8 => Command::ForcePromote { group, expected, primary: node },
            9 => Command::AddReplica { group, node, replaces: self.right.then_some(NodeId::new(self.other)) },
            10 => Command::AddReplica { group, node, replaces: None },
            11 => Command::RemoveReplica { group, node },
            12 => Command::RemoveNode { node },
            13 => {
                let members = vec![node, NodeId::new(self.other)];
                Command::AddGroup(GroupSeed { name: format!("g{}", self.number), members, primary: node })
            }
            14 => {
                let intact = self.right.then(|| vec![group]);
                register(u128::from(self.node), &format!("n{}", self.node), 0, intact)
            }
            17 => Command::MoveCopies {
                from: node,
                to: (self.number > 1).then_some(NodeId::new(self.other)),
                retires: self.right,
            },
            15 => register(u128::from(self.node), &address, u128::from(self.number), None),
            _ => Command::LeaseIds {
                collection: CollectionId::new(self.group),
                node,
                count: self.number,
                largest_known: self.right.then_some(7 * self.other),
            },
        }
    }
}

/// A cluster of two groups of three, of which all nodes registered but the last.
fn three_copies() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let ids = |numbers: [u64; 3]| numbers.map(NodeId::new).to_vec();
    let group = |name: &str, numbers: [u64; 3]| GroupSeed {
        name: name.to_owned(),
        members: ids(numbers),
        primary: NodeId::new(numbers[0]),
    };
    let seed = LayoutSeed {
        cluster: ClusterId::new(1),
        nodes: (1..=6).map(|node| format!("n{node}")).collect(),
        groups: vec![group("sg0", [1, 2, 3]), group("sg1", [4, 5, 6])],
        options: ClusterOptions::default(),
    };
    catalogue.apply(Command::FormLayout(seed)).unwrap();
    for node in 1..=5 {
        catalogue.apply(register(node, &format!("n{node}"), 0, None)).unwrap();
    }
    catalogue.apply(super::create_database("a")).unwrap();
    for name in ["a", "b"] {
        catalogue.apply(super::create("a", name, 4)).unwrap();
    }
    catalogue
}

/// What must hold of any state, and of any step to it.
#[derive(Default)]
struct Witness {
    /// The primary of every (group, epoch) that ever was.
    primaries: BTreeMap<(GroupId, PrimaryEpoch), NodeId>,
    leased: BTreeMap<CollectionId, Vec<(u64, u64)>>,
}

impl Witness {
    fn step(&mut self, before: &Catalogue, after: &Catalogue, command: &Command, reply: Option<&Reply>) {
        for group in after.groups() {
            self.group(before.group(group.id), group, after, command);
        }
        for node in after.nodes() {
            let incarnation = before.node(node.id).map_or(0, |node| node.incarnation);
            assert!(node.incarnation >= incarnation);
        }
        let stores: Vec<_> = after.nodes().filter_map(|node| node.store).collect();
        assert_eq!(stores.iter().collect::<BTreeSet<_>>().len(), stores.len(), "a store is two nodes");
        if let (Command::LeaseIds { collection, largest_known, .. }, Some(Reply::Ids { first, count })) =
            (command, reply)
        {
            let ranges = self.leased.entry(*collection).or_default();
            assert!(ranges.iter().all(|(start, count)| *first >= start + count), "an id is leased twice");
            assert!(largest_known.is_none_or(|known| *first > known));
            ranges.push((*first, *count));
        }
    }

    fn group(
        &mut self,
        before: Option<&std::sync::Arc<GroupInfo>>,
        group: &GroupInfo,
        after: &Catalogue,
        command: &Command,
    ) {
        assert_eq!(group.contradiction(), None, "{group:?} after {command:?}");
        for member in &group.members {
            assert!(after.node(*member).is_some(), "{member} of {group:?} is no node");
        }
        let primary = *self.primaries.entry((group.id, group.epoch)).or_insert(group.primary);
        assert_eq!(primary, group.primary, "two primaries of one epoch");
        let Some(before) = before else { return };
        assert!(group.epoch >= before.epoch && group.version >= before.version);
        assert_eq!(**before == *group, before.version == group.version, "a change without a version");
        assert!((group.version - before.version) <= 1, "one command, one version");
        if group.primary != before.primary {
            assert!(group.epoch > before.epoch);
            let forced = matches!(command, Command::ForcePromote { .. });
            assert!(
                forced || before.in_sync.contains_key(&group.primary),
                "{command:?} promoted a stale copy"
            );
            assert_eq!(forced, group.unclean.len() > before.unclean.len());
        }
        for (node, incarnation) in &group.in_sync {
            let joined = before.joiner == Some(Joiner { node: *node, incarnation: *incarnation });
            let grown = joined && matches!(command, Command::GrowGroup { .. });
            let forced = matches!(command, Command::ForcePromote { .. }) && group.primary == *node;
            assert!(
                before.in_sync.contains_key(node) || grown || forced,
                "{node} came in sync by {command:?}"
            );
            // A primary serves under the incarnation that is registered.
            let registered = after.node(*node).unwrap().incarnation;
            assert!(*incarnation <= registered);
            assert!(*node != group.primary || *incarnation == registered);
        }
        assert!(!group.in_sync.is_empty() && group.rf >= 1);
    }
}

/// Applies a command and checks everything that must hold of each: a refusal changes nothing (also by its bytes), the
/// weight is the sum of the entries, the log's bytes and a snapshot give the same state.
fn apply_checked(
    catalogue: &mut Catalogue,
    replayed: &mut Catalogue,
    command: &Command,
) -> Result<Reply, CatalogueError> {
    let before = catalogue.encode();
    let outcome = catalogue.apply(command.clone());
    let after = catalogue.encode();
    if outcome.is_err() {
        assert_eq!(after, before, "{command:?} was refused and changed something");
    }
    assert_eq!(catalogue.bytes(), weigh(catalogue), "{command:?}");
    let logged = Command::decode(&command.encode()).unwrap();
    assert_eq!(&logged, command);
    assert_eq!(replayed.apply(logged), outcome);
    *replayed = Catalogue::decode(&after).unwrap();
    assert_eq!(replayed, catalogue);
    assert_eq!(replayed.encode(), after);
    outcome
}

proptest! {
    #[test]
    fn invariants_hold_after_every_command(commands in prop::collection::vec(command(), 1..60)) {
        let mut catalogue = Catalogue::default();
        catalogue.apply(form(1)).unwrap();
        let (mut replayed, mut witness) = (catalogue.clone(), Witness::default());
        for command in commands {
            let before = catalogue.clone();
            let outcome = apply_checked(&mut catalogue, &mut replayed, &command);
            prop_assert!(catalogue.last_collection >= before.last_collection);
            witness.step(&before, &catalogue, &command, outcome.as_ref().ok());
        }
    }

    #[test]
    fn invariants_of_groups_hold_after_every_command(draws in prop::collection::vec(draw(), 1..120)) {
        let mut catalogue = three_copies();
        let (mut replayed, mut witness) = (catalogue.clone(), Witness::default());
        for draw in draws {
            let command = draw.command(&catalogue);
            let before = catalogue.clone();
            let outcome = apply_checked(&mut catalogue, &mut replayed, &command);
            prop_assert!(catalogue.last_node >= before.last_node && catalogue.last_group >= before.last_group);
            witness.step(&before, &catalogue, &command, outcome.as_ref().ok());
        }
    }
}

/// The draws of the test above reach every command's success, or that test would show nothing.
#[test]
fn random_commands_succeed_often_enough() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut succeeded: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..150 {
        let mut catalogue = three_copies();
        let draws = prop::collection::vec(draw(), 100).new_tree(&mut runner).unwrap().current();
        for draw in draws {
            let command = draw.command(&catalogue);
            if catalogue.apply(command.clone()).is_ok() {
                *succeeded.entry(command.name()).or_default() += 1;
            }
        }
    }
    assert_eq!(succeeded.len(), 13, "{succeeded:?}");
    assert!(succeeded.values().all(|count| *count >= 20), "{succeeded:?}");
}

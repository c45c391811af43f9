//! What a coordinator does that has no seat: it finds the cluster, or founds it from its layout, and registers itself.
//!
//! 1. It asks every node that it was told of who it is.
//! 2. If one belongs to a formed cluster that others can reach, that is the cluster: the coordinator registers there.
//! 3. If one is a cluster of its own, because it holds data, and a primary of the layout, it brings its data in: it is
//!    told its address and the layout, which it completes (`ExtendLayout`), and is found by the next round.
//! 4. Else, once all nodes of the layout answer (or, after `PATIENCE`, all that are to vote first), every empty one is
//!    adopted: with its number, the first voters and the seed. Two coordinators that do this at once adopt for the same
//!    voters, so that one group is founded; whose seed its leader proposes first is the cluster.

use super::Membership;
use crate::identity::{self, Seat};
use crate::peers::{ControlReply, ControlRequest, IdentityForm};
use futures_util::future::join_all;
use lavandin_cluster::{ClusterOptions, LayoutSeed, StaticLayout, voters_of};
use lavandin_types::{ClusterId, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const ANSWER_MAX: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);
/// Who does not answer may know a cluster, so that it is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// After this many rounds the reason is said.
const ROUNDS_QUIET: u32 = 20;

/// A node that answered, and where.
type Found = (String, IdentityForm);

impl Membership {
    pub(super) async fn found_or_join(&self) {
        let patient_until = Instant::now() + PATIENCE;
        for round in 1u32.. {
            match self.look_for_cluster(Instant::now() < patient_until).await {
                Ok(()) => return,
                Err(reason) if round.is_multiple_of(ROUNDS_QUIET) => {
                    tracing::warn!(event = "no_cluster", reason, "the cluster is not there yet");
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look_for_cluster(&self, patient: bool) -> Result<(), String> {
        let layout = self.settings.layout.as_ref();
        let of_layout = layout.into_iter().flat_map(|layout| layout.nodes()).map(str::to_owned);
        let mut uris: Vec<String> =
            of_layout.chain(self.settings.contacts.iter().chain(&self.settings.owners).cloned()).collect();
        uris.sort();
        uris.dedup();
        let answers = join_all(uris.into_iter().map(|uri| self.identify(uri))).await;
        let (mut found, mut silent): (Vec<Found>, BTreeMap<String, String>) = Default::default();
        for (uri, answer) in answers {
            match answer {
                Ok(identity) => found.push((uri, identity)),
                Err(reason) => drop(silent.insert(uri, reason)),
            }
        }
        let formed: Vec<&Found> = found.iter().filter(|(_, identity)| identity.cluster.is_some()).collect();
        let reached = |(_, identity): &&&Found| identity.known.iter().any(|(_, address)| !address.is_empty());
        if let Some((_, member)) = formed.iter().find(reached) {
            let known = member.known.iter().map(|(node, address)| (NodeId::new(*node), address.clone()));
            return self.join(known.filter(|(_, address)| !address.is_empty()).collect()).await;
        }
        match (layout, &formed[..]) {
            (Some(layout), []) => self.found(layout, (&found, &silent), patient).await,
            (Some(layout), [(uri, one)]) => self.bring_in(layout, uri, one).await,
            (Some(_), several) => Err(format!(
                "several nodes hold data of their own, {}: give all but one an empty data directory",
                several.iter().map(|(uri, _)| uri.as_str()).collect::<Vec<_>>().join(" and ")
            )),
            (None, _) => Err(format!(
                "none of the nodes that it was told of belongs to a cluster{}",
                silent.values().next().map(|reason| format!("; {reason}")).unwrap_or_default()
            )),
        }
    }

    async fn identify(&self, uri: String) -> (String, Result<IdentityForm, String>) {
        let deadline = Instant::now() + ANSWER_MAX;
        let answer = match self.control((&uri, None), &ControlRequest::Identify, deadline).await {
            Ok(ControlReply::Identity(identity)) => Ok(identity),
            Ok(_) => Err(format!("{uri} gave another answer")),
            Err(reason) => Err(reason),
        };
        (uri, answer)
    }

    /// Registers this node and takes its seat.
    pub(super) async fn join(&self, known: Vec<(NodeId, String)>) -> Result<(), String> {
        let registration = self.registration(Vec::new());
        let address = registration.address.clone();
        let request = ControlRequest::Register(Box::new(registration));
        let info = match self.ask_around(known.clone(), &request, Instant::now() + 2 * ANSWER_MAX).await? {
            ControlReply::Registered(info) => info,
            ControlReply::Wait => return Err("another node at its address may be alive".to_owned()),
            ControlReply::Refused(refused) => return Err(refused.reason),
            _ => return Err("the metadata has no leader yet".to_owned()),
        };
        let known = known.into_iter().map(|(node, address)| (node.get(), address)).collect();
        let seat = Seat { node: info.id.get(), address, known, seed: None, moved_in: false, given_up: false };
        match self.take_seat(seat) {
            ControlReply::Adopted => Ok(()),
            ControlReply::Refused(refused) => Err(refused.reason),
            _ => Err("the seat was not taken".to_owned()),
        }
    }

    /// Adopts the layout's nodes, once those that are to vote first are there. The next round finds the cluster.
    async fn found(
        &self,
        layout: &StaticLayout,
        (found, silent): (&[Found], &BTreeMap<String, String>),
        patient: bool,
    ) -> Result<(), String> {
        let voters = voters_of(layout, &self.settings.owners).map_err(|error| error.to_string())?;
        let uris = layout.nodes();
        let at = |node: &NodeId| uris.get(node.get() as usize - 1).map(|uri| (*uri).to_owned());
        let voters: BTreeMap<u64, String> =
            voters.iter().filter_map(|node| Some((node.get(), at(node)?))).collect();
        let wanted: Vec<&str> =
            if patient { uris.clone() } else { voters.values().map(String::as_str).collect() };
        let missing: Vec<&str> =
            wanted.iter().filter_map(|uri| silent.get(*uri)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(format!("some of its nodes do not answer: {}", missing.join("; ")));
        }
        let cluster = identity::new_cluster_id().map_err(|error| error.to_string())?;
        let seed = self.seed(layout, cluster)?;
        let empty = found.iter().filter(|(_, identity)| identity.node.is_none());
        let adopting = empty.filter_map(|(uri, _)| {
            let node = layout.node_at(uri)?.get();
            let (address, known, seed) = (uri.clone(), voters.clone(), Some(seed.clone()));
            let seat = Seat { node, address, known, seed, moved_in: false, given_up: false };
            Some(self.adopt(uri.clone(), seat))
        });
        let refused: Vec<String> = join_all(adopting).await.into_iter().flatten().collect();
        Err(if refused.is_empty() { "the metadata is being founded".to_owned() } else { refused.join("; ") })
    }

    /// Tells a node with data of its own that it is the first of the layout. The next round finds its cluster.
    async fn bring_in(&self, layout: &StaticLayout, uri: &str, one: &IdentityForm) -> Result<(), String> {
        if !layout.groups.iter().any(|group| layout.node_at(&group.primary) == layout.node_at(uri)) {
            return Err(format!(
                "{uri} holds data of its own and is no primary: name it as the primary of a group, whose copies then get \
                 its data, or give it an empty data directory"
            ));
        }
        let cluster = one.cluster.as_deref().and_then(|digits| u128::from_str_radix(digits, 16).ok());
        let (Some(cluster), Some(node)) = (cluster, one.node) else {
            return Err(format!("{uri} does not say which cluster it is"));
        };
        let seed = Some(self.seed(layout, ClusterId::new(cluster))?);
        let (address, known) = (uri.to_owned(), BTreeMap::new());
        let seat = Seat { node, address, known, seed, moved_in: true, given_up: false };
        let refused = self.adopt(uri.to_owned(), seat).await;
        Err(refused.unwrap_or_else(|| format!("{uri} brings its data in")))
    }

    fn seed(&self, layout: &StaticLayout, cluster: ClusterId) -> Result<LayoutSeed, String> {
        let options = ClusterOptions {
            detection_ms: self.settings.detection_ms,
            min_in_sync: self.settings.min_in_sync,
            ..ClusterOptions::default()
        };
        layout.seed(cluster, &self.settings.owners, options).map_err(|error| error.to_string())
    }

    /// Why a node was not adopted, if it was not.
    async fn adopt(&self, uri: String, seat: Seat) -> Option<String> {
        let request = ControlRequest::Adopt(Box::new(seat));
        match self.control((&uri, None), &request, Instant::now() + ANSWER_MAX).await {
            Ok(ControlReply::Adopted) => None,
            Ok(ControlReply::Refused(refused)) => Some(format!("{uri}: {}", refused.reason)),
            Ok(_) => Some(format!("{uri} gave another answer")),
            Err(reason) => Some(reason),
        }
    }
}

//! What commands answer.

use crate::chores::ChoresNode;
use crate::collection::CollectionInfo;
use crate::dataset::{DatasetInfo, ShardsetInfo};
use crate::form;
use crate::group_info::GroupInfo;
use crate::job::JobInfo;
use crate::node_info::NodeInfo;
use crate::options::ClusterOptions;
use lavandin_types::{ClusterId, CollectionId, GroupId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    Formed {
        #[serde(with = "form::cluster_id")]
        cluster: ClusterId,
        #[serde(with = "form::group_id")]
        group: GroupId,
    },
    Node(NodeInfo),
    Database {
        created: bool,
        /// Collections of the database that it replaced.
        #[serde(with = "form::list")]
        dropped: Vec<CollectionId>,
    },
    Collection {
        #[serde(with = "form::shared")]
        info: Arc<CollectionInfo>,
        created: bool,
        /// The collection that it replaced.
        #[serde(with = "form::optional")]
        dropped: Option<CollectionId>,
    },
    /// The collections whose data may be removed; none if there was nothing to drop.
    Dropped {
        #[serde(with = "form::list")]
        collections: Vec<CollectionId>,
    },
    /// The collection after the command, and whether the command changed it.
    Updated {
        #[serde(with = "form::shared")]
        info: Arc<CollectionInfo>,
        changed: bool,
    },
    /// The dataset after the command, and whether the command changed it.
    Dataset {
        #[serde(with = "form::shared")]
        info: Arc<DatasetInfo>,
        changed: bool,
    },
    /// The dataset as it was, whose files may be removed; none if there was nothing to drop.
    DatasetDropped {
        info: Option<Box<DatasetInfo>>,
    },
    /// The dataset after the command, and the shardset whose files may be removed.
    ShardsetDropped {
        #[serde(with = "form::shared")]
        info: Arc<DatasetInfo>,
        dropped: Option<ShardsetInfo>,
    },
    /// The group after the command, and whether the command changed it.
    Group {
        #[serde(with = "form::shared")]
        info: Arc<GroupInfo>,
        changed: bool,
    },
    /// `count` ids from `first` on.
    Ids {
        first: u64,
        count: u64,
    },
    /// The job of that name from now on.
    Job {
        #[serde(with = "form::shared")]
        info: Arc<JobInfo>,
    },
    Options(ClusterOptions),
    Chores(ChoresNode),
    Done,
}

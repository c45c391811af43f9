//! Bodies and replies of the cluster's endpoints.

use crate::lavender::check::{Body, Fields};
use serde::{Deserialize, Serialize};

/// `POST /cluster/register`, `/cluster/heartbeat` and `/cluster/deregister`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeUrl {
    pub node_url: String,
}

impl Body for NodeUrl {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        Some(Self { node_url: fields.required("node_url")? })
    }
}

/// One of `GET /cluster/nodes`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterNode {
    pub node_url: String,
    /// Seconds since 1970.
    pub last_heartbeat: Option<f64>,
    pub is_head: bool,
}

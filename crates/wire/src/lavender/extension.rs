//! Fields of ours on top of the published API, all of them, and all optional. A published client sends none, and a
//! reply holds those only that were asked for.
//!
//! | Where | Field | |
//! |---|---|---|
//! | `POST /iterations/`, and the iteration in replies | `order` | `"lavender"` (default), `"sequential"`, `"windowed"`, `"global"` |
//! | | `epoch` | of `windowed` and `global`: each has an order of its own under one seed |
//! | | `window_shards` | of `windowed`: shard files that are mixed with each other |
//! | | `drop_last` | `true` leaves out a last batch that is not full |
//! | | `mode` | `"dynamic"` (default): ranks take blocks as they come; `"static"`: each rank's share is fixed |
//! | | `ending` | of `static`: `"balanced"` (default), `"pad"`, `"drop"` |
//! | | `where` | a condition in the grammar of the vector side's filters |
//! | | `cursor` | of `static`: where to begin, as an earlier iteration told it |
//! | `GET …/next` | `batches` | how many batches the reply may hold (Arrow streams only) |
//! | | `step` | of `static`: which step's batch, again if the rank got it before |

use crate::lavender::check::{Field, Fields};
use crate::lavender::invalid::Faults;
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl Field for $name {
            fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
                match value.as_str() {
                    $(Some($word) => Some(Self::$variant),)+
                    _ => faults.note_literal($expected, value),
                }
            }
        }
    };
}

words!(
    /// Which samples follow each other.
    OrderName,
    "'lavender', 'sequential', 'windowed' or 'global'",
    /// As the published server has it: `shuffle`, `shuffle_seed` and `shuffle_block_size` decide.
    Lavender = "lavender",
    Sequential = "sequential",
    Windowed = "windowed",
    Global = "global"
);

words!(
    /// How ranks share the samples.
    Mode,
    "'dynamic' or 'static'",
    Dynamic = "dynamic",
    Static = "static"
);

words!(
    /// What becomes of samples that do not fill a batch on every rank.
    Ending,
    "'balanced', 'pad' or 'drop'",
    Balanced = "balanced",
    Pad = "pad",
    Drop = "drop"
);

/// Our fields of an iteration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IterationExtension {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_shards: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_last: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl IterationExtension {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            order: fields.optional("order"),
            epoch: fields.optional("epoch"),
            window_shards: fields.optional("window_shards"),
            drop_last: fields.optional("drop_last"),
            mode: fields.optional("mode"),
            ending: fields.optional("ending"),
            condition: fields.optional("where"),
            cursor: fields.optional("cursor"),
        }
    }
}

//! How the ids of `types` look in JSON: counters as numbers, wide ids as 32 hex digits, ids of the dataset wing as
//! their text, an element type by its name. These modules are named in `#[serde(with = …)]`, so that the format stands here and not in a derive on
//! a type that lives elsewhere. Changing one is a change of the format (docs/formats/metadata.md).

use crate::node_info::{BootId, StartId};
use lavandin_types::{
    ClusterId, CollectionId, ColumnId, DatasetId, ElementType, GroupId, NodeId, PrimaryEpoch, SchemaVersion,
    ShardsetId, StoreId,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A type with a JSON form of its own.
pub(crate) trait Form: Sized {
    type Json: Serialize + for<'de> Deserialize<'de>;
    fn to_json(&self) -> Self::Json;
    fn from_json(json: Self::Json) -> Result<Self, String>;
}

macro_rules! counter_form {
    ($($type:ty),*) => {$(
        impl Form for $type {
            type Json = u64;
            fn to_json(&self) -> u64 {
                self.get()
            }
            fn from_json(json: u64) -> Result<Self, String> {
                Ok(Self::new(json))
            }
        }
    )*};
}

counter_form!(CollectionId, GroupId, NodeId, PrimaryEpoch, SchemaVersion);

macro_rules! wide_form {
    ($($type:ty),*) => {$(
        impl Form for $type {
            type Json = String;
            fn to_json(&self) -> String {
                self.to_string()
            }
            fn from_json(json: String) -> Result<Self, String> {
                if json.len() != 32 {
                    return Err(format!("an id of {} hex digits instead of 32", json.len()));
                }
                u128::from_str_radix(&json, 16).map(Self::new).map_err(|error| error.to_string())
            }
        }
    )*};
}

wide_form!(BootId, ClusterId, StartId, StoreId);

macro_rules! text_form {
    ($($type:ty),*) => {$(
        impl Form for $type {
            type Json = String;
            fn to_json(&self) -> String {
                self.to_string()
            }
            fn from_json(json: String) -> Result<Self, String> {
                json.parse().map_err(|error| format!("{json:?}: {error}"))
            }
        }
    )*};
}

text_form!(ColumnId, DatasetId, ShardsetId);

impl Form for ElementType {
    type Json = String;
    fn to_json(&self) -> String {
        self.name().to_owned()
    }
    fn from_json(json: String) -> Result<Self, String> {
        Self::parse(&json).ok_or_else(|| format!("unknown element type {json:?}"))
    }
}

fn serialize_form<T: Form, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.to_json().serialize(serializer)
}

fn deserialize_form<'de, T: Form, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::from_json(T::Json::deserialize(deserializer)?).map_err(D::Error::custom)
}

macro_rules! with_module {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        pub(crate) mod $name {
            use super::*;
            pub(crate) fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_form(value, serializer)
            }
            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                deserialize_form(deserializer)
            }
        }
    )*};
}

with_module!(
    boot_id: BootId,
    cluster_id: ClusterId,
    collection_id: CollectionId,
    column_id: ColumnId,
    dataset_id: DatasetId,
    element_type: ElementType,
    group_id: GroupId,
    node_id: NodeId,
    primary_epoch: PrimaryEpoch,
    schema_version: SchemaVersion,
    shardset_id: ShardsetId,
    start_id: StartId,
    store_id: StoreId,
);

/// A list of ids as a JSON array.
pub(crate) mod list {
    use super::*;
    pub(crate) fn serialize<T: Form, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(Form::to_json))
    }
    pub(crate) fn deserialize<'de, T: Form, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let json = Vec::<T::Json>::deserialize(deserializer)?;
        json.into_iter().map(|item| T::from_json(item).map_err(D::Error::custom)).collect()
    }
}

/// A list of ids that may be absent (`null`).
pub(crate) mod optional_list {
    use super::*;
    pub(crate) fn serialize<T: Form, S: Serializer>(
        values: &Option<Vec<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let json: Option<Vec<T::Json>> = values.as_ref().map(|ids| ids.iter().map(Form::to_json).collect());
        json.serialize(serializer)
    }
    pub(crate) fn deserialize<'de, T: Form, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<T>>, D::Error> {
        let Some(json) = Option::<Vec<T::Json>>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let ids: Result<Vec<T>, String> = json.into_iter().map(T::from_json).collect();
        ids.map(Some).map_err(D::Error::custom)
    }
}

/// An id that may be absent (`null`).
pub(crate) mod optional {
    use super::*;
    pub(crate) fn serialize<T: Form, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Form::to_json).serialize(serializer)
    }
    pub(crate) fn deserialize<'de, T: Form, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Option::<T::Json>::deserialize(deserializer)?.map(T::from_json).transpose().map_err(D::Error::custom)
    }
}

/// A map from ids as an array of pairs, ascending.
pub(crate) mod pairs {
    use super::*;
    use std::collections::BTreeMap;
    pub(crate) fn serialize<T: Form, V: Serialize, S: Serializer>(
        values: &BTreeMap<T, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|(id, value)| (id.to_json(), value)))
    }
    pub(crate) fn deserialize<'de, T: Form + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<T, V>, D::Error> {
        let json = Vec::<(T::Json, V)>::deserialize(deserializer)?;
        let pair = |(id, value)| Ok((T::from_json(id).map_err(D::Error::custom)?, value));
        json.into_iter().map(pair).collect()
    }
}

/// A set of ids as a JSON array, ascending.
pub(crate) mod set {
    use super::*;
    use std::collections::BTreeSet;
    pub(crate) fn serialize<T: Form, S: Serializer>(
        values: &BTreeSet<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(Form::to_json))
    }
    pub(crate) fn deserialize<'de, T: Form + Ord, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<T>, D::Error> {
        list::deserialize(deserializer).map(|ids: Vec<T>| ids.into_iter().collect())
    }
}

/// A shared value as the value itself.
pub(crate) mod shared {
    use super::*;
    use std::sync::Arc;
    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(value, serializer)
    }
    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

/// A hash of 128 bits as 32 hex digits.
pub(crate) mod wide_hash {
    use super::*;
    pub(crate) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        format!("{value:032x}").serialize(serializer)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(D::Error::custom("a hash is not 32 hex digits"));
        }
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

/// 32 bytes as 64 hex digits.
pub(crate) mod digest {
    use super::*;
    use std::fmt::Write as _;
    pub(crate) fn serialize<S: Serializer>(value: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for byte in value {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        }
        text.serialize(serializer)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(D::Error::custom("a digest is not 64 hex digits"));
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(D::Error::custom)?;
        }
        Ok(bytes)
    }
}

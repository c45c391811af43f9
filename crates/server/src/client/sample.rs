//! Prints a batch as JSON. What JSON has no words for is shown so that a person sees what it is: bytes as
//! `{"bytes": base64}`, an array of numbers as lists within lists, any other array as its type, shape and bytes.

use super::output;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use half::f16;
use lavandin_wire::lavender::Named;
use lavandin_wire::lavender::sample::{Array, Item, decode};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

pub(super) fn print(bytes: &[u8]) -> Result<()> {
    let batch = decode(bytes).context("the batch cannot be read")?;
    output::object(&Pairs(&batch))
}

/// A batch as JSON text, for people.
pub(crate) fn to_json(bytes: &[u8]) -> Result<Vec<u8>> {
    let batch = decode(bytes).context("the batch cannot be read")?;
    Ok(serde_json::to_vec(&Pairs(&batch))?)
}

struct Pairs<'a>(&'a Named<Item>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.0.iter().map(|(name, item)| (name, Shown(item))))
    }
}

struct Shown<'a>(&'a Item);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Item::Json(value) => value.serialize(serializer),
            Item::Bytes(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("bytes", &STANDARD.encode(bytes))?;
                map.end()
            }
            Item::List(items) => serializer.collect_seq(items.iter().map(Shown)),
            Item::Object(pairs) => Pairs(pairs).serialize(serializer),
            Item::Array(array) => match numbers(array) {
                Some(nested) => nested.serialize(serializer),
                None => opaque(array, serializer),
            },
        }
    }
}

fn opaque<S: Serializer>(array: &Array, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(3))?;
    map.serialize_entry("dtype", &array.dtype)?;
    map.serialize_entry("shape", &array.shape)?;
    map.serialize_entry("bytes", &STANDARD.encode(&array.values))?;
    map.end()
}

/// The values as lists within lists; `None` if they are no numbers or do not fill the shape.
fn numbers(array: &Array) -> Option<Value> {
    let values = match array.dtype.trim_start_matches("torch.") {
        "bool" => each(array, |[byte]: [u8; 1]| Value::from(byte != 0)),
        "int8" => each(array, |bytes| i8::from_le_bytes(bytes).into()),
        "int16" => each(array, |bytes| i16::from_le_bytes(bytes).into()),
        "int32" => each(array, |bytes| i32::from_le_bytes(bytes).into()),
        "int64" => each(array, |bytes| i64::from_le_bytes(bytes).into()),
        "uint8" => each(array, |bytes| u8::from_le_bytes(bytes).into()),
        "uint16" => each(array, |bytes| u16::from_le_bytes(bytes).into()),
        "uint32" => each(array, |bytes| u32::from_le_bytes(bytes).into()),
        "uint64" => each(array, |bytes| u64::from_le_bytes(bytes).into()),
        "float16" => each(array, |bytes| f16::from_le_bytes(bytes).to_f64().into()),
        "float32" => each(array, |bytes| f32::from_le_bytes(bytes).into()),
        "float64" => each(array, |bytes| f64::from_le_bytes(bytes).into()),
        _ => None,
    }?;
    let count = array.shape.iter().try_fold(1_u64, |count, side| count.checked_mul(*side))?;
    if count != values.len() as u64 {
        return None;
    }
    Some(nested(values, &array.shape))
}

fn each<const N: usize>(array: &Array, read: impl Fn([u8; N]) -> Value) -> Option<Vec<Value>> {
    let (values, rest) = array.values.as_chunks::<N>();
    rest.is_empty().then(|| values.iter().map(|bytes| read(*bytes)).collect())
}

/// Groups values from the last axis on; their number is the product of the shape.
fn nested(mut values: Vec<Value>, shape: &[u64]) -> Value {
    for side in shape.iter().skip(1).rev() {
        let side = usize::try_from(*side).unwrap_or(usize::MAX).max(1);
        values = values.chunks(side).map(|group| Value::Array(group.to_vec())).collect();
    }
    match shape {
        [] => values.pop().unwrap_or_default(),
        _ => Value::Array(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(item: Item) -> String {
        serde_json::to_string(&Shown(&item)).unwrap()
    }

    fn array(dtype: &str, shape: &[u64], values: &[u8]) -> Item {
        let (shape, dtype, values) = (shape.to_vec(), dtype.to_owned(), values.to_vec());
        Item::Array(Array { shape, dtype, strides: vec![], values, is_tensor: false })
    }

    #[test]
    fn arrays_of_numbers_are_lists() {
        assert_eq!(shown(array("uint8", &[2, 3], &[1, 2, 3, 4, 5, 6])), "[[1,2,3],[4,5,6]]");
        assert_eq!(shown(array("int16", &[1, 2, 1], &[1, 0, 255, 255])), "[[[1],[-1]]]");
        assert_eq!(shown(array("float32", &[], &1.5_f32.to_le_bytes())), "1.5");
        assert_eq!(shown(array("bool", &[2], &[0, 1])), "[false,true]");
        assert_eq!(shown(array("float64", &[0], &[])), "[]");
    }

    #[test]
    fn the_rest_is_shown_as_bytes() {
        assert_eq!(shown(Item::Bytes(vec![0, 255])), r#"{"bytes":"AP8="}"#);
        let text = r#"{"dtype":"<U1","shape":[1],"bytes":"YQAAAA=="}"#;
        assert_eq!(shown(array("<U1", &[1], b"a\0\0\0")), text);
        for wrong in
            [array("int32", &[2], &[0; 4]), array("int32", &[1], &[0; 5]), array("int8", &[u64::MAX, 2], &[])]
        {
            assert!(shown(wrong).contains("dtype"));
        }
    }
}

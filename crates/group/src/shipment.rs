//! Records on their way to another copy (docs/formats/replication.md): each as `u32` length and its bytes, which are
//! those that the primary made.

use crate::error::GroupError;
use crate::position::Position;
use crate::record::{self, Record};
use crate::request_table::take;
use crate::survey::check;
use lavandin_types::GroupId;

/// Some records in a row, as read back for another copy.
#[derive(Clone, Debug, Default)]
pub struct Shipment {
    /// The record before the first of them.
    pub previous: Position,
    /// The last of them; `previous` where there are none.
    pub last: Position,
    pub records: Vec<u8>,
}

impl Shipment {
    pub(crate) fn starting(previous: Position) -> Self {
        Self { previous, last: previous, records: Vec::new() }
    }

    pub(crate) fn push(&mut self, position: Position, record: &[u8]) {
        self.records.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.records.extend_from_slice(record);
        self.last = position;
    }
}

/// A record taken out of a shipment.
pub(crate) struct Shipped<'a> {
    pub position: Position,
    pub record: Record<'a>,
    pub bytes: &'a [u8],
}

/// The records of a shipment to `group`, checked: each follows the one before, the first follows `previous`.
pub(crate) fn unpack<'a>(
    group: GroupId,
    previous: Position,
    mut rest: &'a [u8],
) -> Result<Vec<Shipped<'a>>, GroupError> {
    let broken = |what| GroupError::BrokenShipment { group, what };
    let mut shipped = Vec::new();
    let mut at = previous;
    while !rest.is_empty() {
        let length = take(&mut rest, 4).and_then(|length| Some(u32::from_le_bytes(length.try_into().ok()?)));
        let bytes = length.and_then(|length| take(&mut rest, length as usize));
        let bytes = bytes.ok_or(broken("it ends within a record"))?;
        let record = Record::decode(bytes).ok_or(broken("a record is too short"))?;
        check(&record, group, &at).map_err(broken)?;
        at = Position { sequence: record.sequence, epoch: record.epoch, hash: record::hash(bytes) };
        shipped.push(Shipped { position: at, record, bytes });
    }
    Ok(shipped)
}

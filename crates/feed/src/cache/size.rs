//! How many bytes record batches hold, each allocation counted once.

use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::buffer::Buffer;
use std::collections::HashMap;

/// Allocations behind a set of record batches. An allocation is known by its address, which is its own as long as one of
/// the batches is held; it counts with all its bytes, used or not.
#[derive(Debug, Default)]
pub(super) struct Allocations {
    /// References and size by address.
    known: HashMap<usize, (u32, u64)>,
    bytes: u64,
}

impl Allocations {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes that `batch` alone holds.
    pub(super) fn of(batch: &RecordBatch) -> u64 {
        let mut alone = Self::default();
        alone.add(batch);
        alone.bytes
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) {
        each_buffer(batch, &mut |buffer| {
            let (references, size) =
                self.known.entry(address(buffer)).or_insert((0, buffer.capacity() as u64));
            *references += 1;
            if *references == 1 {
                self.bytes += *size;
            }
        });
    }

    /// Takes away a batch that was added and has not been changed since.
    pub(super) fn remove(&mut self, batch: &RecordBatch) {
        each_buffer(batch, &mut |buffer| {
            let Some((references, size)) = self.known.get_mut(&address(buffer)) else { return };
            *references -= 1;
            if *references == 0 {
                self.bytes -= *size;
                self.known.remove(&address(buffer));
            }
        });
    }
}

fn address(buffer: &Buffer) -> usize {
    buffer.data_ptr().as_ptr() as usize
}

fn each_buffer(batch: &RecordBatch, visit: &mut dyn FnMut(&Buffer)) {
    for column in batch.columns() {
        each_buffer_of(&column.to_data(), visit);
    }
}

fn each_buffer_of(data: &ArrayData, visit: &mut dyn FnMut(&Buffer)) {
    // Buffers without an allocation (empty ones) would all share one dangling address.
    data.buffers().iter().filter(|buffer| buffer.capacity() > 0).for_each(&mut *visit);
    if let Some(nulls) = data.nulls() {
        visit(nulls.buffer());
    }
    for child in data.child_data() {
        each_buffer_of(child, visit);
    }
}

#[cfg(test)]
mod tests;

//! Messages of an Arrow stream: a marker, the length of the metadata, the metadata (a flatbuffer), the body.

use super::CURRENT_KEY;
use super::body::{ALIGNMENT, Body};
use arrow::datatypes::Schema;
use arrow::ipc;
use arrow::ipc::convert::IpcSchemaEncoder;
use bytes::Bytes;
use flatbuffers::FlatBufferBuilder;

const CONTINUATION: [u8; 4] = [0xff; 4];

/// The message of a schema, framed.
pub(super) fn schema(schema: &Schema) -> Bytes {
    let mut builder = FlatBufferBuilder::new();
    let header = IpcSchemaEncoder::new().schema_to_fb_offset(&mut builder, schema).as_union_value();
    let mut message = ipc::MessageBuilder::new(&mut builder);
    message.add_version(ipc::MetadataVersion::V5);
    message.add_header_type(ipc::MessageHeader::Schema);
    message.add_bodyLength(0);
    message.add_header(header);
    let root = message.finish();
    builder.finish(root, None);
    framed(builder.finished_data())
}

/// The message of a batch, framed, and its body.
pub(super) fn record_batch(body: Body, rows: usize, current: u64) -> Vec<Bytes> {
    // A node takes 16 bytes, a buffer too; the rest is the tables around them.
    let mut builder = FlatBufferBuilder::with_capacity(256 + 16 * (body.nodes.len() + body.buffers.len()));
    let buffers = builder.create_vector(&body.buffers);
    let nodes = builder.create_vector(&body.nodes);
    let variadic = (!body.variadic.is_empty()).then(|| builder.create_vector(&body.variadic));
    let mut batch = ipc::RecordBatchBuilder::new(&mut builder);
    batch.add_length(rows as i64);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    if let Some(variadic) = variadic {
        batch.add_variadicBufferCounts(variadic);
    }
    let header = batch.finish().as_union_value();

    let key = builder.create_string(CURRENT_KEY);
    let value = builder.create_string(itoa::Buffer::new().format(current));
    let mut pair = ipc::KeyValueBuilder::new(&mut builder);
    pair.add_key(key);
    pair.add_value(value);
    let pair = pair.finish();
    let metadata = builder.create_vector(&[pair]);

    let mut message = ipc::MessageBuilder::new(&mut builder);
    message.add_version(ipc::MetadataVersion::V5);
    message.add_header_type(ipc::MessageHeader::RecordBatch);
    message.add_bodyLength(body.out.len() as i64);
    message.add_header(header);
    message.add_custom_metadata(metadata);
    let root = message.finish();
    builder.finish(root, None);

    let mut segments = vec![framed(builder.finished_data())];
    segments.extend(body.out.finish());
    segments
}

fn framed(metadata: &[u8]) -> Bytes {
    let length = (8 + metadata.len()).next_multiple_of(ALIGNMENT) - 8;
    let mut out = Vec::with_capacity(8 + length);
    out.extend_from_slice(&CONTINUATION);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(metadata);
    out.resize(8 + length, 0);
    out.into()
}

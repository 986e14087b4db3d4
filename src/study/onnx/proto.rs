//! The messages of ONNX. The numbers of the fields are those of `onnx.proto`.

use crate::files::Message;
use bytemuck::cast_slice;

/// Types of elements: `TensorProto.DataType`.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

fn tensor(name: &str, shape: &[usize], kind: i64, bytes: &[u8]) -> Message {
    let dims = shape.iter().fold(Message::default(), |message, &extent| message.int(1, extent as i64));
    dims.int(2, kind).text(8, name).bytes(9, bytes)
}

/// A `TensorProto` of floats. Hosts are little-endian, as the format is.
pub(super) fn floats(name: &str, shape: &[usize], values: &[f32]) -> Message {
    tensor(name, shape, FLOAT, cast_slice(values))
}

/// A `TensorProto` of whole numbers.
pub(super) fn integers(name: &str, values: &[i64]) -> Message {
    tensor(name, &[values.len()], INT64, cast_slice(values))
}

/// An `AttributeProto`.
pub(super) fn attribute(name: &str, value: &Value) -> Message {
    let message = Message::default().text(1, name);
    match value {
        Value::Float(value) => message.float(2, *value).int(20, 1),
        Value::Int(value) => message.int(3, *value).int(20, 2),
        Value::Text(value) => message.text(4, value).int(20, 3),
        Value::Ints(values) => values.iter().fold(message, |message, value| message.int(8, *value)).int(20, 7),
    }
}

/// The value of an attribute.
pub(super) enum Value {
    Float(f32),
    Int(i64),
    Text(String),
    Ints(Vec<i64>),
}

/// A `ValueInfoProto` of floats: `N` examples of this shape.
pub(super) fn value_info(name: &str, shape: &[usize]) -> Message {
    let batch = Message::default().text(2, "N");
    let extent = |&extent: &usize| Message::default().int(1, extent as i64);
    let dims = std::iter::once(batch).chain(shape.iter().map(extent));
    let shape = dims.fold(Message::default(), |message, dim| message.message(1, dim));
    let tensor = Message::default().int(1, FLOAT).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

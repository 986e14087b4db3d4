//! Floor 3: shapes, arenas of tensors on the device, and their layout.

mod arena;
mod layout;
mod shape;

pub use arena::Arena;
pub use layout::{BLOCK, Layout, Span};
pub use shape::Shape;

//! Floor 3: shapes, the layout of arenas, and arenas themselves.

mod arena;
mod layout;
mod shape;

pub use arena::Arena;
pub use layout::{BLOCK, Layout, Span};
pub use shape::Shape;

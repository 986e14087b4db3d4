//! Pictures as PNG: curves and heat maps, large enough for print. Each is drawn in memory and written whole, so that a picture is
//! never half there. What cannot be placed (not finite, or not positive on a logarithmic scale) is left out.

mod axis;
mod canvas;
mod curves;
mod heat_map;

pub use curves::{Panel, Series, curves};
pub use heat_map::{HeatMap, heat_map};

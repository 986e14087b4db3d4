//! Plots as PNG files: curves, heat maps, spectrograms and images with boxes. Each is drawn in
//! memory and written atomically. Values that cannot be drawn (not finite, or not positive on a
//! logarithmic scale) are left out.

mod axis;
mod boxes;
mod canvas;
mod curves;
mod heat_map;
mod spectrograms;

pub use boxes::{ImagePanel, NamedBox, draw_boxes, images};
pub use canvas::write_png;
pub use curves::{Panel, Series, curves};
pub use heat_map::{HeatMap, heat_map, heat_map_and_curves};
pub use spectrograms::{SpectrogramPanel, spectrograms};

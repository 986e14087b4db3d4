//! Checks for operations, for this crate and for others (feature `checks`): kernels against a
//! reference, and the reference against finite differences.
//!
//! A [`Row`] is an operation at one shape: a function that records it, and its forward and backward
//! references in f64.
//!
//! ```no_run
//! use lerac::checks::{self, Row};
//! use lerac::gpu::{Gpu, GpuOptions};
//! use lerac::ops::relu::{reference, relu};
//!
//! let row = Row::new("relu [3,7]", [[3, 7].into()], [])
//!     .record(|tape, name, x, _| relu(tape, name, x[0]))
//!     .reference(|v| reference::forward(&v[0]), |v, dy| vec![reference::backward(&v[0], dy)]);
//! checks::derivatives(&row);
//! checks::kernels(&Gpu::open(&GpuOptions::default())?, &row);
//! # Ok::<(), lerac::error::Error>(())
//! ```

mod close;
mod derivatives;
mod kernels;
mod row;

pub use close::{assert_close, close, largest_error, relative_error};
pub use derivatives::{derivatives, difference, sample, worst_error};
pub use kernels::{TOLERANCE, kernels, kernels_on, nan_passes};
pub use row::{CONTROLS, Row, declare, narrow, test_values};

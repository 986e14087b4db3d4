//! lerac trains small networks under Learning Rate Curriculum.
pub mod error;

//! lerac trains small networks under Learning Rate Curriculum.
pub mod error;
pub mod gpu;
pub mod ops;
pub mod optim;
pub mod tape;
pub mod tensor;

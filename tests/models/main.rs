//! Models, tapes, updates and kernels, without a device: recorded, described and checked against
//! references.

#[path = "../common/mod.rs"]
mod common;

mod attention;
mod average_precision;
mod checks_can_fail;
mod derivatives;
mod detection;
mod own_models;
mod product;
mod sequences;
mod shader_contract;
mod table;
mod tape;
mod translated;
mod updates;

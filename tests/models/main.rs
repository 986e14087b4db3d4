//! Models, tapes, updates and kernels, without a device: recorded, described and checked against
//! references.

#[path = "../common/mod.rs"]
mod common;

mod attention;
mod checks_can_fail;
mod derivatives;
mod own_models;
mod product;
mod sequences;
mod shader_contract;
mod table;
mod tape;
mod translated;
mod updates;

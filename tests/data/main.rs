//! Data sets, without a device: files, image folders, caches, batches and their variations.

#[path = "../common/mod.rs"]
mod common;

mod batches;
mod box_layouts;
mod boxes;
mod caches;
mod examples;
mod files;
mod folders;
mod image_files;
mod in_memory;
mod layouts;
#[cfg(feature = "audio")]
mod sounds;
#[cfg(feature = "text")]
mod texts;
mod variations;

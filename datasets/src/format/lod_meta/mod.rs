//! Streamed SOG, PlayCanvas's scenes at several levels of detail: `lod-meta.json` beside folders with SOG scenes.
//!
//! A tree divides the scene in space; each of its leaves says, for every level of detail, which run of splats of which SOG
//! scene shows it. Level 0 is the finest. One more SOG scene, the environment, may be drawn always. Read as a scene, it is the
//! finest level of every leaf, and the environment.
//!
//! Written, a region has at most 65,536 splats, and every level a quarter of those of the finer one, merged as in our own
//! streamed scenes, until all regions together have no more than 65,536.
//!
//! Source: the files that splat-transform 3.7 writes, and PlayCanvas's documentation of streamed SOG.

mod meta;
mod read;
mod tree;
mod write;

#[cfg(test)]
mod tests;

pub(in crate::format) use read::open_splats;
pub(in crate::format) use write::{create_splats, scenes_of};

/// The name of the description.
pub(super) const LOD_META: &str = "lod-meta.json";

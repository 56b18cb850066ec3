//! Streamed SOG, PlayCanvas's scenes at several levels of detail: `lod-meta.json` beside folders with SOG scenes.
//!
//! A tree divides the scene in space; each of its leaves says, for every level of detail, which run of splats of which SOG
//! scene shows it. Level 0 is the finest. One more SOG scene, the environment, may be drawn always. Read as a scene, it is the
//! finest level of every leaf, and the environment.
//!
//! Source: the files that splat-transform 3.7 writes, and PlayCanvas's documentation of streamed SOG.

mod meta;
mod read;

#[cfg(test)]
mod tests;

pub(in crate::format) use read::open_splats;

/// The name of the description.
pub(super) const LOD_META: &str = "lod-meta.json";

//! Opening captures: small made ones in temporary folders, damaged ones, and the shared development data.

mod colmap;
mod damaged;
mod rigs;
mod shared_data;
mod support;
mod transforms;

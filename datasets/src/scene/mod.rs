//! Plain data types that the readers, the methods and the viewer share.

mod splat_cloud;

pub use splat_cloud::SplatCloud;

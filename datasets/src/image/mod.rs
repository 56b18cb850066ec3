//! Decoding photos, masks and depth images, behind a bounded cache.

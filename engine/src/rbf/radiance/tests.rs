//! Radiance, tested.

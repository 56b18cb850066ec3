//! The Adam optimiser step.

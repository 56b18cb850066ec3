//! A folder or a zip archive behind one interface, so that every capture layout can be read from both.

/// Where a capture's files come from.
#[derive(Debug)]
pub struct Files;

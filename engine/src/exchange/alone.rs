//! The link of one process, which has nobody to talk to.

use super::meeting::this;
use super::{Arrival, Link, Member};
use crate::{Error, Result};

/// One process.
#[derive(Debug)]
pub(super) struct Alone([Member; 1]);

impl Default for Alone {
    fn default() -> Self {
        Self([this(0)])
    }
}

fn nobody() -> Error {
    Error::Ranks("there is no other process".to_owned())
}

impl Link for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn members(&self) -> &[Member] {
        &self.0
    }

    fn report(&mut self, _: &[u8]) -> Result<()> {
        Err(nobody())
    }

    fn collect(&mut self) -> Result<Vec<Arrival>> {
        Ok(Vec::new())
    }

    fn tell(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn listen(&mut self) -> Result<Vec<u8>> {
        Err(nobody())
    }

    fn give_up(&mut self, _: &str) {}
}

//! Whether gradients go by NCCL: rank 0 decides from what all ranks say, so that all do the same.
//!
//! All tell rank 0 what they have. If that is enough, rank 0 makes the communicator's id and tells it to all; all join and try, and tell rank 0 how
//! that went. Only if it went well everywhere gradients go that way.

use super::{Gather, Slot};
use crate::exchange::{Contents, Parcel, Patience, Ranks};
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Instant;
use tessera_kernels::device::cuda::{Collectives, UniqueId};
use tessera_kernels::device::{Device, DeviceError};

/// How NCCL is found.
pub(super) type Finder<'a> = &'a dyn Fn() -> std::result::Result<Arc<dyn Collectives>, DeviceError>;

/// What a rank has, or why it cannot gather.
pub(super) struct Offer(std::result::Result<(Device, Arc<dyn Collectives>), String>);

/// The same, as rank 0 hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    /// Why it cannot; empty if it can.
    reason: String,
    /// Of its device.
    identity: String,
    /// Of its NCCL.
    version: String,
}

impl Offer {
    /// Of a rank that trains on this device.
    pub fn of(device: Option<&Device>, find: Finder<'_>) -> Self {
        let Some(device) = device else { return Self(Err("it trains on the CPU".to_owned())) };
        let found = find().map_err(|error| error.to_string()).and_then(|library| {
            let is_served = library.serves(device.kind());
            let refused = || format!("NCCL gathers between NVIDIA GPUs, and {} is none", device.properties().name);
            if is_served { Ok((device.clone(), library)) } else { Err(refused()) }
        });
        Self(found)
    }

    fn heard(&self) -> Heard {
        let known = self.0.as_ref().map_err(Clone::clone).and_then(|(device, library)| {
            let identity = device.identity().map_err(|error| error.to_string())?;
            Ok((identity, library.version().to_owned()))
        });
        let (reason, (identity, version)) = match known {
            Ok(known) => (String::new(), known),
            Err(reason) => (reason, Default::default()),
        };
        Heard { reason, identity, version }
    }
}

impl Heard {
    fn to_bytes(&self) -> Vec<u8> {
        let mut parcel = Parcel::default();
        [&self.reason, &self.identity, &self.version].into_iter().for_each(|text| parcel.text(text));
        parcel.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut contents = Contents::new(bytes);
        Ok(Self { reason: contents.text()?, identity: contents.text()?, version: contents.text()? })
    }
}

/// Why ranks that have this cannot gather, if they cannot.
fn obstacle(heard: &[Heard], name: &dyn Fn(usize) -> String) -> Option<String> {
    let first = heard.first()?;
    for (rank, this) in heard.iter().enumerate() {
        if !this.reason.is_empty() {
            return Some(format!("{}: {}", name(rank), this.reason));
        }
        if let Some(other) = heard[..rank].iter().position(|other| other.identity == this.identity) {
            return Some(format!(
                "{} and {} train on the same GPU, and NCCL wants one for each; give each its own with --device cuda:N or CUDA_VISIBLE_DEVICES",
                name(other),
                name(rank)
            ));
        }
        if this.version != first.version {
            return Some(format!(
                "{} has NCCL {}, and rank 0 has {}; use the same version everywhere",
                name(rank),
                this.version,
                first.version
            ));
        }
    }
    None
}

/// Joins the others to gather, if all can. Returns the way that gradients take in words as well. All ranks call it at the same time.
///
/// # Errors
/// At rank 0 why NCCL cannot be used, if it `is_needed`; at all others that rank 0 has said it. When a rank is lost.
pub(super) fn choose(
    ranks: &mut Ranks,
    offer: Offer,
    is_needed: bool,
    slot: Slot,
    patience: Patience,
) -> Result<(Option<Gather>, String)> {
    let mut session = Session { ranks, is_needed };
    let heard = offer.heard();
    let id = session.agree(&heard.to_bytes(), |all, name| {
        let all = all.iter().map(|bytes| Heard::from_bytes(bytes)).collect::<Result<Vec<_>>>()?;
        Ok(match (obstacle(&all, name), &offer.0) {
            (Some(why), _) => Err(why),
            (None, Ok((_, library))) => library.unique_id().map(|id| id.bytes().to_vec()),
            (None, Err(why)) => Err(why.clone()),
        })
    })?;
    let id = match id {
        Ok(bytes) => bytes,
        Err(why) => return Ok((None, over_the_link(&why))),
    };
    let joined = match (UniqueId::from_bytes(&id), offer.0) {
        (Some(id), Ok((device, library))) => {
            let place = (session.ranks.rank(), session.ranks.size());
            Gather::join(&device, (&library, id), place, slot, patience).map_err(|error| error.to_string())
        }
        _ => Err("rank 0 has told of no communicator; use the same version everywhere".to_owned()),
    };
    let outcome = joined.as_ref().err().cloned().unwrap_or_default();
    let agreed = session.agree(outcome.as_bytes(), |all, name| {
        let failed = all.iter().position(|outcome| !outcome.is_empty());
        Ok(match failed {
            Some(rank) => Err(format!("{}: {}", name(rank), String::from_utf8_lossy(&all[rank]))),
            None => Ok(Vec::new()),
        })
    })?;
    Ok(match (agreed, joined) {
        (Ok(_), Ok(gather)) => (Some(gather), format!("between GPUs, by NCCL {}", heard.version)),
        (Ok(_), Err(why)) | (Err(why), _) => (None, over_the_link(&why)),
    })
}

fn over_the_link(why: &str) -> String {
    format!("over the link, not between GPUs ({why})")
}

/// Ranks that agree on the way.
struct Session<'a> {
    ranks: &'a mut Ranks,
    is_needed: bool,
}

impl Session<'_> {
    /// Rank 0 hears what all ranks say and decides: what it then tells all, or why NCCL cannot be used.
    fn agree(
        &mut self,
        ours: &[u8],
        decide: impl FnOnce(&[Vec<u8>], &dyn Fn(usize) -> String) -> Result<std::result::Result<Vec<u8>, String>>,
    ) -> Result<std::result::Result<Vec<u8>, String>> {
        if !self.ranks.leads() {
            self.ranks.report(ours)?;
            let answer = self.ranks.listen()?;
            let mut contents = Contents::new(&answer);
            let is_agreed = contents.u64()? != 0;
            let said = contents.bytes()?;
            return Ok(if is_agreed { Ok(said) } else { Err(String::from_utf8_lossy(&said).into_owned()) });
        }
        let mut all = vec![ours.to_vec()];
        all.extend(self.ranks.collect(Instant::now())?);
        let decision = decide(&all, &|rank| self.ranks.member(rank).to_string())?;
        if let (Err(why), true) = (&decision, self.is_needed) {
            return Err(Error::setting(format!(
                "exchange=nccl cannot be kept to: {why}; without it processes take the link where NCCL cannot be used"
            )));
        }
        let mut parcel = Parcel::default();
        parcel.u64(u64::from(decision.is_ok()));
        match &decision {
            Ok(said) => parcel.bytes(said),
            Err(why) => parcel.bytes(why.as_bytes()),
        }
        self.ranks.tell(&parcel.finish())?;
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(reason: &str, identity: &str, version: &str) -> Heard {
        let [reason, identity, version] = [reason, identity, version].map(str::to_owned);
        Heard { reason, identity, version }
    }

    #[test]
    fn whatever_stands_in_the_way_is_named_with_its_rank() {
        let said = |all: &[Heard]| obstacle(all, &|rank| format!("rank {rank}")).unwrap_or_default();
        let good = heard("", "GPU-0", "2.27.3");
        assert_eq!(said(&[good.clone(), heard("", "GPU-1", "2.27.3")]), "");
        assert_eq!(said(&[good.clone(), heard("it trains on the CPU", "", "")]), "rank 1: it trains on the CPU");
        let same = said(&[good.clone(), heard("", "GPU-1", "2.27.3"), good.clone()]);
        assert!(
            same.starts_with("rank 0 and rank 2 train on the same GPU") && same.contains("--device cuda:N"),
            "{same}"
        );
        let old = said(&[good.clone(), heard("", "GPU-1", "2.19.3")]);
        assert_eq!(old, "rank 1 has NCCL 2.19.3, and rank 0 has 2.27.3; use the same version everywhere");
        assert_eq!(Heard::from_bytes(&good.to_bytes()).expect("whole"), good);
        assert!(Heard::from_bytes(&good.to_bytes()[1..]).is_err());
    }
}

//! How ranks come together: where rank 0 is, and who the others say to be.
//!
//! Rank 0 is where the launcher says (`MASTER_ADDR` and `MASTER_PORT`), and else it writes into the run folder, which all share, where it
//! is: mpirun and srun say nothing about it, and torchrun's own port may be taken by torchrun.

use super::tcp::{Follower, Lead};
use super::{Contents, Member, Parcel, Patience, Ranks};
use crate::{Error, Result};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::path::Path;
use tessera_datasets::format::{Existing, write_atomically};

/// The file in the run folder that says where rank 0 is.
const NOTICE: &str = ".rank0.json";
/// The first word of whoever wants to take part.
const WORD: &str = "tessera ranks 1";

/// The machine's name, where the system tells.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).map(|name| name.trim().to_owned());
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// This process as a rank.
pub(super) fn this(rank: usize) -> Member {
    Member { rank, host: host_name(), process: std::process::id() }
}

/// What a rank says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hello {
    pub member: Member,
    /// How many it thinks there are.
    size: usize,
    version: String,
    /// Told to the ranks of one run only.
    pub token: u64,
}

impl Hello {
    pub fn new(rank: usize, size: usize, token: u64) -> Self {
        Self { member: this(rank), size, version: env!("CARGO_PKG_VERSION").to_owned(), token }
    }

    #[cfg(test)]
    pub fn of_version(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut parcel = Parcel::default();
        parcel.text(WORD);
        parcel.text(&self.version);
        parcel.u64(self.token);
        parcel.u64(self.size as u64);
        put(&mut parcel, &self.member);
        parcel.finish()
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut contents = Contents::new(bytes);
        if contents.text().ok()? != WORD {
            return None;
        }
        let (version, token, size) = (contents.text().ok()?, contents.u64().ok()?, contents.u64().ok()? as usize);
        Some(Self { member: taken(&mut contents).ok()?, size, version, token })
    }

    /// Whether another one fits to this one, which is rank 0's, or why not.
    pub fn check(
        &self,
        theirs: &Self,
        from: &dyn Display,
        is_there: impl Fn(usize) -> bool,
    ) -> std::result::Result<(), String> {
        let who = format!("{} from {from}", theirs.member);
        if theirs.version != self.version {
            let (theirs, ours) = (&theirs.version, &self.version);
            return Err(format!("{who} is tessera {theirs}, and rank 0 is {ours}; use the same version everywhere"));
        }
        if theirs.size != self.size {
            let (theirs, ours) = (theirs.size, self.size);
            return Err(format!(
                "{who} is one of {theirs} processes, and rank 0 of {ours}; start all of them together"
            ));
        }
        if is_there(theirs.member.rank) {
            return Err(format!("{who} has a number that another process has; start each rank once"));
        }
        Ok(())
    }
}

fn put(parcel: &mut Parcel, member: &Member) {
    parcel.u64(member.rank as u64);
    parcel.u64(u64::from(member.process));
    parcel.text(&member.host);
}

fn taken(contents: &mut Contents<'_>) -> Result<Member> {
    Ok(Member { rank: contents.u64()? as usize, process: contents.u64()? as u32, host: contents.text()? })
}

/// Rank 0's answer: who takes part.
pub(super) struct Welcome(Vec<Member>);

impl Welcome {
    pub fn of(members: &[Member]) -> Self {
        Self(members.to_vec())
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut parcel = Parcel::default();
        parcel.u64(self.0.len() as u64);
        self.0.iter().for_each(|member| put(&mut parcel, member));
        parcel.finish()
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut contents = Contents::new(bytes);
        let count = contents.u64().ok()?;
        (0..count).map(|_| taken(&mut contents).ok()).collect::<Option<_>>().map(Self)
    }

    pub fn members(self) -> Vec<Member> {
        self.0
    }
}

/// Where rank 0 is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this host and port, where a number says that it is the right one.
    At(String, u16, u64),
    /// Where it has written into the run folder.
    InFolder,
}

/// What rank 0 writes into the run folder.
#[derive(Debug, Serialize, Deserialize)]
struct Notice {
    host: String,
    addresses: Vec<IpAddr>,
    port: u16,
    token: u64,
}

impl Notice {
    fn candidates(&self) -> Vec<(SocketAddr, u64)> {
        let here = (self.host == host_name()).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let by_name = resolved(&self.host, self.port);
        let addresses = here.into_iter().chain(self.addresses.iter().copied()).map(|ip| SocketAddr::new(ip, self.port));
        addresses.chain(by_name).map(|address| (address, self.token)).collect()
    }
}

fn resolved(host: &str, port: u16) -> Vec<SocketAddr> {
    (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

/// The address by which other machines most likely see this one. Nothing is sent.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// A listener of rank 0 for processes on this machine, and where it is.
///
/// # Errors
/// When the system refuses.
pub fn listen_here() -> Result<(TcpListener, Place)> {
    let listener = bound(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))?;
    let port = port_of(&listener)?;
    Ok((listener, Place::At(Ipv4Addr::LOCALHOST.to_string(), port, rand::rng().random())))
}

fn bound(address: SocketAddr) -> Result<TcpListener> {
    let remedy = "choose another MASTER_PORT, or leave it unset";
    TcpListener::bind(address).map_err(|e| Error::Ranks(format!("rank 0 cannot listen at {address} ({e}); {remedy}")))
}

fn port_of(listener: &TcpListener) -> Result<u16> {
    let address = listener.local_addr();
    Ok(address.map_err(|e| Error::Ranks(format!("rank 0 does not know where it listens ({e})")))?.port())
}

/// Rank 0 of `size` ranks, with a listener of its own or at a place, once all others have come. `folder` is the run folder.
///
/// # Errors
/// As [`Lead::open`], or when the folder cannot be written.
pub fn lead(
    listener: Option<TcpListener>,
    place: &Place,
    size: usize,
    folder: &Path,
    patience: Patience,
) -> Result<Ranks> {
    let lead = match (place, listener) {
        (Place::At(_, _, token), Some(listener)) => Lead::open(&listener, size, *token, patience)?,
        (Place::At(_, port, token), None) => {
            let listener = bound(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port))?;
            Lead::open(&listener, size, *token, patience)?
        }
        (Place::InFolder, _) => {
            let listener = bound(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))?;
            let (port, token) = (port_of(&listener)?, rand::rng().random());
            let notice = Notice { host: host_name(), addresses: outward_address().into_iter().collect(), port, token };
            let path = folder.join(NOTICE);
            std::fs::create_dir_all(folder).map_err(|e| Error::write(folder, &e))?;
            let text = serde_json::to_string(&notice).map_err(|e| Error::write(&path, &e.into()))?;
            write_atomically(&path, Existing::Replace, |out| out.write_all(text.as_bytes()))?;
            let lead = Lead::open(&listener, size, token, patience);
            // It has served its purpose; where it cannot be removed, its number tells those who come later.
            let _ = std::fs::remove_file(&path);
            lead?
        }
    };
    Ok(Ranks::new(Box::new(lead)))
}

/// Any other rank, once rank 0 has been found and all have come.
///
/// # Errors
/// As [`Follower::join`].
pub fn follow(place: &Place, rank: usize, size: usize, folder: &Path, patience: Patience) -> Result<Ranks> {
    let mut addresses = || match place {
        Place::At(host, port, token) => resolved(host, *port).into_iter().map(|address| (address, *token)).collect(),
        Place::InFolder => {
            let text = std::fs::read(folder.join(NOTICE)).ok();
            let notice = text.and_then(|text| serde_json::from_slice::<Notice>(&text).ok());
            notice.map_or_else(Vec::new, |notice| notice.candidates())
        }
    };
    Ok(Ranks::new(Box::new(Follower::join(&mut addresses, rank, size, patience)?)))
}

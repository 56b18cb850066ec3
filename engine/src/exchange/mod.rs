//! What several processes that train one thing tell each other.
//!
//! Rank 0 leads: it says what is done next ([`Ranks::tell`]), the others do it. What they find out comes together at rank 0
//! ([`Ranks::report`], [`Ranks::collect`]), and what is made of it goes back to all. So nothing depends on which message comes first.
//!
//! - [`Link`]: the way from rank 0 to the others. [`tcp`]: over sockets, in frames with checksums. `mpi`: over MPI, with the feature of this name. `alone`: of one process, a link
//!   to nobody, so that what trains needs not know how many there are.
//! - [`TreeSum`]: sums of gradients that are the same bits, however the summands are dealt out.
//! - [`meeting`]: how ranks find rank 0.
//! - [`Parcel`] and [`Contents`]: numbers as bytes.
//!
//! A rank that ends is noticed at once, because the system closes its connection. One whose machine is lost or that hangs is noticed
//! after [`Patience::lost`] without a sign of life, which a thread of its own gives: a slow rank is never taken for a lost one.

mod alone;
mod frame;
mod lateness;
pub mod meeting;
#[cfg(feature = "mpi")]
pub mod mpi;
#[cfg(all(test, feature = "mpi"))]
mod over_mpi;
mod parcel;
mod sum;
pub mod tcp;
#[cfg(test)]
mod tests;

pub use lateness::Lateness;
pub use parcel::{Contents, Parcel};
pub use sum::{Part, TreeSum};

use crate::{Error, Result};
use std::fmt::{self, Debug};
use std::time::{Duration, Instant};

/// How long ranks wait for each other.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For all to come together at the beginning.
    pub meeting: Duration,
    /// For a sign of life.
    pub lost: Duration,
    /// Between signs of life.
    pub pulse: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { meeting: seconds(60), lost: seconds(30), pulse: seconds(3) }
    }
}

/// One of several processes, as messages call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// From 0.
    pub rank: usize,
    /// The machine's name.
    pub host: String,
    /// The process's number there.
    pub process: u32,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} (process {} on {})", self.rank, self.process, self.host)
    }
}

/// A message, and when it came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What it says.
    pub message: Vec<u8>,
    /// When all of it was here.
    pub at: Instant,
}

/// The way between rank 0 and all others. Messages from one rank to another keep their order.
pub trait Link: Debug + Send {
    /// Which one this is.
    fn rank(&self) -> usize;

    /// All of them, by rank.
    fn members(&self) -> &[Member];

    /// From any other rank to rank 0. Does not wait for rank 0 to take it.
    ///
    /// # Errors
    /// When rank 0 cannot be reached any more.
    fn report(&mut self, message: &[u8]) -> Result<()>;

    /// At rank 0: the next message of each other rank, in their order.
    ///
    /// # Errors
    /// When one of them is lost, or gives up.
    fn collect(&mut self) -> Result<Vec<Arrival>>;

    /// From rank 0 to all others.
    ///
    /// # Errors
    /// When one of them cannot be reached any more.
    fn tell(&mut self, message: &[u8]) -> Result<()>;

    /// At any other rank: what rank 0 tells next.
    ///
    /// # Errors
    /// When rank 0 is lost, or gives up.
    fn listen(&mut self) -> Result<Vec<u8>>;

    /// Says that this rank gives up and why, so that all end; whoever cannot be told any more will find out by itself.
    fn give_up(&mut self, why: &str);
}

/// What went through a link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Messages of this rank, and their bytes, without frames.
    pub sent: [u64; 2],
    /// Messages to this rank, and their bytes.
    pub received: [u64; 2],
    /// Seconds in which this rank did nothing but wait for others.
    pub waited: f64,
}

/// All processes of a training, seen by one of them.
#[derive(Debug)]
pub struct Ranks {
    link: Box<dyn Link>,
    traffic: Traffic,
    lateness: Lateness,
}

impl Ranks {
    /// Those of a link.
    pub fn new(link: Box<dyn Link>) -> Self {
        let lateness = Lateness::new(link.members().len());
        Self { link, traffic: Traffic::default(), lateness }
    }

    /// One process.
    pub fn alone() -> Self {
        Self::new(Box::new(alone::Alone::default()))
    }

    /// Which one this is.
    pub fn rank(&self) -> usize {
        self.link.rank()
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.link.members().len()
    }

    /// Whether this is rank 0.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// As messages call a rank.
    pub fn member(&self, rank: usize) -> &Member {
        &self.link.members()[rank]
    }

    /// What went through the link so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Takes note of seconds in which this rank waited for others, but not at the link.
    pub fn has_waited(&mut self, time: Duration) {
        self.traffic.waited += time.as_secs_f64();
    }

    /// For whom all others waited, at rank 0.
    pub fn lateness(&mut self) -> &mut Lateness {
        &mut self.lateness
    }

    /// From any other rank to rank 0.
    ///
    /// # Errors
    /// As [`Link::report`].
    pub fn report(&mut self, message: &[u8]) -> Result<()> {
        count(&mut self.traffic.sent, 1, message.len());
        self.link.report(message)
    }

    /// At rank 0: the next message of each other rank, in their order; `ready` is when rank 0 itself was ready for them.
    ///
    /// # Errors
    /// As [`Link::collect`].
    pub fn collect(&mut self, ready: Instant) -> Result<Vec<Vec<u8>>> {
        let begin = Instant::now();
        let arrived = self.link.collect();
        let arrived = arrived.map_err(|error| self.end(error))?;
        self.traffic.waited += begin.elapsed().as_secs_f64();
        self.lateness.note(ready, arrived.iter().map(|arrival| arrival.at));
        for arrival in &arrived {
            count(&mut self.traffic.received, 1, arrival.message.len());
        }
        Ok(arrived.into_iter().map(|arrival| arrival.message).collect())
    }

    /// From rank 0 to all others.
    ///
    /// # Errors
    /// As [`Link::tell`].
    pub fn tell(&mut self, message: &[u8]) -> Result<()> {
        let others = self.size() - 1;
        count(&mut self.traffic.sent, others, others * message.len());
        self.link.tell(message).map_err(|error| self.end(error))
    }

    /// One that is lost is the end for all.
    fn end(&mut self, error: Error) -> Error {
        self.give_up(&error.to_string());
        error
    }

    /// At any other rank: what rank 0 tells next.
    ///
    /// # Errors
    /// As [`Link::listen`].
    pub fn listen(&mut self) -> Result<Vec<u8>> {
        let begin = Instant::now();
        let message = self.link.listen()?;
        self.traffic.waited += begin.elapsed().as_secs_f64();
        count(&mut self.traffic.received, 1, message.len());
        Ok(message)
    }

    /// Compares what all must have in common, by a number for each. All ranks call it at the same time.
    ///
    /// # Errors
    /// At rank 0 a sentence that says who has what of its own, and at all others that rank 0 has said it.
    pub fn agree(&mut self, named: &[(&str, u64)]) -> Result<()> {
        let mut parcel = Parcel::default();
        named.iter().for_each(|(_, number)| parcel.u64(*number));
        let ours = parcel.finish();
        if !self.leads() {
            self.report(&ours)?;
            return self.listen().map(drop);
        }
        for (other, theirs) in self.collect(Instant::now())?.iter().enumerate() {
            if *theirs != ours {
                let mut contents = Contents::new(theirs);
                let differs = |(_, number): &&(&str, u64)| contents.u64().is_ok_and(|theirs| theirs != *number);
                let what: Vec<&str> = named.iter().filter(differs).map(|(name, _)| *name).collect();
                let who = self.member(other + 1).clone();
                let message = format!(
                    "{who} has {} of its own, not those of rank 0; start all processes with the same capture and settings",
                    what.join(" and ")
                );
                self.give_up(&message);
                return Err(Error::Ranks(message));
            }
        }
        self.tell(&[])
    }

    /// Waits until all ranks have come here.
    ///
    /// # Errors
    /// When one is lost.
    pub fn barrier(&mut self) -> Result<()> {
        self.agree(&[])
    }

    /// Says that this rank gives up and why.
    pub fn give_up(&mut self, why: &str) {
        self.link.give_up(why);
    }
}

fn count(counter: &mut [u64; 2], messages: usize, bytes: usize) {
    counter[0] += messages as u64;
    counter[1] += bytes as u64;
}

/// A number that tells texts apart, the same on every machine: FNV-1a.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

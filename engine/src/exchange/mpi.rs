//! Ranks over MPI, for processes that `mpirun` has started. The messages are those of [`super::tcp`], so everything that comes of them is the same bits.
//!
//! One thread makes all calls of MPI: it sends what is given to it and takes what comes, and notes when. It looks every so often instead of waiting inside of MPI,
//! which takes a whole processor. `mpirun` ends all ranks when one dies, so no signs of life are needed.

use super::meeting::{Hello, Welcome, this};
use super::{Arrival, Link, Member, Ranks};
use crate::{Error, Result};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, MatchedReceiveVec, Source};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_micros(50);
/// What a message is: one of training, or that its sender gives up.
const MESSAGE: i32 = 1;
const GIVE_UP: i32 = 2;

/// Whether `mpirun` has started this process together with others, and nothing says that they meet elsewhere.
pub fn is_at_hand() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let size = std::env::var("OMPI_COMM_WORLD_SIZE").ok().and_then(|size| size.parse::<usize>().ok());
    size.is_some_and(|size| size > 1) && !is_set("RANK") && !is_set("MASTER_ADDR")
}

/// What is to be sent, and to whom.
struct Outgoing {
    to: Vec<usize>,
    tag: i32,
    bytes: Vec<u8>,
}

/// What came, from whom.
struct Incoming {
    from: usize,
    tag: i32,
    arrival: Arrival,
}

/// The way to the others.
#[derive(Debug)]
pub struct Mpi {
    rank: usize,
    members: Vec<Member>,
    /// None once it is over.
    outgoing: Option<Sender<Outgoing>>,
    incoming: Receiver<Incoming>,
    /// What has come of each rank and was not asked for yet.
    waiting: Vec<VecDeque<Arrival>>,
    worker: Option<JoinHandle<()>>,
}

/// Brings all processes together that `mpirun` has started.
///
/// # Errors
/// When MPI does not begin, or ranks are of different versions.
pub fn meet() -> Result<Ranks> {
    let (outgoing, orders) = channel();
    let (arrivals, incoming) = channel();
    let (told, place) = channel();
    let worker = thread::spawn(move || {
        let Some((universe, _)) = mpi::initialize_with_threading(mpi::Threading::Funneled) else { return };
        let world = universe.world();
        if told.send((world.rank() as usize, world.size() as usize)).is_ok() {
            work(&world, &orders, &arrivals);
        }
    });
    let (rank, size) = place.recv().map_err(|_| Error::Ranks("MPI does not begin a second time".to_owned()))?;
    let waiting = (0..size).map(|_| VecDeque::new()).collect();
    let members = vec![this(rank)];
    let mut link = Mpi { rank, members, outgoing: Some(outgoing), incoming, waiting, worker: Some(worker) };
    link.members = link.introduce(size)?;
    Ok(Ranks::new(Box::new(link)))
}

/// Sends and takes until there is nobody to do it for.
fn work(world: &SimpleCommunicator, orders: &Receiver<Outgoing>, arrivals: &Sender<Incoming>) {
    loop {
        match orders.try_recv() {
            Ok(outgoing) => send(world, &outgoing, arrivals),
            Err(TryRecvError::Empty) => {
                if !take(world, arrivals) {
                    thread::sleep(LOOK_EVERY);
                }
            }
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

/// Sends to all at the same time, and takes what comes meanwhile.
fn send(world: &SimpleCommunicator, outgoing: &Outgoing, arrivals: &Sender<Incoming>) {
    mpi::request::scope(|scope| {
        let begin = |to: &usize| {
            let peer = world.process_at_rank(*to as i32);
            peer.immediate_send_with_tag(scope, &outgoing.bytes[..], outgoing.tag)
        };
        let mut left: Vec<_> = outgoing.to.iter().map(begin).collect();
        while !left.is_empty() {
            left = left.into_iter().filter_map(|request| request.test().err()).collect();
            if !left.is_empty() && !take(world, arrivals) {
                thread::sleep(LOOK_EVERY);
            }
        }
    });
}

/// Takes a message, if one is there.
fn take(world: &SimpleCommunicator, arrivals: &Sender<Incoming>) -> bool {
    let Some(found) = world.any_process().immediate_matched_probe() else { return false };
    let (message, status) = found.matched_receive_vec::<u8>();
    let arrival = Arrival { message, at: Instant::now() };
    // Whoever does not listen any more needs no message.
    let _ = arrivals.send(Incoming { from: status.source_rank() as usize, tag: status.tag(), arrival });
    true
}

impl Mpi {
    /// Who the others are: they say so to rank 0, which tells all.
    fn introduce(&mut self, size: usize) -> Result<Vec<Member>> {
        let ours = Hello::new(self.rank, size, 0);
        if self.rank > 0 {
            self.post(vec![0], MESSAGE, ours.to_bytes())?;
            let welcome = Welcome::from_bytes(&self.next_of(0)?.message);
            return Ok(welcome.ok_or_else(misunderstood)?.members());
        }
        let mut members = vec![this(0)];
        for other in 1..size {
            let theirs = Hello::from_bytes(&self.next_of(other)?.message).ok_or_else(misunderstood)?;
            if let Err(message) = ours.check(&theirs, &"mpirun", |_| false) {
                let _ = self.post((1..size).collect(), GIVE_UP, message.clone().into_bytes());
                return Err(Error::Ranks(message));
            }
            members.push(theirs.member);
        }
        self.post((1..size).collect(), MESSAGE, Welcome::of(&members).to_bytes())?;
        Ok(members)
    }

    fn post(&self, to: Vec<usize>, tag: i32, bytes: Vec<u8>) -> Result<()> {
        if i32::try_from(bytes.len()).is_err() {
            let message =
                "more than 2 GB are to be sent at once, which MPI does not do; use a program without the feature `mpi`";
            return Err(Error::Ranks(message.to_owned()));
        }
        let outgoing = self.outgoing.as_ref().ok_or_else(over)?;
        outgoing.send(Outgoing { to, tag, bytes }).map_err(|_| over())
    }

    /// The next message of a rank.
    fn next_of(&mut self, rank: usize) -> Result<Arrival> {
        loop {
            if let Some(arrival) = self.waiting[rank].pop_front() {
                return Ok(arrival);
            }
            let Incoming { from, tag, arrival } = self.incoming.recv().map_err(|_| over())?;
            if tag == GIVE_UP {
                let why = String::from_utf8_lossy(&arrival.message).into_owned();
                let said_by = self.members.get(from).map_or_else(|| format!("rank {from}"), ToString::to_string);
                let of_other = || Error::Ranks(format!("{said_by} has given up: {why}"));
                return Err(if from == 0 { Error::SaidByLead(why.clone()) } else { of_other() });
            }
            self.waiting[from].push_back(arrival);
        }
    }

    fn others(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|rank| *rank != self.rank).collect()
    }
}

fn misunderstood() -> Error {
    Error::Ranks("a process that mpirun has started is another program; start the same one everywhere".to_owned())
}

fn over() -> Error {
    Error::Ranks("MPI has ended before the training was complete".to_owned())
}

impl Link for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn members(&self) -> &[Member] {
        &self.members
    }

    fn report(&mut self, message: &[u8]) -> Result<()> {
        self.post(vec![0], MESSAGE, message.to_vec())
    }

    fn collect(&mut self) -> Result<Vec<Arrival>> {
        (1..self.members.len()).map(|rank| self.next_of(rank)).collect()
    }

    fn tell(&mut self, message: &[u8]) -> Result<()> {
        self.post(self.others(), MESSAGE, message.to_vec())
    }

    fn listen(&mut self) -> Result<Vec<u8>> {
        Ok(self.next_of(0)?.message)
    }

    fn give_up(&mut self, why: &str) {
        let to = if self.rank == 0 { self.others() } else { vec![0] };
        let _ = self.post(to, GIVE_UP, why.as_bytes().to_vec());
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // What was given to the thread is sent first; then it ends MPI, which waits for all other ranks to do so.
        drop(self.outgoing.take());
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

//! Ranks over sockets: each has a connection to rank 0.
//!
//! A thread for each connection takes what comes, and keeps the time, so that nobody waits to send and a closed connection is seen at
//! once; another gives signs of life. Rank 0 has all connections, which is simple and fast for some tens of ranks: `docs/scaling.md`
//! says where it ends.

use super::frame::{self, Kind};
use super::meeting::{Hello, Welcome, this};
use super::{Arrival, Link, Member, Patience};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a stranger may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// How often rank 0 looks whether another has come, and the others whether rank 0 is there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What came over a connection: from whom, and what, or why nothing comes any more.
type Came = (usize, std::result::Result<Arrival, Error>);

/// A connection that two threads write to.
#[derive(Clone, Debug)]
struct Line(Arc<Mutex<TcpStream>>);

impl Line {
    fn write(&self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&mut *stream, kind, bytes)
    }
}

/// Connections, and the threads that listen and give signs of life.
#[derive(Debug)]
struct Lines {
    rank: usize,
    members: Vec<Member>,
    /// Whose they are.
    peers: Vec<usize>,
    lines: Vec<Line>,
    came: Receiver<Came>,
    /// What has come of each peer and was not asked for yet.
    waiting: Vec<VecDeque<Arrival>>,
    is_over: Arc<AtomicBool>,
}

impl Lines {
    fn open(rank: usize, members: Vec<Member>, peers: Vec<(usize, TcpStream)>, patience: Patience) -> io::Result<Self> {
        let (sender, came) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let mut lines = Vec::new();
        for (peer, stream) in &peers {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(patience.lost))?;
            stream.set_write_timeout(Some(patience.lost))?;
            let (reader, sender, member) = (stream.try_clone()?, sender.clone(), members[*peer].clone());
            thread::spawn(move || take(&reader, &member, patience.lost, &sender));
            lines.push(Line(Arc::new(Mutex::new(stream.try_clone()?))));
        }
        let (alive, until) = (lines.clone(), is_over.clone());
        thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                // Whoever cannot be reached is found out where something is to be said.
                alive.iter().for_each(|line| drop(line.write(Kind::Pulse, &[])));
                thread::sleep(patience.pulse);
            }
        });
        let waiting = peers.iter().map(|_| VecDeque::new()).collect();
        let peers = peers.into_iter().map(|(peer, _)| peer).collect();
        Ok(Self { rank, members, peers, lines, came, waiting, is_over })
    }

    /// Sends a message to all peers.
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        for line in &self.lines {
            if line.write(Kind::Message, bytes).is_err() {
                return Err(self.reason_of_silence());
            }
        }
        Ok(())
    }

    /// Why a peer cannot be reached: what its connection said last.
    fn reason_of_silence(&mut self) -> Error {
        loop {
            match self.came.recv_timeout(LOOK_EVERY) {
                Ok((_, Err(error))) => return error,
                Ok(_) => {}
                Err(_) => return Error::Ranks("the connection to another rank has broken off".to_owned()),
            }
        }
    }

    /// The next message of each peer.
    fn receive(&mut self) -> Result<Vec<Arrival>> {
        while self.waiting.iter().any(VecDeque::is_empty) {
            let gone = |_| Error::Ranks("the connections to other ranks have broken off".to_owned());
            let (peer, what) = self.came.recv().map_err(gone)?;
            let at = self.peers.iter().position(|known| *known == peer).unwrap_or_default();
            self.waiting[at].push_back(what?);
        }
        Ok(self.waiting.iter_mut().filter_map(VecDeque::pop_front).collect())
    }

    fn give_up(&self, why: &str) {
        self.lines.iter().for_each(|line| drop(line.write(Kind::GiveUp, why.as_bytes())));
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for line in &self.lines {
            let stream = line.0.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }
}

/// Takes what comes from a peer until nothing comes any more.
fn take(mut stream: &TcpStream, peer: &Member, lost: Duration, sender: &Sender<Came>) {
    loop {
        let what = match frame::read(&mut stream) {
            Ok((Kind::Message, message)) => Ok(Arrival { message, at: Instant::now() }),
            Ok((Kind::GiveUp, why)) if peer.rank == 0 => {
                Err(Error::SaidByLead(String::from_utf8_lossy(&why).into_owned()))
            }
            Ok((Kind::GiveUp, why)) => {
                Err(Error::Ranks(format!("{peer} has given up: {}", String::from_utf8_lossy(&why))))
            }
            Ok(_) => continue,
            Err(e) => Err(Error::Ranks(ending(peer, lost, &e))),
        };
        let is_end = what.is_err();
        if sender.send((peer.rank, what)).is_err() || is_end {
            return;
        }
    }
}

fn ending(peer: &Member, lost: Duration, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            format!("{peer} has ended before the training was complete")
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("{peer} has given no sign of life for {} seconds", lost.as_secs())
        }
        _ => format!("{peer} cannot be heard any more ({error})"),
    }
}

/// Rank 0 and its connections.
#[derive(Debug)]
pub struct Lead(Lines);

impl Lead {
    /// Waits at `listener` until all `size` ranks have come.
    ///
    /// # Errors
    /// When some do not come in time, are of another version, or do not agree on how many there are.
    pub fn open(listener: &TcpListener, size: usize, token: u64, patience: Patience) -> Result<Self> {
        let failed = |e: io::Error| Error::Ranks(format!("rank 0 cannot listen for the other ranks ({e})"));
        listener.set_nonblocking(true).map_err(failed)?;
        let hello = Hello::new(0, size, token);
        let mut streams: Vec<Option<(Member, TcpStream)>> = (0..size).map(|_| None).collect();
        let begin = Instant::now();
        while let Some(missing) = (1..size).find(|rank| streams[*rank].is_none()) {
            match listener.accept() {
                Ok((stream, from)) => {
                    // Whoever is no rank of ours is not answered.
                    let Some((theirs, stream)) = introduced(stream, &hello) else { continue };
                    let is_there = |rank: usize| rank == 0 || streams.get(rank).is_none_or(Option::is_some);
                    if let Err(message) = hello.check(&theirs, &from.ip(), is_there) {
                        let all = streams.iter().flatten().map(|(_, stream)| stream).chain([&stream]);
                        all.for_each(|mut stream| drop(frame::write(&mut stream, Kind::GiveUp, message.as_bytes())));
                        return Err(Error::Ranks(message));
                    }
                    let rank = theirs.member.rank;
                    streams[rank] = Some((theirs.member, stream));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(LOOK_EVERY),
                Err(e) => return Err(failed(e)),
            }
            if begin.elapsed() > patience.meeting {
                let absent = (missing..size).filter(|rank| streams[*rank].is_none()).map(|rank| rank.to_string());
                let absent = absent.collect::<Vec<_>>().join(", ");
                let seconds = patience.meeting.as_secs();
                let message = format!(
                    "of {size} processes, rank {absent} did not reach rank 0 within {seconds} seconds; see that all are started and \
                     that their machines can reach this one"
                );
                let there = streams.iter().flatten();
                there.for_each(|(_, stream)| drop(frame::write(&mut &*stream, Kind::GiveUp, message.as_bytes())));
                return Err(Error::Ranks(message));
            }
        }
        let others = streams.into_iter().flatten();
        let (mut members, mut peers) = (vec![this(0)], Vec::new());
        for (member, stream) in others {
            peers.push((member.rank, stream));
            members.push(member);
        }
        let welcome = Welcome::of(&members).to_bytes();
        for (_, mut stream) in peers.iter().map(|(rank, stream)| (rank, stream)) {
            frame::write(&mut stream, Kind::Welcome, &welcome).map_err(failed)?;
        }
        Lines::open(0, members, peers, patience).map(Self).map_err(failed)
    }
}

/// Who somebody says to be, if it is one of ours.
fn introduced(stream: TcpStream, ours: &Hello) -> Option<(Hello, TcpStream)> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(INTRODUCTION)).ok()?;
    let (kind, bytes) = frame::read(&mut &stream).ok()?;
    let hello = (kind == Kind::Hello).then(|| Hello::from_bytes(&bytes)).flatten()?;
    (hello.token == ours.token).then_some((hello, stream))
}

impl Link for Lead {
    fn rank(&self) -> usize {
        self.0.rank
    }

    fn members(&self) -> &[Member] {
        &self.0.members
    }

    fn report(&mut self, _: &[u8]) -> Result<()> {
        Err(Error::Ranks("rank 0 cannot report to itself".to_owned()))
    }

    fn collect(&mut self) -> Result<Vec<Arrival>> {
        self.0.receive()
    }

    fn tell(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }

    fn listen(&mut self) -> Result<Vec<u8>> {
        Err(Error::Ranks("rank 0 cannot listen to itself".to_owned()))
    }

    fn give_up(&mut self, why: &str) {
        self.0.give_up(why);
    }
}

/// Any other rank and its connection to rank 0.
#[derive(Debug)]
pub struct Follower(Lines);

impl Follower {
    /// Comes to rank 0, which is looked for where `addresses` says, again and again until it is there.
    ///
    /// # Errors
    /// When it cannot be reached in time, or refuses.
    pub fn join(
        addresses: &mut dyn FnMut() -> Vec<(SocketAddr, u64)>,
        rank: usize,
        size: usize,
        patience: Patience,
    ) -> Result<Self> {
        let begin = Instant::now();
        let mut tried = "nobody has said where it is".to_owned();
        loop {
            for (address, token) in addresses() {
                match welcomed(address, &Hello::new(rank, size, token), patience) {
                    Ok(lead) => return lead,
                    Err(e) => tried = format!("at {address}: {e}"),
                }
            }
            if begin.elapsed() > patience.meeting {
                let seconds = patience.meeting.as_secs();
                return Err(Error::Ranks(format!(
                    "rank {rank} cannot reach rank 0 within {seconds} seconds ({tried}); see that it is started and that its machine \
                     can be reached from this one"
                )));
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Says hello at an address. The outer error is that nobody of ours is there.
fn welcomed(address: SocketAddr, hello: &Hello, patience: Patience) -> io::Result<Result<Follower>> {
    let mut stream = TcpStream::connect_timeout(&address, INTRODUCTION)?;
    // The others may come late.
    stream.set_read_timeout(Some(patience.meeting + INTRODUCTION))?;
    frame::write(&mut stream, Kind::Hello, &hello.to_bytes())?;
    let (kind, bytes) = frame::read(&mut stream)?;
    if kind == Kind::GiveUp {
        return Ok(Err(Error::SaidByLead(String::from_utf8_lossy(&bytes).into_owned())));
    }
    let welcome = (kind == Kind::Welcome).then(|| Welcome::from_bytes(&bytes)).flatten();
    let members = welcome.ok_or(ErrorKind::InvalidData)?.members();
    let rank = hello.member.rank;
    if members.len() <= rank {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(Ok(Follower(Lines::open(rank, members, vec![(0, stream)], patience)?)))
}

impl Link for Follower {
    fn rank(&self) -> usize {
        self.0.rank
    }

    fn members(&self) -> &[Member] {
        &self.0.members
    }

    fn report(&mut self, message: &[u8]) -> Result<()> {
        self.0.send(message)
    }

    fn collect(&mut self) -> Result<Vec<Arrival>> {
        Err(Error::Ranks("only rank 0 collects".to_owned()))
    }

    fn tell(&mut self, _: &[u8]) -> Result<()> {
        Err(Error::Ranks("only rank 0 tells".to_owned()))
    }

    fn listen(&mut self) -> Result<Vec<u8>> {
        let mut arrived = self.0.receive()?;
        Ok(arrived.pop().map(|arrival| arrival.message).unwrap_or_default())
    }

    fn give_up(&mut self, why: &str) {
        self.0.give_up(why);
    }
}

//! What stands in for NCCL: gathers between emulated devices of one process, each rank a thread.
//!
//! As with NCCL, a gather is begun without waiting and done when all ranks have begun it; a rank that does not come is waited for until
//! the communicator is aborted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tessera_kernels::device::cuda::{Collectives, UniqueId};
use tessera_kernels::device::{Address, Handle, Kind};

/// A stand-in for NCCL. All ranks must share it.
pub struct Gathering {
    version: String,
    /// After how many gathers none is done any more, as when a cable is pulled.
    stuck_after: usize,
    state: Mutex<State>,
    /// Another rank has joined.
    came: Condvar,
}

#[derive(Default)]
struct State {
    made: u8,
    joined: Handle,
    members: HashMap<Handle, Member>,
    groups: HashMap<UniqueId, Group>,
}

struct Member {
    id: UniqueId,
    rank: usize,
    begun: usize,
}

#[derive(Default)]
struct Group {
    came: usize,
    /// What each rank has begun and others have not.
    waiting: Vec<VecDeque<Begun>>,
    done: usize,
    failure: Option<String>,
}

struct Begun {
    bytes: Vec<u8>,
    to: Address,
}

impl Default for Gathering {
    fn default() -> Self {
        Self { version: "2.0.0".to_owned(), stuck_after: usize::MAX, state: Mutex::default(), came: Condvar::new() }
    }
}

impl Gathering {
    /// One of another version.
    pub fn of_version(version: &str) -> Self {
        Self { version: version.to_owned(), ..Self::default() }
    }

    /// One whose gathers are not done any more after so many of a communicator.
    pub fn stuck_after(gathers: usize) -> Self {
        Self { stuck_after: gathers, ..Self::default() }
    }

    /// How many communicators have not ended.
    pub fn open(&self) -> usize {
        self.state().members.len()
    }

    /// Gathers done, over all communicators.
    pub fn done(&self) -> usize {
        self.state().groups.values().map(|group| group.done).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a communicator. Says whether all that it had begun was done.
    fn end(&self, communicator: Handle) -> bool {
        let mut state = self.state();
        let Some(member) = state.members.remove(&communicator) else { return false };
        let Some(group) = state.groups.get_mut(&member.id) else { return false };
        group.waiting[member.rank].clear();
        member.begun == group.done
    }
}

// SAFETY: memory is accessed under the lock only, and nothing waits any more of a communicator that has ended.
unsafe impl Collectives for Gathering {
    fn version(&self) -> &str {
        &self.version
    }

    fn path(&self) -> &str {
        "this process"
    }

    fn serves(&self, kind: Kind) -> bool {
        kind == Kind::Emulator
    }

    fn unique_id(&self) -> Result<UniqueId, String> {
        let mut state = self.state();
        state.made += 1;
        UniqueId::from_bytes(&[state.made; UniqueId::BYTES]).ok_or_else(|| "an id has another size".to_owned())
    }

    fn join(&self, id: &UniqueId, rank: usize, size: usize) -> Result<Handle, String> {
        let mut state = self.state();
        if rank >= size {
            return Err(format!("there is no rank {rank} of {size}"));
        }
        state.joined += 1;
        let handle = state.joined;
        state.members.insert(handle, Member { id: *id, rank, begun: 0 });
        let group = state.groups.entry(*id).or_default();
        group.waiting.resize_with(size, VecDeque::new);
        group.came += 1;
        self.came.notify_all();
        let is_short = |state: &mut State| state.groups.get(id).is_none_or(|group| group.came < size);
        drop(self.came.wait_while(state, is_short).unwrap_or_else(PoisonError::into_inner));
        Ok(handle)
    }

    unsafe fn all_gather(
        &self,
        from: Address,
        to: Address,
        bytes: usize,
        communicator: Handle,
        _: Handle,
    ) -> Result<(), String> {
        let mut state = self.state();
        let State { members, groups, .. } = &mut *state;
        let member = members.get_mut(&communicator).ok_or("the communicator has ended")?;
        let group = groups.get_mut(&member.id).ok_or("there is no such communicator")?;
        // SAFETY: the caller gives an allocated range, and addresses of emulated devices are those of the host.
        let own = unsafe { std::slice::from_raw_parts(from as *const u8, bytes) }.to_vec();
        group.waiting[member.rank].push_back(Begun { bytes: own, to });
        member.begun += 1;
        if group.done >= self.stuck_after || group.waiting.iter().any(VecDeque::is_empty) {
            return Ok(());
        }
        let all: Vec<Begun> = group.waiting.iter_mut().filter_map(VecDeque::pop_front).collect();
        if all.iter().any(|begun| begun.bytes.len() != bytes) {
            group.failure = Some("ranks gather different numbers of bytes".to_owned());
            return Ok(());
        }
        for to in &all {
            for (rank, from) in all.iter().enumerate() {
                let at = (to.to as usize + rank * bytes) as *mut u8;
                // SAFETY: each rank gave a range of as many bytes as all have together, which is allocated until its communicator ends.
                unsafe { std::ptr::copy_nonoverlapping(from.bytes.as_ptr(), at, bytes) };
            }
        }
        group.done += 1;
        Ok(())
    }

    fn is_complete(&self, communicator: Handle) -> bool {
        let state = self.state();
        let done = |member: &Member| state.groups.get(&member.id).is_some_and(|group| group.done == member.begun);
        state.members.get(&communicator).is_some_and(done)
    }

    fn failure(&self, communicator: Handle) -> Option<String> {
        let state = self.state();
        let member = state.members.get(&communicator)?;
        state.groups.get(&member.id)?.failure.clone()
    }

    fn destroy(&self, communicator: Handle) -> Result<(), String> {
        let is_done = self.end(communicator);
        if is_done { Ok(()) } else { Err("a gather was not done".to_owned()) }
    }

    fn abort(&self, communicator: Handle) {
        self.end(communicator);
    }
}

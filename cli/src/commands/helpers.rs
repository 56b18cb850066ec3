//! Several processes for one run of blocks or anchors: those that we start, and those that `mpirun`, `torchrun` or SLURM have started.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tessera_kernels::device::Request;

/// Variables that say which of how many processes this is, by who sets them: torchrun, OpenMPI, SLURM.
const RANKS: [[&str; 2]; 3] =
    [["RANK", "WORLD_SIZE"], ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"], ["SLURM_PROCID", "SLURM_NTASKS"]];

/// Which of how many processes that were started together this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// From 0.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Rank {
    /// As the launcher says; the only one when nothing does.
    pub fn of_environment() -> Self {
        Self::by(|name| std::env::var(name).ok())
    }

    fn by(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| variable(name)?.trim().parse::<usize>().ok();
        let said = RANKS.iter().find_map(|[rank, size]| number(rank).zip(number(size)));
        let (number, of) = said.filter(|(number, of)| number < of).unwrap_or((0, 1));
        Self { number, of }
    }
}

/// How many threads each of `workers` processes takes, so that together they are as many as were wanted, or as processors are.
pub fn threads_each(wanted: Option<u16>, workers: u16) -> Option<u16> {
    if workers == 1 {
        return wanted;
    }
    let processors = || std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX));
    Some((wanted.unwrap_or_else(processors) / workers).max(1))
}

/// How many processes train, and where they compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// This one included.
    pub count: u16,
    /// As the user asked.
    pub device: Request,
}

impl Default for Workers {
    fn default() -> Self {
        Self { count: 1, device: Request::default() }
    }
}

/// Processes that help this one. They end safely when this value is dropped, or this process ends in any way.
#[derive(Debug, Default)]
pub struct Helpers(Vec<Child>);

impl Helpers {
    /// Starts all but one of these processes, to join the run in the folder `output` with as many threads as this one has.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start(workers: &Workers, output: &Path) -> Result<Self> {
        let mut helpers = Self::default();
        let program = std::env::current_exe().context("the program's own file cannot be found")?;
        let threads = rayon::current_num_threads();
        for _ in 1..workers.count {
            let mut command = Command::new(&program);
            command.args(["reconstruct", "--join", "--until-input-ends", "--quiet", "-o"]).arg(output);
            command.args(["--device", &workers.device.to_string(), "--threads", &threads.to_string()]);
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            helpers.0.push(command.spawn().context("a process to help cannot be started")?);
        }
        Ok(helpers)
    }

    /// Starts ranks 1 to `count - 1` of those that train together, with this one's arguments and as many threads; `place` is the variable
    /// that says where rank 0 is.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start_ranks(count: u16, place: (&str, String)) -> Result<Self> {
        let mut helpers = Self::default();
        let program = std::env::current_exe().context("the program's own file cannot be found")?;
        let threads = rayon::current_num_threads().to_string();
        for rank in 1..count {
            let mut command = Command::new(&program);
            command.args(without_numbers(std::env::args_os().skip(1))).args(["--threads", &threads]);
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", count.to_string()).env(place.0, &place.1);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            helpers.0.push(command.spawn().context("a process to help cannot be started")?);
        }
        Ok(helpers)
    }
}

/// Arguments without those that say how many processes and threads there are.
fn without_numbers(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut left = Vec::new();
    let mut is_value = false;
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        let is_named = ["--workers", "--threads"].iter().any(|name| text == *name);
        let is_whole = ["--workers=", "--threads="].iter().any(|name| text.starts_with(name));
        if !std::mem::replace(&mut is_value, is_named) && !is_named && !is_whole {
            left.push(argument);
        }
    }
    left
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|child| drop(child.stdin.take()));
        // What they say and how they end is theirs.
        self.0.iter_mut().for_each(|child| drop(child.wait()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(variables: &[(&str, &str)]) -> Rank {
        Rank::by(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn launchers_are_understood() {
        assert_eq!(rank(&[]), Rank { number: 0, of: 1 });
        assert_eq!(rank(&[("RANK", "2"), ("WORLD_SIZE", "4")]), Rank { number: 2, of: 4 });
        assert_eq!(rank(&[("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "3")]), Rank { number: 1, of: 3 });
        assert_eq!(rank(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "7")]), Rank { number: 7, of: 8 });
        // Within an allocation, but not started by srun.
        assert_eq!(rank(&[("SLURM_NTASKS", "8")]), Rank { number: 0, of: 1 });
        assert_eq!(rank(&[("RANK", "9"), ("WORLD_SIZE", "4")]), Rank { number: 0, of: 1 });
    }

    #[test]
    fn ranks_get_the_arguments_of_the_first() {
        let given = "reconstruct c --workers 4 -o run --threads=8 --steps 9".split(' ').map(OsString::from);
        assert_eq!(without_numbers(given), ["reconstruct", "c", "-o", "run", "--steps", "9"].map(OsString::from));
    }

    #[test]
    fn workers_share_the_threads() {
        assert_eq!(
            [threads_each(Some(8), 3), threads_each(Some(2), 4), threads_each(None, 1)],
            [Some(2), Some(1), None]
        );
    }
}

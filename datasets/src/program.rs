//! Running other people's programs: their output line by line, their last words when they fail, and no orphans.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How many lines of output an error repeats.
const LAST_LINES: usize = 4;
/// Longer lines are cut there.
const MAX_LINE_BYTES: u64 = 1 << 16;

/// Why a program did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    NotInstalled,
    /// It could not be started or talked to.
    Io(io::Error),
    /// It ended with an error; its last lines of output.
    Failed(ExitStatus, String),
}

impl Failure {
    /// The end of a sentence that begins with the program's name.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::NotInstalled => "is not installed".to_owned(),
            Self::Io(e) => format!("could not be run ({e})"),
            Self::Failed(status, last) if status.code().is_none() => format!("was interrupted ({status}): {last}"),
            Self::Failed(status, last) => format!("failed ({status}): {last}"),
        }
    }
}

/// Ends the program when it is dropped before it has ended by itself.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn start(program: &Path, arguments: &[String]) -> Result<Running, Failure> {
    spawn(Command::new(program).args(arguments).stdin(Stdio::null()))
}

fn spawn(command: &mut Command) -> Result<Running, Failure> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // COLMAP's user interface library insists on a display otherwise.
    command.env("QT_QPA_PLATFORM", "offscreen");
    command.spawn().map(Running).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failure::NotInstalled,
        _ => Failure::Io(e),
    })
}

/// The lines of a program's output and errors, as they come.
fn lines_of(running: &mut Running) -> Receiver<String> {
    let (sender, lines) = channel();
    let outputs: [Option<Box<dyn Read + Send>>; 2] =
        [running.0.stdout.take().map(|o| Box::new(o) as _), running.0.stderr.take().map(|o| Box::new(o) as _)];
    for output in outputs.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || send_lines(output, &sender));
    }
    lines
}

/// Runs a program to its end. Every line of its output and errors goes to `log` and `on_line`.
pub(crate) fn run(
    program: &Path,
    arguments: &[String],
    log: &mut Option<File>,
    on_line: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    let mut running = start(program, arguments)?;
    let lines = lines_of(&mut running);
    let mut last = VecDeque::new();
    for line in lines {
        if let Some(log) = log {
            // A full disk will be reported by the program that fills it.
            let _ = writeln!(log, "{line}");
        }
        on_line(&line);
        remember(&mut last, line);
    }
    finish(running, last)
}

/// Runs a program to its end while `consume` reads what it writes.
pub(crate) fn stream(
    program: &Path,
    arguments: &[String],
    consume: &mut dyn FnMut(&mut BufReader<ChildStdout>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut running = Streaming::start(program, arguments)?;
    let consumed = consume(&mut running.output);
    running.finish()?;
    consumed.map_err(Failure::Io)
}

/// Runs a program to its end while `produce` writes what it reads.
pub(crate) fn feed(
    program: &Path,
    arguments: &[String],
    produce: &mut dyn FnMut(&mut ChildStdin) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut running = spawn(Command::new(program).args(arguments).stdin(Stdio::piped()))?;
    let lines = lines_of(&mut running);
    let produced = running.0.stdin.take().map_or(Ok(()), |mut input| produce(&mut input));
    let mut last = VecDeque::new();
    lines.into_iter().for_each(|line| remember(&mut last, line));
    // Its own words say more than that it does not listen any more.
    finish(running, last)?;
    produced.map_err(Failure::Io)
}

/// A program whose output is read bit by bit, while it waits for its reader.
#[derive(Debug)]
pub(crate) struct Streaming {
    running: Running,
    /// What it writes.
    pub(crate) output: BufReader<ChildStdout>,
    errors: Receiver<String>,
}

impl Streaming {
    pub(crate) fn start(program: &Path, arguments: &[String]) -> Result<Self, Failure> {
        let mut running = start(program, arguments)?;
        let (sender, errors) = channel();
        if let Some(errors) = running.0.stderr.take() {
            std::thread::spawn(move || send_lines(errors, &sender));
        }
        let output = running.0.stdout.take().ok_or_else(|| Failure::Io(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { running, output: BufReader::with_capacity(1 << 18, output), errors })
    }

    /// Waits for the program's end, which is near when its output has ended.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self { running, output, errors } = self;
        // Who still writes learns that nobody reads.
        drop(output);
        let mut last = VecDeque::new();
        errors.iter().for_each(|line| remember(&mut last, line));
        finish(running, last)
    }
}

fn send_lines(output: impl Read, sender: &Sender<String>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if sender.send(String::from_utf8_lossy(&line).trim().to_owned()).is_err() {
                    return;
                }
            }
        }
    }
}

fn remember(last: &mut VecDeque<String>, line: String) {
    if !line.is_empty() && !line.chars().all(|c| "=-".contains(c)) {
        last.push_back(line);
        if last.len() > LAST_LINES {
            last.pop_front();
        }
    }
}

fn finish(mut running: Running, last: VecDeque<String>) -> Result<(), Failure> {
    let status = running.0.wait().map_err(Failure::Io)?;
    if status.success() {
        return Ok(());
    }
    let last = if last.is_empty() { "it said nothing".to_owned() } else { Vec::from(last).join(" | ") };
    Err(Failure::Failed(status, last))
}

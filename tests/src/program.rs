//! Running the program and judging how it ends.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The program under test.
#[derive(Clone, Debug)]
pub struct Program {
    executable: PathBuf,
}

/// How a run of the program ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Program {
    /// The program at a path: `env!("CARGO_BIN_EXE_tessera")`.
    pub fn new(executable: impl Into<PathBuf>) -> Self {
        Self { executable: executable.into() }
    }

    /// A command that runs it, with nothing in the environment that changes what it does.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Finished {
        Self::finish(self.command(arguments))
    }

    /// Runs a prepared command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn finish(mut command: Command) -> Finished {
        let output = command.output().expect("the program can be started");
        Finished {
            command: format!("{command:?}"),
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it with `--json` events on standard output, and returns it running once `is_awaited` is true of an event.
    ///
    /// # Panics
    /// When it cannot be started, or ends before.
    pub fn run_until<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: &[S],
        is_awaited: impl Fn(&serde_json::Value) -> bool,
    ) -> Child {
        let mut command = self.command(arguments);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program can be started");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        for line in lines {
            let line = line.expect("readable output");
            let event: serde_json::Value = serde_json::from_str(&line).expect("events are JSON");
            if is_awaited(&event) {
                return child;
            }
        }
        panic!("{command:?} ended with {:?} before what was waited for", child.wait());
    }
}

impl Finished {
    /// Demands success, and returns standard output.
    ///
    /// # Panics
    /// When the program failed.
    pub fn success(&self) -> &str {
        assert_eq!(self.status, Some(0), "{self:#?}");
        &self.stdout
    }

    /// Demands success and that standard output is one JSON value, which is returned.
    ///
    /// # Panics
    /// When it is not so.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.success()).unwrap_or_else(|e| panic!("not one JSON value ({e}): {self:#?}"))
    }

    /// Demands exit status 1, nothing on standard output and one sentence of error that contains all `words`.
    ///
    /// # Panics
    /// When it is not so.
    pub fn failure(&self, words: &[&str]) -> &str {
        assert_eq!(self.status, Some(1), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        self.one_error(words)
    }

    /// Demands exit status 2 and an explanation that contains all `words`.
    ///
    /// # Panics
    /// When it is not so.
    pub fn wrong_usage(&self, words: &[&str]) {
        assert_eq!(self.status, Some(2), "{self:#?}");
        let missing = words.iter().find(|word| !self.stderr.contains(**word));
        assert!(missing.is_none(), "{missing:?} is not mentioned: {self:#?}");
    }

    fn one_error(&self, words: &[&str]) -> &str {
        let errors: Vec<_> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && self.stderr.trim_end().ends_with(errors[0]), "not one sentence: {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        let missing = words.iter().find(|word| !errors[0].contains(**word));
        assert!(missing.is_none(), "{missing:?} is not mentioned: {self:#?}");
        errors[0]
    }
}

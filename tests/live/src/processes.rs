//! Processes of a live drill, and the directory that they share: both are gone when they are dropped, however the drill ends.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A directory of one run.
#[derive(Debug)]
pub struct Home(PathBuf);

impl Home {
    /// Makes it.
    pub fn make() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("holdfast-live-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// A path in it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server process that says its address in its first line.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:<port>`
    pub url: String,
}

impl Server {
    /// Starts it, and waits until it listens.
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut server = Self { child, url: format!("http://{}", line.trim()) };
        if line.trim().is_empty() {
            server.kill();
            return Err(io::Error::other(format!("{} ended before it listened", program.display())));
        }
        Ok(server)
    }

    /// Ends it with `SIGKILL`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

/// Sends a signal to processes; one that has just ended by itself is no failure.
pub fn signal(signal: &str, processes: &[u32]) -> io::Result<()> {
    if processes.is_empty() {
        return Ok(());
    }
    let processes = processes.iter().map(ToString::to_string);
    Command::new("kill").arg(signal).args(processes).stderr(Stdio::null()).status().map(drop)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

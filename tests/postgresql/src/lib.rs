#![doc = include_str!("../README.md")]

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Names the socket; nothing listens on the network.
pub const PORT: u16 = 5432;
/// The superuser, without a password: who reaches the socket is let in.
pub const USER: &str = "holdfast";
/// The database that is there from the start.
pub const DATABASE: &str = "postgres";

/// A running server; it is stopped and its directory deleted when this is dropped.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    /// The data, the socket and the log.
    home: PathBuf,
}

/// PostgreSQL could not be brought up.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The programs are not on this machine.
    #[error(
        "PostgreSQL is not installed: neither PATH nor /usr/lib/postgresql/*/bin has `pg_ctl`; try `make postgresql`"
    )]
    NotInstalled,
    /// A program could not be started, or a directory could not be made.
    #[error("{what}")]
    System {
        /// What was to be done.
        what: String,
        /// Why not.
        #[source]
        why: io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Which.
        program: String,
        /// Its last words, and those of the server's log.
        said: String,
    },
}

impl Server {
    /// Starts an empty server.
    pub fn start() -> Result<Self, ServerError> {
        let server = Self::at_home()?;
        server.run("initdb", &["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER])?;
        server.up()?;
        Ok(server)
    }

    /// Starts a hot standby that follows this server.
    pub fn standby(&self) -> Result<Self, ServerError> {
        let standby = Self::at_home()?;
        let host = self.socket();
        let port = PORT.to_string();
        let from = ["--host", &host, "--port", &port, "--username", USER];
        let copy = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream"];
        standby.run("pg_basebackup", &[from.as_slice(), &copy].concat())?;
        standby.up()?;
        Ok(standby)
    }

    /// Makes a standby the primary of its own history, and waits until it is.
    pub fn promote(&self) -> Result<(), ServerError> {
        self.run("pg_ctl", &["promote", "--wait"])
    }

    /// Ends the server at once, as an outage does. Its data stay.
    pub fn kill(&self) -> Result<(), ServerError> {
        self.run("pg_ctl", &["stop", "--mode=immediate", "--wait", "--timeout=10"])
    }

    /// Ends the server in order: its sessions are cut off, and a standby that is connected is sent everything first.
    pub fn stop(&self) -> Result<(), ServerError> {
        self.run("pg_ctl", &["stop", "--mode=fast", "--wait", "--timeout=30"])
    }

    /// Where the log of a server that was stopped in order ends: its last checkpoint.
    pub fn end_of_log(&self) -> Result<String, ServerError> {
        self.run("pg_controldata", &[])?;
        let file = self.home.join("pg_controldata.out");
        let said = fs::read_to_string(&file)
            .map_err(|why| ServerError::System { what: format!("{} cannot be read", file.display()), why })?;
        let found = said.lines().find_map(|line| line.strip_prefix("Latest checkpoint location:"));
        found.map(|position| position.trim().to_owned()).ok_or_else(|| ServerError::Failed {
            program: "pg_controldata".into(),
            said: "it names no checkpoint".into(),
        })
    }

    /// Starts a server on a copy of this one's data, as a snapshot is restored. This one must be stopped.
    pub fn restored(&self) -> Result<Self, ServerError> {
        let copy = Self::at_home()?;
        let (from, to) = (self.data().join(".").display().to_string(), copy.data().display().to_string());
        copy.command("cp", Path::new("cp"), &["--archive", &from, &to])?;
        copy.up()?;
        Ok(copy)
    }

    /// Takes back what this stopped server alone has written, so that it can follow another one, which is reached
    /// through the socket in a directory; it comes up as that one's standby.
    pub fn rewind(&self, to: &Path) -> Result<(), ServerError> {
        let source = format!("host={} port={PORT} user={USER} dbname={DATABASE}", to.display());
        self.run_on("pg_rewind", "--target-pgdata", &["--source-server", &source, "--write-recovery-conf", "--no-sync"])
    }

    /// Has a server that was stopped in order come up as a standby of whatever its settings name.
    pub fn follow(&self) -> Result<(), ServerError> {
        let signal = self.data().join("standby.signal");
        fs::write(&signal, "")
            .map_err(|why| ServerError::System { what: format!("{} cannot be written", signal.display()), why })?;
        if is_root() {
            self.command("chown", Path::new("chown"), &["postgres", &signal.display().to_string()])?;
        }
        Ok(())
    }

    /// Every process of the server, the first one first; none when it does not run.
    #[must_use]
    pub fn processes(&self) -> Vec<String> {
        let Some(first) = self.postmaster() else { return Vec::new() };
        let others = children(&first);
        std::iter::once(first).chain(others).collect()
    }

    /// Stops every process of the server where it is (`SIGSTOP`): it says nothing, and knows of no time passing.
    pub fn freeze(&self) -> Result<(), ServerError> {
        // Nothing is started any more once the first process stands still.
        let first: Vec<String> = self.postmaster().into_iter().collect();
        self.signal("-STOP", &first)?;
        self.signal("-STOP", &self.processes())
    }

    /// Lets it go on (`SIGCONT`).
    pub fn thaw(&self) -> Result<(), ServerError> {
        self.signal("-CONT", &self.processes())
    }

    /// Ends the server and all of its processes with `SIGKILL`, as a Region that is lost does: nothing is flushed or said.
    pub fn crash(&self) -> Result<(), ServerError> {
        let all = self.processes();
        self.signal("-KILL", &all)?;
        for id in &all {
            // A signal that is sent is not one that has arrived.
            let gone = format!("--pid={id}");
            self.command("tail", Path::new("timeout"), &["5", "tail", "-s", "0.01", &gone, "-f", "/dev/null"])?;
        }
        Ok(())
    }

    /// Where its data are.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Brings a killed server back.
    pub fn up(&self) -> Result<(), ServerError> {
        let socket = self.socket();
        let settings = format!(
            "-c listen_addresses= -c unix_socket_directories={socket} -c port={PORT} -c fsync=off \
             -c shared_buffers=32MB -c max_connections=50 -c wal_receiver_status_interval=1 -c wal_retrieve_retry_interval=500ms \
             -c wal_log_hints=on -c wal_keep_size=512MB -c dynamic_shared_memory_type=mmap"
        );
        let log = self.home.join("log").display().to_string();
        self.run("pg_ctl", &["start", "--wait", "--silent", "--log", &log, "--options", &settings])
    }

    /// The directory of the socket: what clients take for the host.
    #[must_use]
    pub fn socket(&self) -> String {
        self.home.display().to_string()
    }

    /// How to reach it.
    #[must_use]
    pub fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.home).port(PORT).user(USER).dbname(DATABASE);
        config
    }

    fn at_home() -> Result<Self, ServerError> {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("holdfast-postgresql-{}-{number}", std::process::id()));
        let server = Self { bin: programs().ok_or(ServerError::NotInstalled)?, home };
        let failed = |why| ServerError::System { what: format!("{} cannot be made", server.home.display()), why };
        // PostgreSQL refuses data that others may read.
        let private = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
        private(&server.home).and_then(|()| private(&server.home.join("data"))).map_err(failed)?;
        if is_root() {
            server.command("chown", Path::new("chown"), &["-R", "postgres", &server.socket()])?;
        }
        Ok(server)
    }

    /// The first process, if it runs and is this server's: a number may have gone to somebody else meanwhile.
    fn postmaster(&self) -> Option<String> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let id = file.lines().next()?.trim().to_owned();
        let started_with = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        started_with.contains(&self.data().display().to_string()).then_some(id)
    }

    fn signal(&self, signal: &str, processes: &[String]) -> Result<(), ServerError> {
        if processes.is_empty() {
            return Ok(());
        }
        let arguments: Vec<&str> = std::iter::once(signal).chain(processes.iter().map(String::as_str)).collect();
        // One that has just ended by itself is no failure.
        match self.command("kill", Path::new("kill"), &arguments) {
            Err(ServerError::Failed { .. }) if self.postmaster().is_some() || signal == "-KILL" => Ok(()),
            outcome => outcome,
        }
    }

    /// What a server that died without a word left in the machine's memory. The one that starts again clears it up itself.
    fn clear_memory(&self) {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        // The seventh line: its key, and its id.
        if let Some(id) = file.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let _ = self.command("ipcrm", Path::new("ipcrm"), &["--shmem-id", id]);
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), ServerError> {
        self.run_on(program, "-D", arguments)
    }

    /// Runs a program of PostgreSQL on the data, which it is told of in its own way.
    fn run_on(&self, program: &str, data_is: &str, arguments: &[&str]) -> Result<(), ServerError> {
        let path = self.bin.join(program).display().to_string();
        let data = self.home.join("data").display().to_string();
        let with_data = [&[path.as_str(), data_is, &data], arguments].concat();
        if is_root() {
            // setpriv drops root and stays in the foreground.
            let dropped = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"];
            self.command(program, Path::new("setpriv"), &[dropped.as_slice(), &with_data].concat())
        } else {
            self.command(program, Path::new(&path), &with_data[1..])
        }
    }

    fn command(&self, name: &str, program: &Path, arguments: &[&str]) -> Result<(), ServerError> {
        // A server that was started keeps what it inherits: its output goes to files, never to a pipe that is waited for.
        let said = self.home.join(format!("{name}.out"));
        let unwritten = |why| ServerError::System { what: format!("{} cannot be written", said.display()), why };
        let out = fs::File::create(&said).map_err(unwritten)?;
        let err = out.try_clone().map_err(unwritten)?;
        let done = Command::new(program)
            .args(arguments)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .status()
            .map_err(|why| ServerError::System { what: format!("{} cannot be started", program.display()), why })?;
        if done.success() {
            return Ok(());
        }
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let said = format!("{}{}", read(&said), read(&self.home.join("log")));
        let last: Vec<&str> = said.lines().rev().take(8).collect();
        let said = last.into_iter().rev().collect::<Vec<_>>().join(" | ");
        Err(ServerError::Failed { program: name.to_owned(), said })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already, or stand still; nothing more can be done about what fails here.
        if self.postmaster().is_some() {
            let _ = self.thaw();
            if self.kill().is_err() {
                let _ = self.crash();
            }
        }
        self.clear_memory();
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// The processes that a process has started.
fn children(of: &str) -> Vec<String> {
    let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    listed.split_whitespace().map(str::to_owned).collect()
}

/// Where the programs are, the newest of Debian's versions before an older one.
fn programs() -> Option<PathBuf> {
    let has_all = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "pg_basebackup", "pg_rewind"].iter().all(|program| folder.join(program).is_file())
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.filter_map(Result::ok).map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    std::env::split_paths(&path).chain(debian.into_iter().rev()).find(has_all)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

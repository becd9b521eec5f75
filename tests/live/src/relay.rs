//! The wire between a client and a PostgreSQL server: a relay with latency that goes dark, and comes back, with the world.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_world::{Region, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What PostgreSQL's clients look for in the directory that they are given for a host.
const SOCKET: &str = ".s.PGSQL.5432";
/// How often a dark path is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Chunks under way in one direction before the sender has to wait.
const UNDER_WAY_MAX: usize = 1024;

/// Where a connection goes: the Region, and the directory of the server's socket.
pub type Target = Arc<dyn Fn() -> (Region, PathBuf) + Send + Sync>;

/// A way from one Region.
#[derive(Clone)]
pub struct Relay {
    /// Whose network it is.
    pub world: World,
    /// Where its clients are.
    pub from: Region,
    /// Where new connections go.
    pub target: Target,
    /// One way between two Regions; within one there is none to speak of.
    pub one_way: Duration,
    /// Nothing passes while this is set, whatever the network does.
    pub held: Arc<AtomicBool>,
}

impl Relay {
    /// Listens in a directory, which clients take for the host.
    pub fn listen(self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let socket = directory.join(SOCKET);
        let listener = UnixListener::bind(&socket)?;
        // The standby runs as another user.
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777))?;
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(self.clone().connect(client));
            }
        });
        Ok(())
    }

    async fn connect(self, client: UnixStream) {
        let (to, directory) = (self.target)();
        // There and back: a connection that nobody confirms is none.
        self.passes(self.from, to).await;
        self.passes(to, self.from).await;
        // A server that is not there refuses; one in the dark would not even do that.
        let Ok(server) = UnixStream::connect(directory.join(SOCKET)).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            self.carry(self.from, to, from_client, to_server),
            self.carry(to, self.from, from_server, to_client)
        );
    }

    /// Waits while packets of this direction are lost.
    async fn passes(&self, from: Region, to: Region) {
        while self.held.load(Ordering::Relaxed) || !self.world.state().network.path_up(from, to) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Carries bytes in order, each so much later; what is under way when the path goes dark waits, as TCP would send it again.
    async fn carry(
        &self,
        from: Region,
        to: Region,
        mut reader: tokio::net::unix::OwnedReadHalf,
        mut writer: tokio::net::unix::OwnedWriteHalf,
    ) {
        let delay = if from == to { Duration::ZERO } else { self.one_way };
        let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY_MAX);
        let read = async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(length @ 1..) = reader.read(&mut buffer).await {
                let chunk = buffer.get(..length).unwrap_or_default().to_vec();
                if sender.send((Instant::now() + delay, chunk)).await.is_err() {
                    return;
                }
            }
        };
        let write = async move {
            while let Some((due, chunk)) = under_way.recv().await {
                tokio::time::sleep_until(due).await;
                self.passes(from, to).await;
                if writer.write_all(&chunk).await.is_err() {
                    return;
                }
            }
            // The end of a connection is a packet too.
            self.passes(from, to).await;
            let _ = writer.shutdown().await;
        };
        tokio::join!(read, write);
    }
}

//! What is left of a server that is let go of: nothing, whatever state it was in.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use holdfast_postgresql::{Server, ServerError};

/// The ids of the segments of shared memory on this machine.
fn segments() -> Vec<String> {
    let listed = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    listed.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect()
}

#[track_caller]
fn check(then: impl FnOnce(&Server)) {
    let server = match Server::start() {
        Ok(server) => server,
        Err(ServerError::NotInstalled) if std::env::var_os("HOLDFAST_WITHOUT_POSTGRESQL").is_some() => return,
        Err(error) => panic!("{error}"),
    };
    let (processes, home) = (server.processes(), server.socket());
    assert!(processes.len() >= 4, "a server is several processes: {processes:?}");
    let pid_file = fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
    let segment = pid_file.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)).unwrap().to_owned();
    assert!(segments().contains(&segment));
    then(&server);
    drop(server);
    for process in processes {
        assert!(!Path::new(&format!("/proc/{process}/exe")).exists(), "{process} still runs");
    }
    assert!(!Path::new(&home).exists(), "{home} is still there");
    assert!(!segments().contains(&segment), "its shared memory is still there");
}

#[test]
fn nothing_is_left_of_a_running_server() {
    check(|_| {});
}

#[test]
fn nothing_is_left_of_a_server_that_stands_still() {
    check(|server| server.freeze().unwrap());
}

#[test]
fn nothing_is_left_of_a_server_that_crashed() {
    check(|server| server.crash().unwrap());
}

#[test]
fn nothing_is_left_of_a_server_and_its_snapshot() {
    check(|server| {
        server.stop().unwrap();
        let copy = server.restored().unwrap();
        let home = copy.socket();
        drop(copy);
        assert!(!Path::new(&home).exists(), "{home} is still there");
    });
}

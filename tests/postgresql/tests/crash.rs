//! A server that is killed with `SIGKILL`, as a Region that is lost does.

use std::fs;
use std::path::Path;

use holdfast_postgresql::{Server, ServerError};

#[test]
fn a_server_that_crashes_is_gone_at_once_and_comes_back_with_its_data() {
    let server = match Server::start() {
        Ok(server) => server,
        Err(ServerError::NotInstalled) if std::env::var_os("HOLDFAST_WITHOUT_POSTGRESQL").is_some() => return,
        Err(error) => panic!("{error}"),
    };
    let id = |server: &Server| -> String {
        let file = fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    };
    let first = id(&server);
    let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
    assert!(children.split_whitespace().count() >= 3, "a server is several processes: {children}");
    server.crash().unwrap();
    for process in children.split_whitespace().chain([first.as_str()]) {
        let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let ended = state.is_empty() || state.contains(") Z");
        assert!(ended || !Path::new(&format!("/proc/{process}/exe")).exists(), "{process} still runs: {state}");
    }
    server.up().unwrap();
    assert_ne!(id(&server), first);
}

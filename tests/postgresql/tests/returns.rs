//! An old primary comes back, is rewound and follows; and the writer is moved back to it in order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

use holdfast_postgresql::{DATABASE, Server, ServerError, USER};

/// Asks a server with PostgreSQL's own client; the empty text when it refuses.
fn ask(server: &Server, statement: &str) -> String {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--host", &server.socket(), "--username", USER, DATABASE]);
    let said = psql.args(["--command", statement]).output().unwrap();
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

#[track_caller]
fn soon(server: &Server, statement: &str, expected: &str) {
    for _ in 0..200 {
        if ask(server, statement) == expected {
            return;
        }
        // The server waits, and not this thread.
        ask(server, "SELECT pg_sleep(0.05)");
    }
    assert_eq!(ask(server, statement), expected, "{statement}");
}

const ROWS: &str = "SELECT string_agg(key, ' ' ORDER BY key) FROM bookings";
const IS_STANDBY: &str = "SELECT pg_is_in_recovery()";

#[test]
fn an_old_primary_is_kept_rewound_and_promoted_again_without_losing_a_row() {
    let dublin = match Server::start() {
        Ok(server) => server,
        Err(ServerError::NotInstalled) if std::env::var_os("HOLDFAST_WITHOUT_POSTGRESQL").is_some() => return,
        Err(error) => panic!("{error}"),
    };
    ask(&dublin, "CREATE TABLE bookings (key text PRIMARY KEY)");
    ask(&dublin, "INSERT INTO bookings VALUES ('a')");
    let london = dublin.standby().unwrap();
    soon(&london, ROWS, "a");
    london.promote().unwrap();
    ask(&london, "INSERT INTO bookings VALUES ('new')");
    ask(&dublin, "INSERT INTO bookings VALUES ('tail')");
    dublin.crash().unwrap();

    dublin.up().unwrap();
    assert_eq!(ask(&dublin, IS_STANDBY), "f", "an old primary knows of nothing");
    dublin.stop().unwrap();
    let kept = dublin.restored().unwrap();
    assert_eq!(ask(&kept, ROWS), "a tail");
    ask(&london, "CHECKPOINT");
    dublin.rewind(Path::new(&london.socket())).unwrap();
    dublin.up().unwrap();
    assert_eq!(ask(&dublin, IS_STANDBY), "t");
    soon(&dublin, ROWS, "a new");

    ask(&london, "INSERT INTO bookings VALUES ('last')");
    london.stop().unwrap();
    let end = london.end_of_log().unwrap();
    soon(&dublin, &format!("SELECT pg_last_wal_replay_lsn() > '{end}'"), "t");
    dublin.promote().unwrap();
    london.follow().unwrap();
    london.up().unwrap();
    assert_eq!(ask(&london, IS_STANDBY), "t");
    ask(&dublin, "INSERT INTO bookings VALUES ('back')");
    soon(&dublin, ROWS, "a back last new");
    soon(&london, ROWS, "a back last new");
}

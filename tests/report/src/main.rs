//! `holdfast-report RUN.json REPORT.html`: the report of a run from its JSON.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        let _ = writeln!(std::io::stderr(), "usage: holdfast-report RUN.json REPORT.html");
        return ExitCode::from(64);
    };
    let read = std::fs::read_to_string(from).map_err(|error| format!("{from} cannot be read: {error}"));
    let made = read.and_then(|json| holdfast_report::html(&json).map_err(|error| format!("{from}: {error}")));
    let written = made.and_then(|html| std::fs::write(to, html).map_err(|error| format!("{to}: {error}")));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "holdfast-report: {problem}");
            ExitCode::from(64)
        }
    }
}

//! What a process has used, from `/proc`: CPU time and the most memory it ever had.

use std::fs;
use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// User and system time.
    pub cpu: Duration,
    /// The most resident memory, in kB.
    pub peak_kb: u64,
}

/// What a process has used; `None` when it is gone. Linux counts CPU time in hundredths of a second.
#[must_use]
pub fn used(id: &str) -> Option<Used> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold blanks.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()?.saturating_add(fields.get(12)?.parse().ok()?);
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak_kb = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(Used { cpu: Duration::from_millis(ticks.saturating_mul(10)), peak_kb })
}

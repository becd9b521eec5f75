//! Keys that both Regions have accepted: last-writer-wins hides them in the table itself, the marks do not.

use std::time::Duration;

use holdfast_aws::Startup;
use holdfast_aws::attempts::Attempts;
use holdfast_domain::Timestamp;
use holdfast_domain::attempt::{Doubled, Window, accepted_twice};

/// Each round looks at so much of the past; rounds come once a minute, so each mark is looked at several times.
const LOOK_BACK: Duration = Duration::from_secs(240);

/// The keys that both Regions have accepted since `since`, or in the last minutes.
pub(crate) async fn find(startup: &Startup, since: Option<Timestamp>, now: Timestamp) -> Result<Vec<Doubled>, String> {
    let recent = now.checked_sub(LOOK_BACK).unwrap_or(now);
    let margin = startup.config.policy.clock_margin();
    let from = since.map_or(recent, |since| since.min(recent));
    let window = Window { from: from.checked_sub(margin).unwrap_or(from), to: now.checked_add(margin).unwrap_or(now) };
    let attempts = Attempts::new(&startup.sdk, &startup.config.topology).in_window(&window).await;
    attempts.map(|attempts| accepted_twice(&attempts)).map_err(|error| error.to_string())
}

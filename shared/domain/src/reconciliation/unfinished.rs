//! A file that one invocation could not settle: what is done of it, and which step is next.
//!
//! A run is noted before it begins, so that whatever ends an invocation, the next scheduled one goes on with it, in the steps of
//! a run in shards. What a step comes to is kept where the next invocation finds it; a step that is repeated comes to the same.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ShardStep;
use crate::{Region, Timestamp, age};

/// Invocations that go on with one file. More of them do not come to an end either.
pub const INVOCATIONS_MAX: u32 = 100;
/// So long after it began a file is given up and told as unknown.
pub const UNFINISHED_MAX: Duration = Duration::from_secs(6 * 3600);

/// A file whose settling was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The run, named by the digest of the file's bytes.
    pub run: String,
    /// That digest: once it is known as settled, there is nothing to go on with.
    pub digest: String,
    /// Where the file lies. Only there the run goes on.
    pub region: Region,
    /// The file's key.
    pub object: String,
    /// The stretch of time that a person asked for.
    pub from: Option<Timestamp>,
    /// Its end.
    pub to: Option<Timestamp>,
    /// When it was begun.
    pub began: Timestamp,
    /// Shards of the plan; 0 before there is one.
    pub shards: u32,
    /// Steps that are done; what they came to is kept.
    pub done: u32,
    /// Invocations that had it.
    pub invocations: u32,
    /// Until when an invocation has it, as it is ended by Lambda then.
    pub held_until: Timestamp,
}

/// The files of a Region whose settling was begun and has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedRuns {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// Each, oldest first; [`RUNS_MAX`] at most.
    pub runs: Vec<Unfinished>,
}

/// Files that are noted at once. One that finds no room is settled all the same, and goes on from nothing.
pub const RUNS_MAX: usize = 50;

impl UnfinishedRuns {
    /// The one of that name.
    #[must_use]
    pub fn get(&self, run: &str) -> Option<&Unfinished> {
        self.runs.iter().find(|it| it.run == run)
    }

    /// The one that the fewest invocations have had first: a file that fails each time keeps no other waiting.
    #[must_use]
    pub fn in_turn(&self) -> Vec<&Unfinished> {
        let mut runs: Vec<&Unfinished> = self.runs.iter().collect();
        runs.sort_by_key(|run| (run.invocations, run.began));
        runs
    }

    /// The same with a run as it is now; `None` where there is no room.
    #[must_use]
    pub fn with(&self, run: Unfinished) -> Option<Self> {
        let mut runs = self.runs.clone();
        match runs.iter().position(|it| it.run == run.run) {
            Some(place) => runs[place] = run,
            None if runs.len() < RUNS_MAX => runs.push(run),
            None => return None,
        }
        Some(Self { version: self.version + 1, runs })
    }

    /// The same without a run that has ended; `None` where it is not there.
    #[must_use]
    pub fn without(&self, run: &str) -> Option<Self> {
        self.get(run)?;
        let runs = self.runs.iter().filter(|it| it.run != run).cloned().collect();
        Some(Self { version: self.version + 1, runs })
    }
}

/// What the next invocation does about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It goes on. That is to be written first, so that nobody else does.
    GoOn(Unfinished),
    /// Another invocation has it.
    Held {
        /// Until then at the latest.
        until: Timestamp,
    },
    /// It is another Region's.
    Nothing,
    /// It took too long: it is told as unknown.
    GiveUp {
        /// Invocations that had it.
        invocations: u32,
        /// Since when.
        began: Timestamp,
        /// How far it came.
        progress: String,
    },
}

impl Unfinished {
    /// A run that an invocation begins now.
    #[must_use]
    pub fn begun(
        (run, digest): (&str, &str),
        region: &Region,
        object: &str,
        now: Timestamp,
        held_until: Timestamp,
    ) -> Self {
        Self {
            run: run.to_owned(),
            digest: digest.to_owned(),
            region: region.clone(),
            object: object.to_owned(),
            from: None,
            to: None,
            began: now,
            shards: 0,
            done: 0,
            invocations: 1,
            held_until,
        }
    }

    /// What an invocation that ends at `deadline` does about it.
    #[must_use]
    pub fn turn(&self, here: &Region, now: Timestamp, deadline: Timestamp) -> Turn {
        if self.region != *here {
            return Turn::Nothing;
        }
        if self.held_until > now {
            return Turn::Held { until: self.held_until };
        }
        if self.invocations >= INVOCATIONS_MAX || age(self.began, now) > UNFINISHED_MAX {
            let (invocations, began, progress) = (self.invocations, self.began, self.to_string());
            return Turn::GiveUp { invocations, began, progress };
        }
        Turn::GoOn(self.again(deadline))
    }

    /// The same with one more invocation, which has it until `deadline`.
    #[must_use]
    pub fn again(&self, deadline: Timestamp) -> Self {
        let held_until = self.held_until.max(deadline);
        Self { invocations: self.invocations.saturating_add(1), held_until, ..self.clone() }
    }

    /// The next step, and the shard that it is about; `None` when all are done.
    #[must_use]
    pub fn next(&self) -> Option<(ShardStep, Option<u32>)> {
        let Some(place) = self.done.checked_sub(1) else { return Some((ShardStep::Plan, None)) };
        let shards = self.shards;
        Some(match place {
            sums if sums < shards => (ShardStep::Sums, Some(sums)),
            narrow if narrow == shards => (ShardStep::Narrow, None),
            rows if rows - shards - 1 < shards => (ShardStep::Rows, Some(rows - shards - 1)),
            merge if merge - shards - 1 == shards => (ShardStep::Merge, None),
            _ => return None,
        })
    }

    /// The same with one more step done. A plan says how many shards there are.
    #[must_use]
    pub fn after(&self, planned: Option<u32>) -> Self {
        let shards = planned.unwrap_or(self.shards);
        Self { shards, done: self.done.saturating_add(1), ..self.clone() }
    }

    /// The same, left by its invocation.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Self {
        Self { held_until: now, ..self.clone() }
    }

    /// All steps, once it is planned: the plan, two for each shard, and two over all.
    #[must_use]
    pub fn steps(&self) -> Option<u32> {
        (self.shards > 0).then(|| self.shards.saturating_mul(2).saturating_add(3))
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps() {
            Some(steps) => write!(f, "{} of {steps} steps of {} are done", self.done, self.object),
            None => write!(f, "{} is not planned yet", self.object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }
    fn begun() -> Unfinished {
        Unfinished::begun(
            ("clearing-0f", "0f0f"),
            &region("eu-west-2"),
            "holdfast/clearing/stripe/a.csv",
            at(0),
            at(900),
        )
    }

    /// Every step once, each shard in its order, and the merge last; whatever the plan says.
    #[test]
    fn the_steps_of_a_run_are_those_of_the_state_machine() {
        for shards in 1..5 {
            let mut run = begun();
            let mut steps = Vec::new();
            while let Some(step) = run.next() {
                run = run.after((step.0 == ShardStep::Plan).then_some(shards));
                steps.push(step);
            }
            let each = |step| (0..shards).map(move |shard| (step, Some(shard)));
            let expected: Vec<_> = std::iter::once((ShardStep::Plan, None))
                .chain(each(ShardStep::Sums))
                .chain([(ShardStep::Narrow, None)])
                .chain(each(ShardStep::Rows))
                .chain([(ShardStep::Merge, None)])
                .collect();
            assert_eq!(steps, expected);
            assert_eq!(run.steps(), u32::try_from(steps.len()).ok());
        }
    }

    #[track_caller]
    fn check(run: &Unfinished, here: &str, now: i64, expected: &str) {
        let turn = match run.turn(&region(here), at(now), at(now + 900)) {
            Turn::GoOn(next) => format!("goes on as {} until {}", next.invocations, next.held_until.as_second()),
            Turn::Held { until } => format!("held until {}", until.as_second()),
            Turn::Nothing => "nothing".to_owned(),
            Turn::GiveUp { progress, .. } => format!("gives up: {progress}"),
        };
        assert_eq!(turn, expected);
    }

    #[test]
    fn one_invocation_has_a_run_and_the_next_one_takes_it_when_that_is_over() {
        check(&begun(), "eu-west-2", 899, "held until 900");
        check(&begun(), "eu-west-2", 900, "goes on as 2 until 1800");
        check(&begun().left(at(30)), "eu-west-2", 30, "goes on as 2 until 930");
    }
    #[test]
    fn a_run_of_another_region_is_left_alone() {
        check(&begun(), "eu-west-1", 9_000, "nothing");
    }
    #[test]
    fn a_run_is_listed_once_and_not_any_more_when_it_has_ended() {
        let listed = UnfinishedRuns::default().with(begun()).unwrap();
        let again = listed.with(begun().again(at(1_800))).unwrap();
        assert_eq!((again.version, again.runs.len()), (2, 1));
        assert_eq!(again.get("clearing-0f").map(|run| (run.invocations, run.held_until)), Some((2, at(1_800))));
        let ended = again.without("clearing-0f").unwrap();
        assert_eq!((ended.version, ended.runs.len(), ended.without("clearing-0f")), (3, 0, None));
    }
    #[test]
    fn a_file_that_fails_each_time_keeps_no_other_waiting() {
        let named = |name: &str, invocations| Unfinished { run: name.into(), invocations, ..begun() };
        let listed = [named("fails", 7), named("new", 1), named("second", 2)];
        let listed = listed.into_iter().fold(UnfinishedRuns::default(), |list, run| list.with(run).unwrap());
        let names: Vec<&str> = listed.in_turn().iter().map(|run| run.run.as_str()).collect();
        assert_eq!(names, ["new", "second", "fails"]);
    }
    #[test]
    fn the_list_is_bounded() {
        let named = |number: usize| Unfinished { run: number.to_string(), ..begun() };
        let full = (0..RUNS_MAX).fold(UnfinishedRuns::default(), |list, number| list.with(named(number)).unwrap());
        assert_eq!(full.with(named(RUNS_MAX)), None);
        assert!(full.with(named(7)).is_some());
    }
    #[test]
    fn a_run_that_never_ends_is_given_up() {
        let planned = begun().after(Some(4));
        check(
            &planned,
            "eu-west-2",
            6 * 3600 + 1,
            "gives up: 1 of 11 steps of holdfast/clearing/stripe/a.csv are done",
        );
        let often = Unfinished { invocations: INVOCATIONS_MAX, ..begun() };
        check(&often, "eu-west-2", 1_000, "gives up: holdfast/clearing/stripe/a.csv is not planned yet");
    }
}

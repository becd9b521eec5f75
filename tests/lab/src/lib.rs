#![doc = include_str!("../README.md")]

pub mod checker;
pub mod clients;
pub mod cost;
pub mod history;
pub mod report;
pub mod rows;
pub mod run;
pub mod service;
pub mod stores;
pub mod timing;

mod reasons;

pub use run::{Options, Routing, play, play_with};

use checker::Measured;
use rows::{BASELINE, ROWS};

/// Plays the baseline and every row, two at a time: each has a clock of its own. In the order of the table.
pub fn play_all(options: Options) -> std::io::Result<Vec<Measured>> {
    let rows: Vec<&rows::Row> = std::iter::once(&BASELINE).chain(ROWS).collect();
    play_some(&rows, options)
}

/// Plays these rows, two at a time.
pub fn play_some(rows: &[&rows::Row], options: Options) -> std::io::Result<Vec<Measured>> {
    let halves: [Vec<_>; 2] =
        [0, 1].map(|half| rows.iter().copied().enumerate().filter(|(index, _)| index % 2 == half).collect());
    let [one, other] = halves;
    let all = |half: Vec<(usize, &rows::Row)>| -> std::io::Result<Vec<(usize, Measured)>> {
        half.into_iter().map(|(index, row)| Ok((index, play(row, options)?))).collect()
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| all(other));
        (all(one), other.join())
    });
    let other = other.map_err(|_| std::io::Error::other("a row panicked"))??;
    let mut measured = one?;
    measured.extend(other);
    measured.sort_by_key(|(index, _)| *index);
    Ok(measured.into_iter().map(|(_, measured)| measured).collect())
}

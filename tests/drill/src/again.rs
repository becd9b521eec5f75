//! `drill replay-incident`: the decisions of an incident, made again.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use drill::checker::Verdict;
use holdfast_domain::policy::Policy;
use holdfast_domain::promotion::{Judgement, Replayed};
use serde::Deserialize;
use serde_json::Value;

/// What any of the files has that an incident is kept in.
#[derive(Debug, Deserialize)]
struct Kept {
    judgements: Vec<Judgement>,
}

/// Says what was decided, and what would have been. `invalid`: the same facts and the same policy give another decision now.
pub(crate) fn replay(file: &Path, policy: Option<&Path>) -> Result<Verdict, String> {
    let Kept { judgements } = serde_json::from_str(&read(file)?)
        .map_err(|error| format!("{} holds no judgements: {error}; write it with `drill --json`", file.display()))?;
    let other = policy.map(changes).transpose()?;
    let mut out = std::io::stdout();
    let mut differing = 0;
    for judgement in &judgements {
        let changed = other.as_ref().map(|changes| overlaid(&judgement.policy, changes)).transpose()?;
        let replayed = judgement.replay(changed.as_ref());
        differing += usize::from(replayed.differs());
        let _ = writeln!(out, "{}", told(&replayed));
    }
    let count = judgements.len();
    let verdict = match (&other, differing) {
        _ if count == 0 => "nothing was decided".to_owned(),
        (None, 0) => format!("{count} decisions, each the same again"),
        (None, _) => format!("{differing} of {count} decisions differ: this version decides otherwise"),
        (Some(_), 0) => format!("{count} decisions, none of them another one under the other policy"),
        (Some(_), _) => format!(
            "{differing} of {count} decisions would have been others; what would have followed from the first of them is not known from these facts"
        ),
    };
    let _ = writeln!(out, "\n{verdict}");
    Ok(match (&other, differing) {
        _ if count == 0 => Verdict::Unknown,
        (None, 0) | (Some(_), _) => Verdict::Valid,
        (None, _) => Verdict::Invalid,
    })
}

fn told(replayed: &Replayed) -> String {
    let Replayed { at, phase, then, now } = replayed;
    if replayed.differs() {
        format!("{at:.3}  {phase}\n    then  {then}\n    now   {now}")
    } else {
        format!("{at:.3}  {phase}\n    same  {then}")
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

/// The fields of a policy, or of the `policy` in a whole configuration.
fn changes(file: &Path) -> Result<Value, String> {
    let text = read(file)?;
    let unreadable = |error: String| format!("{} is no policy: {error}", file.display());
    let value: Value = if file.extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(&text).map_err(|error| unreadable(error.to_string()))?
    } else {
        serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?
    };
    Ok(value.get("policy").cloned().unwrap_or(value))
}

/// The policy of then with some fields changed.
fn overlaid(policy: &Policy, changes: &Value) -> Result<Policy, String> {
    let mut whole = serde_json::to_value(policy).map_err(|error| error.to_string())?;
    let fields = changes.as_object().ok_or("a policy is a table of fields, such as `mode = \"approve\"`")?;
    for (name, value) in fields {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).map_err(|error| format!("the other policy cannot be used: {error}"))
}

//! Whether a finished plan may be applied: never one that undoes a failover, and while an incident is open none that
//! touches the ledger or the tables.
//!
//! It reads `terraform show -json` and nothing else. The record of incidents is in there: every plan reads it from the
//! coordination table (`infra/incidents.tf`).

use std::fmt;

use holdfast_domain::incident::{ClusterState, Phase};
use serde_json::Value;

/// What only a person on a quiet day may change: who is in the global cluster, and what remembers the incidents.
const GUARDED: [&str; 5] = [
    "aws_rds_global_cluster",
    "aws_rds_cluster",
    "aws_rds_cluster_instance",
    "aws_cloudformation_stack",
    "aws_dynamodb_table",
];

/// Which of these a plan may never delete, nor replace, whatever the day.
const IRREPLACEABLE: [&str; 4] =
    ["aws_rds_global_cluster", "aws_rds_cluster", "aws_cloudformation_stack", "aws_dynamodb_table"];

/// Fields that say who is a member of the global cluster and in which role: a failover swaps them.
const ROLES: [&str; 4] =
    ["global_cluster_identifier", "replication_source_identifier", "source_db_cluster_identifier", "engine_version"];

/// How things stand, as the plan read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incidents {
    /// The record says that none is open.
    Quiet,
    /// One is open: its sentence.
    Open(String),
    /// A person has stopped everything.
    Frozen {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The first apply: there is no table yet that could say.
    NoneYet,
    /// The plan does not say, and that is not "none".
    Unknown(String),
}

/// Why a plan must not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It deletes or replaces what cannot be had again.
    Destroys {
        /// The resource's address.
        address: String,
        /// What Terraform would do.
        actions: String,
    },
    /// It changes who is what in the global cluster.
    SwapsRoles {
        /// The resource's address.
        address: String,
        /// The field.
        field: &'static str,
    },
    /// It touches the ledger or a table at a moment at which nothing may.
    Touches {
        /// The resource's address.
        address: String,
        /// What Terraform would do.
        actions: String,
        /// What speaks against it.
        while_: Incidents,
    },
    /// A person has stopped everything.
    Frozen {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// The plan cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no plan: {0}; give the output of `terraform show -json <plan>`")]
pub struct NotAPlan(String);

impl fmt::Display for Incidents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quiet => f.write_str("no incident is open"),
            Self::Open(incident) => write!(f, "an incident is open: {incident}"),
            Self::Frozen { by, reason } => write!(f, "{by} has frozen Holdfast: {reason}"),
            Self::NoneYet => f.write_str("this is called the first apply"),
            Self::Unknown(why) => write!(f, "nobody knows whether an incident is open: {why}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destroys { address, actions } => {
                write!(f, "{address} would be destroyed ({actions}); to uninstall, say so with --uninstall")
            }
            Self::SwapsRoles { address, field } => {
                write!(
                    f,
                    "{address} would change its {field}: that moves or breaks the global cluster; promote-aurora moves it"
                )
            }
            Self::Touches { address, actions, while_ } => {
                write!(f, "{address} would be touched ({actions}), and {while_}; wait until it is over")
            }
            Self::Frozen { by, reason } => {
                write!(f, "{by} has frozen Holdfast: {reason}; unfreeze it with {{\"action\":\"unfreeze\"}} first")
            }
        }
    }
}

/// Why a plan is no evidence that nothing is left to change after a failover.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotClean {
    /// It is none.
    #[error("{0}")]
    NotAPlan(NotAPlan),
    /// It looked at a part, or failed on the way.
    #[error("the plan is not whole ({0}); plan everything, without -target")]
    NotWhole(&'static str),
    /// It was made at another time: what it would change then says nothing of now.
    #[error("the plan was made when {read}; make one now that writes of {incident} are restored")]
    OfAnotherTime {
        /// What was asked for.
        incident: String,
        /// What it read.
        read: Incidents,
    },
    /// It would change something.
    #[error("the plan changes {count} things, {first} among them")]
    Changes {
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
}

/// What the plan read of the incidents.
#[must_use]
pub fn incidents(plan: &Value) -> Incidents {
    match record(plan) {
        Ok(state) => standing(&state),
        Err(unread) => unread,
    }
}

fn standing(state: &ClusterState) -> Incidents {
    match (&state.freeze, state.open_incident()) {
        (Some(freeze), _) => Incidents::Frozen { by: freeze.by.clone(), reason: freeze.reason.clone() },
        (None, Some(incident)) => Incidents::Open(incident.to_string()),
        (None, None) => Incidents::Quiet,
    }
}

/// The record of incidents, or why there is none.
fn record(plan: &Value) -> Result<ClusterState, Incidents> {
    if plan["variables"]["incidents"]["value"] == "none-yet" {
        return Err(Incidents::NoneYet);
    }
    let resources = plan["prior_state"]["values"]["root_module"]["resources"].as_array();
    let read =
        resources.into_iter().flatten().find(|it| it["type"] == "aws_dynamodb_table_item" && it["mode"] == "data");
    let Some(item) = read.and_then(|it| it["values"]["item"].as_str()) else {
        return Err(Incidents::Unknown("the plan has not read the coordination table".into()));
    };
    let unreadable = |why: String| Incidents::Unknown(format!("the record of incidents cannot be read: {why}"));
    let item: Value = serde_json::from_str(item).map_err(|error| unreadable(error.to_string()))?;
    let body = item["body"]["S"].as_str().ok_or_else(|| unreadable("it has no `body`".into()))?;
    serde_json::from_str(body).map_err(|error| unreadable(error.to_string()))
}

/// What a plan is evidence of, as a sentence: that nothing is left to change since writes of this incident are restored.
pub fn clean(plan: &Value, incident: &str) -> Result<String, NotClean> {
    if let Err(no_plan) = judge(plan, false) {
        return Err(NotClean::NotAPlan(no_plan));
    }
    if plan["errored"] == true {
        return Err(NotClean::NotWhole("it ended with an error"));
    }
    if plan["complete"] == false {
        return Err(NotClean::NotWhole("it says so itself"));
    }
    let of_another_time = |read: Incidents| NotClean::OfAnotherTime { incident: incident.to_owned(), read };
    let state = record(plan).map_err(of_another_time)?;
    let open = state.open_incident().filter(|open| open.id() == incident && open.was(Phase::Restored));
    if open.is_none() || state.freeze.is_some() {
        return Err(of_another_time(standing(&state)));
    }
    let changes = plan["resource_changes"].as_array().into_iter().flatten();
    let resources = changes.map(|it| (it["address"].as_str().unwrap_or("something").to_owned(), &it["change"]));
    let outputs = plan["output_changes"].as_object().into_iter().flatten();
    let outputs = outputs.map(|(name, change)| (format!("output.{name}"), change));
    let mut seen = 0_usize;
    let mut changed = Vec::new();
    for (address, change) in resources.chain(outputs) {
        seen += 1;
        // What has no actions is not known to stay as it is.
        let stays = |action: &Value| action == "no-op" || action == "read";
        if !change["actions"].as_array().is_some_and(|actions| actions.iter().all(stays)) {
            changed.push(address);
        }
    }
    match changed.first() {
        Some(first) => Err(NotClean::Changes { count: changed.len(), first: first.clone() }),
        None => {
            let made = plan["timestamp"].as_str().unwrap_or("an unknown time");
            Ok(format!("plan of {made}: no changes in {seen} resources and outputs"))
        }
    }
}

/// Everything that speaks against applying a plan. `uninstall`: a person has said that it is meant to destroy.
pub fn judge(plan: &Value, uninstall: bool) -> Result<Vec<Refusal>, NotAPlan> {
    if !plan.is_object() || plan["format_version"].as_str().is_none() {
        return Err(NotAPlan("it has no format_version".into()));
    }
    let incidents = incidents(plan);
    let mut refusals = Vec::new();
    if let Incidents::Frozen { by, reason } = &incidents {
        refusals.push(Refusal::Frozen { by: by.clone(), reason: reason.clone() });
    }
    let none = Vec::new();
    // A plan without changes has no such list.
    let changes = plan["resource_changes"].as_array().unwrap_or(&none);
    for change in changes {
        let (Some(kind), Some(address)) = (change["type"].as_str(), change["address"].as_str()) else {
            return Err(NotAPlan("a change has neither type nor address".into()));
        };
        if !GUARDED.contains(&kind) {
            continue;
        }
        let Some(actions) = change["change"]["actions"].as_array() else {
            return Err(NotAPlan(format!("{address} has no actions")));
        };
        let actions: Vec<&str> = actions.iter().filter_map(Value::as_str).collect();
        if actions.iter().all(|action| matches!(*action, "no-op" | "read")) {
            continue;
        }
        refusals.extend(judge_one(kind, address, &actions, &change["change"], &incidents, uninstall));
    }
    Ok(refusals)
}

fn judge_one(
    kind: &str,
    address: &str,
    actions: &[&str],
    change: &Value,
    incidents: &Incidents,
    uninstall: bool,
) -> Option<Refusal> {
    let (address, said) = (address.to_owned(), actions.join(", "));
    let destroys = actions.iter().any(|action| matches!(*action, "delete" | "forget"));
    let creates_only = actions == ["create"];
    match incidents {
        Incidents::Quiet => {}
        Incidents::NoneYet if creates_only => return None,
        // A promoted cluster without instances takes no writes (RDS-EVENT-0519): adding one must be possible at once.
        Incidents::Open(_) if creates_only && kind == "aws_rds_cluster_instance" => return None,
        Incidents::NoneYet | Incidents::Open(_) | Incidents::Frozen { .. } | Incidents::Unknown(_) => {
            return Some(Refusal::Touches { address, actions: said, while_: incidents.clone() });
        }
    }
    if destroys && IRREPLACEABLE.contains(&kind) {
        return (!uninstall).then_some(Refusal::Destroys { address, actions: said });
    }
    if creates_only {
        return None;
    }
    let changed = |field: &&&str| change["before"][**field] != change["after"][**field];
    ROLES.iter().find(changed).map(|field| Refusal::SwapsRoles { address, field })
}

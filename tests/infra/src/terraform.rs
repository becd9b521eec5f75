//! The Terraform in `infra/`, read as text: enough of it to say which functions run where, started by what, allowed what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hcl::expr::Expression;
use hcl::{Block, Body};
use serde_json::Value;

/// The Terraform cannot be read the way the tests need it.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    /// A file.
    #[error("{path} cannot be read: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A function's block.
    #[error("the block of {function} in infra/{area}: {problem}")]
    Function {
        /// Which.
        function: String,
        /// The directory.
        area: Area,
        /// What is wrong.
        problem: String,
    },
}

/// A directory whose functions run in some Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// `infra/region`, applied to each data Region.
    Region,
    /// `infra/witness`.
    Witness,
}

impl std::fmt::Display for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Region => "region",
            Self::Witness => "witness",
        })
    }
}

/// Where a call goes, seen from the Region of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The same Region.
    Here,
    /// A data Region that is another.
    Peer,
    /// The witness Region, seen from a data Region.
    Witness,
}

/// One statement of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is allowed.
    pub actions: BTreeSet<String>,
    /// Where its resources are, or where its condition says that it may be asked for; empty when neither says.
    pub places: BTreeSet<Place>,
    /// The resources as they are written.
    pub resources: String,
}

/// One function in one area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its folder in `functions/`.
    pub name: String,
    /// Where it runs.
    pub area: Area,
    /// Seconds.
    pub timeout_seconds: u64,
    /// The schedule's expression.
    pub schedule: Option<String>,
    /// Whether it is attached to the network that reaches PostgreSQL.
    pub in_network: bool,
    /// Whether a silence of it is an alarm.
    pub silence_is_an_alarm: bool,
    /// Rules by name: the bus as it is written, and the pattern.
    pub rules: BTreeMap<String, (String, Value)>,
    /// What it may do.
    pub may: Vec<Grant>,
    /// What it must never do.
    pub never: Vec<Grant>,
}

/// Every Terraform file under `infra/`, by its path there.
#[derive(Debug)]
pub struct Terraform {
    files: BTreeMap<String, (String, Body)>,
}

impl Terraform {
    /// Reads `infra/` of the repository at `root`.
    pub fn read(root: &Path) -> Result<Self, TerraformError> {
        let infra = root.join("infra");
        let mut files = BTreeMap::new();
        for folder in ["", "function", "global", "region", "witness"] {
            let directory = infra.join(folder);
            let failed = |why: String| TerraformError::File { path: directory.clone(), why };
            for entry in fs::read_dir(&directory).map_err(|error| failed(error.to_string()))? {
                let path = entry.map_err(|error| failed(error.to_string()))?.path();
                if path.extension().is_none_or(|extension| extension != "tf") {
                    continue;
                }
                let broken = |why: String| TerraformError::File { path: path.clone(), why };
                let text = fs::read_to_string(&path).map_err(|error| broken(error.to_string()))?;
                let body = hcl::parse(&text).map_err(|error| broken(error.to_string()))?;
                let name = path.strip_prefix(&infra).unwrap_or(&path).display().to_string();
                files.insert(name, (text, body));
            }
        }
        Ok(Self { files })
    }

    /// Each file's path under `infra/` and its text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(name, (text, _))| (name.as_str(), text.as_str()))
    }

    /// Blocks of a kind, such as `resource`, with the file that each is in.
    pub fn blocks(&self, kind: &str) -> impl Iterator<Item = (&str, &Block)> {
        self.files.iter().flat_map(move |(name, (_, body))| {
            body.blocks().filter(move |block| block.identifier() == kind).map(move |block| (name.as_str(), block))
        })
    }

    /// Every function of an area, by name.
    pub fn functions(&self, area: Area, config: &Value) -> Result<BTreeMap<String, Function>, TerraformError> {
        let prefix = format!("{area}/");
        let mut found = BTreeMap::new();
        for (_, block) in self.blocks("module").filter(|(file, _)| file.starts_with(&prefix)) {
            if attribute(block, "source").map(written).as_deref() != Some("\"../function\"") {
                continue;
            }
            let function = read_function(block, area, config)?;
            found.insert(function.name.clone(), function);
        }
        Ok(found)
    }
}

/// A block's attribute.
#[must_use]
pub fn attribute<'a>(block: &'a Block, name: &str) -> Option<&'a Expression> {
    block.body().attributes().find(|attribute| attribute.key() == name).map(hcl::Attribute::expr)
}

/// An expression as it is written, on one line.
#[must_use]
pub fn written(expression: &Expression) -> String {
    let text = hcl::format::to_string(expression).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read_function(block: &Block, area: Area, config: &Value) -> Result<Function, TerraformError> {
    let label = block.labels().first().map(|label| label.as_str().to_owned()).unwrap_or_default();
    let failed = |problem: String| TerraformError::Function { function: label.clone(), area, problem };
    let text = |name: &str| match attribute(block, name) {
        Some(Expression::String(text)) => Ok(Some(text.clone())),
        None => Ok(None),
        Some(other) => Err(failed(format!("`{name}` is {}, and no plain text", written(other)))),
    };
    let name = text("name")?.ok_or_else(|| failed("it has no `name`".into()))?;
    let seconds = match attribute(block, "timeout_seconds") {
        Some(Expression::Number(number)) => number.as_u64(),
        Some(_) | None => None,
    };
    let mut rules = BTreeMap::new();
    for (key, rule) in entries(attribute(block, "rules")) {
        let fields: BTreeMap<String, &Expression> = entries(Some(rule)).collect();
        let bus = fields.get("bus").map(|bus| written(bus)).unwrap_or_default();
        let pattern = match fields.get("pattern") {
            Some(Expression::FuncCall(call)) if call.name.name.as_str() == "jsonencode" => value(&call.args[0], config),
            Some(_) | None => Err("`pattern` is no jsonencode({…})".into()),
        };
        rules.insert(key, (bus, pattern.map_err(&failed)?));
    }
    Ok(Function {
        name,
        area,
        timeout_seconds: seconds.ok_or_else(|| failed("`timeout_seconds` is no number".into()))?,
        schedule: text("schedule")?,
        in_network: attribute(block, "network").is_some(),
        silence_is_an_alarm: attribute(block, "silent_after_minutes").is_some(),
        rules,
        may: grants(attribute(block, "may")).map_err(&failed)?,
        never: grants(attribute(block, "never")).map_err(&failed)?,
    })
}

/// The entries of an object.
fn entries(object: Option<&Expression>) -> impl Iterator<Item = (String, &Expression)> {
    let object = match object {
        Some(Expression::Object(object)) => Some(object),
        Some(_) | None => None,
    };
    object.into_iter().flatten().map(|(key, value)| {
        let name = key.to_string();
        (name.trim_matches('"').to_owned(), value)
    })
}

/// Statements in a list, in `concat(…)`, and in either arm of a condition.
fn grants(expression: Option<&Expression>) -> Result<Vec<Grant>, String> {
    let Some(expression) = expression else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    match expression {
        Expression::Array(items) => {
            for item in items {
                found.push(grant(item)?);
            }
        }
        Expression::FuncCall(call) if call.name.name.as_str() == "concat" => {
            for argument in &call.args {
                found.extend(grants(Some(argument))?);
            }
        }
        Expression::Conditional(choice) => {
            found.extend(grants(Some(&choice.true_expr))?);
            found.extend(grants(Some(&choice.false_expr))?);
        }
        other => return Err(format!("statements are {}, which is no list", written(other))),
    }
    Ok(found)
}

fn grant(expression: &Expression) -> Result<Grant, String> {
    let fields: BTreeMap<String, &Expression> = entries(Some(expression)).collect();
    let mut actions = BTreeSet::new();
    match fields.get("actions") {
        Some(Expression::Array(items)) => {
            for item in items {
                match item {
                    Expression::String(action) => actions.insert(action.clone()),
                    other => return Err(format!("an action is {}, and no plain text", written(other))),
                };
            }
        }
        Some(_) | None => return Err("a statement without a list of actions".into()),
    }
    let resources = fields.get("resources").map(|it| written(it)).unwrap_or_default();
    // Where a service knows no resource, the condition says in which Region it may be asked.
    let asked_in = fields.get("when").map(|it| written(it)).filter(|when| when.contains("aws:RequestedRegion"));
    let decisive = asked_in.as_deref().unwrap_or(&resources);
    let places = [("local.here.", Place::Here), ("local.peer.", Place::Peer), ("local.witness.", Place::Witness)];
    let places = places.iter().filter(|(prefix, _)| decisive.contains(prefix)).map(|(_, place)| *place).collect();
    Ok(Grant { actions, places, resources })
}

/// A literal as JSON; the few names that patterns use are looked up in the configuration, as seen from London.
fn value(expression: &Expression, config: &Value) -> Result<Value, String> {
    Ok(match expression {
        Expression::String(text) => Value::from(text.as_str()),
        Expression::Bool(bool) => Value::from(*bool),
        Expression::Array(items) => items.iter().map(|item| value(item, config)).collect::<Result<_, _>>()?,
        Expression::Object(_) => {
            let fields = entries(Some(expression)).map(|(key, inner)| Ok((key, value(inner, config)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        other => match written(other).as_str() {
            "local.own.receipts_bucket" => config["topology"]["data_regions"][1]["receipts_bucket"].clone(),
            name => return Err(format!("a pattern uses {name}, which only Terraform can look up")),
        },
    })
}

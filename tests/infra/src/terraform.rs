//! The Terraform in `infra/`, read as text: enough of it to say which functions run where, started by what, allowed what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Block, Body};
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
    /// A control plane in us-east-1, whichever Region asks.
    Global,
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
                let body = hcl_edit::parser::parse_body(&text).map_err(|error| broken(error.to_string()))?;
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
            body.blocks().filter(move |block| block.has_ident(kind)).map(move |block| (name.as_str(), block))
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

/// A block's label, such as the name of a variable.
#[must_use]
pub fn label(block: &Block, number: usize) -> &str {
    block.labels.get(number).map_or("", |label| label.as_str())
}

/// A block's attribute.
#[must_use]
pub fn attribute<'a>(block: &'a Block, name: &str) -> Option<&'a Expression> {
    block.body.get_attribute(name).map(|attribute: &Attribute| &attribute.value)
}

/// An expression as it is written, without comments and on one line.
#[must_use]
pub fn written(expression: &Expression) -> String {
    let text = expression.to_string();
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn read_function(block: &Block, area: Area, config: &Value) -> Result<Function, TerraformError> {
    let label = label(block, 0).to_owned();
    let failed = |problem: String| TerraformError::Function { function: label.clone(), area, problem };
    let text = |name: &str| match attribute(block, name).map(|it| (it.as_str(), it)) {
        Some((Some(text), _)) => Ok(Some(text.to_owned())),
        None => Ok(None),
        Some((None, other)) => Err(failed(format!("`{name}` is {}, and no plain text", written(other)))),
    };
    let name = text("name")?.ok_or_else(|| failed("it has no `name`".into()))?;
    let seconds =
        attribute(block, "timeout_seconds").and_then(Expression::as_number).and_then(|number| number.as_u64());
    let mut rules = BTreeMap::new();
    for (key, rule) in entries(attribute(block, "rules")) {
        let fields: BTreeMap<String, &Expression> = entries(Some(rule)).collect();
        let bus = fields.get("bus").map(|bus| written(bus)).unwrap_or_default();
        let pattern =
            fields.get("pattern").and_then(|it| it.as_func_call()).filter(|it| it.name.name.as_str() == "jsonencode");
        let pattern = match pattern.and_then(|call| call.args.iter().next()) {
            Some(pattern) => value(pattern, config),
            None => Err("`pattern` is no jsonencode({…})".into()),
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
        may: grants(attribute(block, "may"), config).map_err(&failed)?,
        never: grants(attribute(block, "never"), config).map_err(&failed)?,
    })
}

/// The entries of an object.
fn entries(object: Option<&Expression>) -> impl Iterator<Item = (String, &Expression)> {
    object.and_then(Expression::as_object).into_iter().flatten().map(|(key, value)| {
        let name = key.as_ident().map(|name| name.as_str().to_owned());
        let quoted = key.as_expr().map(|it| it.as_str().map_or_else(|| written(it), str::to_owned));
        (name.or(quoted).unwrap_or_default(), value.expr())
    })
}

/// Statements in a list, in `concat(…)`, in either arm of a condition, and under the ledger's strategy in an object.
fn grants(expression: Option<&Expression>, config: &Value) -> Result<Vec<Grant>, String> {
    let Some(expression) = expression else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if let Some(items) = expression.as_array() {
        for item in items {
            found.push(grant(item)?);
        }
    } else if let Some(call) = expression.as_func_call().filter(|call| call.name.name.as_str() == "concat") {
        for argument in call.args.iter() {
            found.extend(grants(Some(argument), config)?);
        }
    } else if let Some(choice) = expression.as_conditional() {
        found.extend(grants(Some(&choice.true_expr), config)?);
        found.extend(grants(Some(&choice.false_expr), config)?);
    } else if let Some(by_strategy) =
        expression.as_traversal().filter(|_| written(expression).ends_with("[local.strategy]"))
    {
        let strategy = config["topology"]["ledger_strategy"].as_str().unwrap_or("global_database");
        let chosen = entries(Some(&by_strategy.expr)).find(|(name, _)| name == strategy);
        let (_, statements) = chosen.ok_or_else(|| format!("no statements for the strategy {strategy}"))?;
        found.extend(grants(Some(statements), config)?);
    } else {
        return Err(format!("statements are {}, which is no list", written(expression)));
    }
    Ok(found)
}

fn grant(expression: &Expression) -> Result<Grant, String> {
    let fields: BTreeMap<String, &Expression> = entries(Some(expression)).collect();
    let listed = fields.get("actions").and_then(|it| it.as_array());
    let listed = listed.ok_or_else(|| "a statement without a list of actions".to_owned())?;
    let mut actions = BTreeSet::new();
    for item in listed {
        let action = item.as_str().ok_or_else(|| format!("an action is {}, and no plain text", written(item)))?;
        actions.insert(action.to_owned());
    }
    let resources = fields.get("resources").map(|it| written(it)).unwrap_or_default();
    // Where a service knows no resource, the condition says in which Region it may be asked.
    let asked_in = fields.get("when").map(|it| written(it)).filter(|when| when.contains("aws:RequestedRegion"));
    let decisive = asked_in.as_deref().unwrap_or(&resources);
    let places = [
        ("local.here.", Place::Here),
        ("local.peer.", Place::Peer),
        ("local.witness.", Place::Witness),
        ("local.global.", Place::Global),
    ];
    let places = places.iter().filter(|(prefix, _)| decisive.contains(prefix)).map(|(_, place)| *place).collect();
    Ok(Grant { actions, places, resources })
}

/// A literal as JSON; the few names that patterns use are looked up in the configuration, as seen from London.
fn value(expression: &Expression, config: &Value) -> Result<Value, String> {
    if let Some(text) = expression.as_str() {
        return Ok(Value::from(text));
    }
    if let Some(items) = expression.as_array() {
        return items.iter().map(|item| value(item, config)).collect();
    }
    if expression.is_object() {
        let fields = entries(Some(expression)).map(|(key, inner)| Ok((key, value(inner, config)?)));
        return Ok(Value::Object(fields.collect::<Result<_, String>>()?));
    }
    match written(expression).as_str() {
        "local.own.receipts_bucket" => Ok(config["topology"]["data_regions"][1]["receipts_bucket"].clone()),
        name => Err(format!("a pattern uses {name}, which only Terraform can look up")),
    }
}

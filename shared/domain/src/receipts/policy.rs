//! What the owners allow for receipts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Region;
use crate::config::ConfigError;

/// What becomes of a key that was written differently on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflicts {
    /// Both stay as they are, and a person decides.
    Report,
    /// The later one becomes current on both sides; the other one stays under its version id.
    PreferNewest,
    /// Dublin's becomes current on both sides.
    PreferDublin,
    /// London's becomes current on both sides.
    PreferLondon,
}

/// The bounds of reconciling receipts; each default carries its argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsPolicy {
    /// A schedule or a recovered Region may have the plan carried out without a person. The default only plans.
    #[serde(default)]
    pub apply_by_itself: bool,
    /// What S3 has not replicated after this long is copied. The default is S3's own threshold of Replication Time Control.
    #[serde(default = "quarter_of_an_hour")]
    pub pending_age_max_seconds: u64,
    /// What becomes of conflicts.
    #[serde(default = "report")]
    pub conflicts: Conflicts,
    /// Copies back what S3 says was there and is not: someone deleted that version by its id, or the bucket is a new one.
    #[serde(default)]
    pub restore_erased: bool,
    /// More keys than this are not listed: they are planned from S3 Inventory, where `at_scale` says how.
    #[serde(default = "five_million")]
    pub keys_max: u64,
    /// The KMS key for copies of encrypted objects, by the Region that they go to. Absent: the bucket's default encryption.
    #[serde(default)]
    pub kms_keys: BTreeMap<Region, String>,
    /// What is used beyond `keys_max`, or when asked. Absent: nothing, and more keys are refused.
    #[serde(default)]
    pub at_scale: Option<AtScale>,
}

/// S3 Inventory and S3 Batch Operations, as the owners have set them up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtScale {
    /// Where both buckets' inventories are delivered to, each into its own bucket: the destination prefix. Under `holdfast/`
    /// it is nobody's receipts.
    #[serde(default = "inventory_prefix")]
    pub inventory_prefix: String,
    /// The inventory configurations' id, the same on both buckets.
    #[serde(default = "inventory_id")]
    pub inventory_id: String,
    /// A list that is older than this is not planned from. The default is two deliveries and an hour.
    #[serde(default = "two_days_and_an_hour")]
    pub inventory_age_max_seconds: u64,
    /// The role that S3 Batch Replication works under, in the account of the buckets. Absent: every copy is made by the
    /// function itself.
    #[serde(default)]
    pub batch_role_arn: Option<String>,
}

impl AtScale {
    /// The account of the role, which is the account of the jobs.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        let account = self.batch_role_arn.as_deref()?.split(':').nth(4)?;
        (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(account)
    }

    /// How old a list may be.
    #[must_use]
    pub fn inventory_age_max(&self) -> Duration {
        Duration::from_secs(self.inventory_age_max_seconds)
    }
}

fn inventory_prefix() -> String {
    "holdfast/inventory".into()
}
fn inventory_id() -> String {
    "receipts".into()
}
fn two_days_and_an_hour() -> u64 {
    176_400
}

fn quarter_of_an_hour() -> u64 {
    900
}
fn five_million() -> u64 {
    5_000_000
}
fn report() -> Conflicts {
    Conflicts::Report
}

impl Default for ReceiptsPolicy {
    fn default() -> Self {
        Self {
            apply_by_itself: false,
            pending_age_max_seconds: quarter_of_an_hour(),
            conflicts: report(),
            restore_erased: false,
            keys_max: five_million(),
            kms_keys: BTreeMap::new(),
            at_scale: None,
        }
    }
}

impl ReceiptsPolicy {
    /// How long S3 is left to replicate by itself.
    #[must_use]
    pub fn pending_age_max(&self) -> Duration {
        Duration::from_secs(self.pending_age_max_seconds)
    }

    /// Checks what the types cannot.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let day = 86_400;
        if !(1..=day).contains(&self.pending_age_max_seconds) {
            let found = format!("is {}", self.pending_age_max_seconds);
            return Err(ConfigError::new(
                "policy.receipts.pending_age_max_seconds",
                found,
                "give a number from 1 to 86400",
            ));
        }
        if self.keys_max == 0 {
            return Err(ConfigError::new(
                "policy.receipts.keys_max",
                "is 0",
                "give the most keys that one run may list",
            ));
        }
        let Some(at_scale) = &self.at_scale else { return Ok(()) };
        if at_scale.batch_role_arn.is_some() && at_scale.account().is_none() {
            return Err(ConfigError::new(
                "policy.receipts.at_scale.batch_role_arn",
                "is no ARN of a role",
                "give `arn:aws:iam::<account>:role/<name>`, or leave it out",
            ));
        }
        if at_scale.inventory_prefix.is_empty() || at_scale.inventory_prefix.ends_with('/') {
            return Err(ConfigError::new(
                "policy.receipts.at_scale.inventory_prefix",
                format!("is `{}`", crate::region::excerpt(&at_scale.inventory_prefix)),
                "give the inventory's destination prefix, without a slash at its end",
            ));
        }
        Ok(())
    }
}

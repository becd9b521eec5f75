//! From a plan that breaks an invariant to the smallest one that still does.

use super::bugs::Bug;
use super::invariants::Invariant;
use super::plan::Plan;
use super::run;

/// Takes troubles away, one at a time, as long as the same invariant breaks. The result needs each of its troubles.
pub fn shrink(plan: &Plan, broken: Invariant, bug: Option<&Bug>) -> std::io::Result<Plan> {
    let mut smallest = plan.clone();
    'smaller: loop {
        for index in (0..smallest.faults.len()).rev() {
            let mut without = smallest.clone();
            without.faults.remove(index);
            let still = run(&without, bug, |_| {})?.violations.iter().any(|violation| violation.invariant == broken);
            if still {
                smallest = without;
                continue 'smaller;
            }
        }
        return Ok(smallest);
    }
}

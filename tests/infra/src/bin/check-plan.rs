//! `terraform show -json PLAN | check-plan`: 0 when the plan may be applied, 1 when not, 2 when it cannot be judged.
//! With `--attests e7`: 0 when it is evidence that nothing is left to change after incident e7, which it then says.

#![expect(clippy::print_stdout, reason = "what it says is what it is for")]

use std::io::Read as _;
use std::process::ExitCode;

use clap::Parser;
use holdfast_infra::plan::{NotClean, clean, incidents, judge};

/// Says whether a plan may be applied: never one that undoes a failover.
#[derive(Parser)]
struct Arguments {
    /// It is meant to destroy the installation.
    #[arg(long)]
    uninstall: bool,
    /// It is to be the evidence for `plan_clean` of this incident, such as e7.
    #[arg(long, conflicts_with = "uninstall")]
    attests: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        println!(
            "the plan cannot be read from standard input: {error}; nothing was judged, and nothing may be applied"
        );
        return ExitCode::from(2);
    }
    let plan = match serde_json::from_str(&text) {
        Ok(plan) => plan,
        Err(error) => {
            println!("this is no JSON: {error}; give the output of `terraform show -json <plan>`");
            return ExitCode::from(2);
        }
    };
    if let Some(incident) = arguments.attests {
        return match clean(&plan, &incident) {
            Ok(evidence) => {
                println!("{evidence}");
                ExitCode::SUCCESS
            }
            Err(problem) => {
                println!("{problem}");
                match problem {
                    NotClean::NotAPlan(_) => ExitCode::from(2),
                    NotClean::NotWhole(_) | NotClean::OfAnotherTime { .. } | NotClean::Changes { .. } => {
                        ExitCode::FAILURE
                    }
                }
            }
        };
    }
    match judge(&plan, arguments.uninstall) {
        Ok(refusals) if refusals.is_empty() => {
            println!("the plan may be applied: {}", incidents(&plan));
            ExitCode::SUCCESS
        }
        Ok(refusals) => {
            println!("the plan must not be applied:");
            for refusal in refusals {
                println!("  {refusal}");
            }
            ExitCode::FAILURE
        }
        Err(problem) => {
            println!("{problem}");
            ExitCode::from(2)
        }
    }
}

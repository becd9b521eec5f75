//! What review would have to remember.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_rust() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["functions", "shared", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    files.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    files.into_iter().map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

fn functions() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("functions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_function_has_a_readme_that_fits_a_screen_samples_a_row_in_the_readme_and_a_terraform_block() {
    let readme = read("README.md");
    for function in functions() {
        assert!(
            read(format!("functions/{function}/README.md")).lines().count() <= 50,
            "{function}: the README is too long"
        );
        assert!(root().join("events").join(&function).is_dir(), "{function} has no samples in events/");
        assert!(
            readme.contains(&format!("| [{function}](functions/{function})")),
            "{function} has no row in README.md"
        );
        let terraform = read(format!("infra/region/{}.tf", function.replace('-', "_")));
        assert!(
            terraform.contains("source = \"../function\"") && terraform.contains(&format!("= \"{function}\"")),
            "{function} has no block in infra/region"
        );
        assert!(
            read(format!("functions/{function}/src/main.rs")).lines().count() <= 20,
            "{function}: main.rs decides too much"
        );
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    for (path, text) in all_rust() {
        assert!(text.lines().count() <= 600, "{path} has {} lines", text.lines().count());
    }
}

#[test]
fn every_architecture_invariant_names_a_test_that_exists() {
    let code: String = all_rust().into_iter().map(|(_, text)| text).collect();
    let mut invariants = 0;
    for line in read("ARCHITECTURE.md").lines().filter(|line| line.starts_with("**Architecture Invariant:**")) {
        invariants += 1;
        let test = line.rsplit('`').nth(1).unwrap_or_default();
        let kept = code.contains(&format!("fn {test}(")) || code.contains(&format!("    {test} \""));
        assert!(kept, "no test `{test}` keeps: {line}");
    }
    assert!(invariants >= 8, "{invariants} invariants");
}

#[test]
fn the_domain_knows_neither_tokio_nor_aws() {
    let manifest = read("shared/domain/Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
    for banned in ["tokio", "aws-sdk", "aws-config", "reqwest", "hyper"] {
        assert!(!dependencies.contains(banned), "shared/domain depends on {banned}");
    }
}

#[test]
fn no_function_imports_another_and_none_imports_the_tests() {
    for function in functions() {
        let manifest = read(format!("functions/{function}/Cargo.toml"));
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
        for other in functions().iter().map(String::as_str).chain(["holdfast-world", "holdfast-payments", "drill"]) {
            assert!(!dependencies.contains(other), "{function} depends on {other}");
        }
    }
}

#[test]
fn simulated_and_pure_code_has_no_hash_order_no_clock_and_no_sleep_of_its_own() {
    let banned = [
        concat!("Hash", "Map"),
        concat!("Hash", "Set"),
        concat!("SystemTime", "::now"),
        concat!("thread", "::sleep"),
        concat!("std::time::", "Instant"),
    ];
    for (path, text) in all_rust() {
        let ours = path.starts_with("shared/domain") || path.starts_with("tests/");
        if !ours || path.ends_with("tidy.rs") {
            continue;
        }
        for word in banned {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
}

#[test]
fn every_mutating_call_is_sent_with_retries_off() {
    for (path, text) in
        all_rust().into_iter().filter(|(path, _)| path.starts_with("functions/") || path.starts_with("shared/aws"))
    {
        for call in [
            ".failover_global_cluster()",
            ".switchover_global_cluster()",
            ".copy_db_cluster_snapshot()",
            ".promote_read_replica_db_cluster()",
            ".restore_db_cluster_from_snapshot()",
            ".create_db_instance()",
            ".put_events()",
            ".publish()\n",
            ".put_item()\n",
            ".put_object()",
            ".copy_object()",
            ".delete_object()",
            ".create_multipart_upload()",
            ".upload_part_copy()",
            ".complete_multipart_upload()",
            ".abort_multipart_upload()",
            ".change_resource_record_sets()",
        ] {
            for (position, _) in text.match_indices(call) {
                let rest: String = text[position..].chars().take(2600).collect();
                let turned_off = rest.contains("never_retried()") || rest.contains("config_override(once())");
                assert!(turned_off, "{path}: {} without never_retried()", call.trim());
            }
        }
    }
}

#[test]
fn the_top_level_is_that_of_the_design() {
    for name in [
        "Cargo.toml",
        "functions",
        "shared",
        "infra",
        "events",
        "tests",
        "README.md",
        "LICENSE",
        "Makefile",
        "ARCHITECTURE.md",
    ] {
        assert!(root().join(name).exists(), "{name} is missing at the top level");
    }
}

/// A README is its crate's documentation: a block that does not say what it is would be compiled as Rust.
#[test]
fn every_block_in_a_crates_readme_says_what_it_is() {
    for folder in ["functions", "shared", "tests"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let readme = entry.unwrap().path().join("README.md");
            let text = fs::read_to_string(&readme).unwrap_or_default();
            let fences = text.lines().filter(|line| line.trim_start().starts_with("```"));
            for opening in fences.step_by(2) {
                assert_ne!(opening.trim(), "```", "{}: a block without a language", readme.display());
            }
        }
    }
}

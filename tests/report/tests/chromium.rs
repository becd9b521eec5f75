//! The report in a real headless Chromium: it renders, nothing is complained of, its figures are the JSON's, and it fits
//! narrow and wide windows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A run of `drill dublin-dark`, with few requests, and with what an attacker would write where text comes from outside.
const RUN: &str = include_str!("dublin-dark.json");
const ATTACK: &str = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>";

/// Chromium; none where it cannot be had and that was said on purpose.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut places = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    let found = places.find(|program| program.is_file());
    if found.is_none() && std::env::var_os("HOLDFAST_WITHOUT_CHROMIUM").is_none() {
        panic!("Chromium is not installed; try `make chromium`, or set HOLDFAST_WITHOUT_CHROMIUM=1 to pass this over");
    }
    found
}

/// A directory of a test's own, deleted when it is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("holdfast-report-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// What Chromium makes of a file: the document after it was rendered, and what it complained of.
    fn rendered(&self, chromium: &Path, file: &Path) -> (String, String) {
        let output = Command::new(chromium)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--allow-file-access-from-files", "--enable-logging=stderr", "--v=0", "--window-size=1800,1200"])
            .arg(format!("--user-data-dir={}", self.0.join("profile").display()))
            .args(["--virtual-time-budget=5000", "--dump-dom"])
            .arg(format!("file://{}", file.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run() -> Value {
    serde_json::from_str(RUN).unwrap()
}

/// The run with the attacker's text in every place that text from outside can reach.
fn attacked() -> Value {
    let mut run = run();
    for page in run["pages"].as_array_mut().unwrap() {
        page["subject"] = ATTACK.into();
        page["message"] = ATTACK.into();
    }
    run["payments"]["lost"][0]["key"] = ATTACK.into();
    run["timeline"][0] = ATTACK.into();
    run["incident"]["raised_by"] = ATTACK.into();
    run["problems"] = vec![ATTACK].into();
    run["configuration"]["topology"]["writer_endpoint"] = ATTACK.into();
    run
}

/// The value of an attribute of each element that has another.
fn attributes<'a>(dom: &'a str, marker: &str, wanted: &str) -> Vec<(&'a str, &'a str)> {
    let value_of = |tag: &'a str, name: &str| {
        let from = tag.find(&format!("{name}=\""))? + name.len() + 2;
        Some(&tag[from..from + tag[from..].find('"')?])
    };
    let tags = dom.split('<').filter_map(|rest| rest.split('>').next());
    tags.filter_map(|tag| Some((value_of(tag, marker)?, value_of(tag, wanted)?))).collect()
}

fn figure<'a>(json: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(json, |value, name| &value[name])
}

#[test]
fn the_report_renders_without_a_complaint_and_its_figures_are_the_json_s() {
    let Some(chromium) = chromium() else { return };
    let scratch = Scratch::new("figures");
    let file = scratch.write("report.html", &holdfast_report::html(RUN).unwrap());
    let (dom, complaints) = scratch.rendered(&chromium, &file);
    assert!(!complaints.contains("CONSOLE"), "{complaints}");
    let figures = attributes(&dom, "data-figure", "data-value");
    let json = run();
    for (name, shown) in &figures {
        let wanted = figure(&json, name);
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        assert_eq!(*shown, wanted, "{name}");
    }
    for needed in ["verdict", "waterfall.rto_writes_ms", "waterfall.restored_ms", "payments.lost_totals.count", "seed"]
    {
        assert!(figures.iter().any(|(name, _)| *name == needed), "{needed} is not shown: {figures:?}");
    }
    let lost = json["payments"]["lost"].as_array().unwrap();
    for payment in lost {
        assert!(dom.contains(&format!("data-lost={}", payment["key"])), "{payment}");
    }
    let embedded = dom.split(r#"<script id="run" type="application/json">"#).nth(1).unwrap();
    let embedded: Value = serde_json::from_str(embedded.split("</script>").next().unwrap()).unwrap();
    assert_eq!(embedded, json, "the embedded JSON is another one");
}

#[test]
fn what_an_attacker_writes_stays_text() {
    let Some(chromium) = chromium() else { return };
    let scratch = Scratch::new("attack");
    let html = holdfast_report::html(&attacked().to_string()).unwrap();
    let file = scratch.write("report.html", &html);
    let (dom, complaints) = scratch.rendered(&chromium, &file);
    assert!(!complaints.contains("CONSOLE"), "{complaints}");
    assert!(!dom.contains("<img"), "an attacker's element is in the page");
    assert!(!dom.contains("<title>owned"), "an attacker's script has run");
    assert_eq!(dom.matches("<script").count(), 1, "there is another script than the data");
    let said = dom.matches("&lt;/script&gt;&lt;script&gt;").count();
    assert!(said >= 8, "the text itself is to be read in all places, not in {said}");
}

/// Measured inside frames of these widths, because a headless window has a least width of its own.
#[test]
fn the_report_fits_400_and_1600_pixels() {
    let Some(chromium) = chromium() else { return };
    let scratch = Scratch::new("width");
    scratch.write("report.html", &holdfast_report::html(&attacked().to_string()).unwrap());
    for width in [400, 1600] {
        let frame = format!(
            r#"<!doctype html><iframe id=f src="report.html" style="border:0;width:{width}px;height:900px"></iframe><p id=said></p>
            <script>f.onload=()=>{{const d=f.contentDocument,e=d.documentElement;
            const wide=[...d.querySelectorAll('body *')].filter(x=>x.getBoundingClientRect().right>e.clientWidth+1&&!x.closest('.scroll')).map(x=>x.tagName+'.'+x.className);
            said.textContent='over='+(e.scrollWidth-e.clientWidth)+' high='+(e.scrollHeight>2000)+' wide='+wide.slice(0,5).join(',')+'.'}}</script>"#
        );
        let file = scratch.write("frame.html", &frame);
        let (dom, _) = scratch.rendered(&chromium, &file);
        let said = dom.split("id=\"said\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
        assert!(said == "over=0 high=true wide=.", "at {width} px: {said}");
    }
}

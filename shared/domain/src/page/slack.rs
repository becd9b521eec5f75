//! A page for a Slack-compatible incoming webhook, in Block Kit (Slack developer documentation, "Reference: blocks").

use serde_json::{Value, json};

use super::message::{Message, cut};
use super::{Severity, Turn};

/// A header block's text is at most this long.
const HEADER_MAX: usize = 150;
/// A section's text is at most this long; escaping may make five characters of one.
const SECTION_MAX: usize = 2_900;
/// A message has at most 50 blocks: the header, the context and these.
const SECTIONS_MAX: usize = 40;

/// Shapes a page. `text` is what a notification shows, and what servers without Block Kit show whole.
#[must_use]
pub fn message(message: &Message<'_>) -> Value {
    let page = message.page;
    let headline = message.headline();
    let sign = match (page.turn, page.severity) {
        (Turn::Ends, _) => ":white_check_mark:",
        (Turn::Rehearses, _) => ":bell:",
        (Turn::Asks, _) => ":raised_hand:",
        (Turn::Tells, Severity::Critical) => ":rotating_light:",
        (Turn::Tells, Severity::Warning) => ":warning:",
        (Turn::Tells, Severity::Info) => ":information_source:",
    };
    let mut blocks = vec![json!({
        "type": "header", "text": {"type": "plain_text", "text": cut(&format!("{sign} {headline}"), HEADER_MAX), "emoji": true},
    })];
    blocks.extend(
        sections(&message.body())
            .into_iter()
            .map(|text| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})),
    );
    let context = format!(
        "{} · {} · {} · sent from {} at {:.0}",
        page.severity.name(),
        escaped(&page.thread),
        escaped(&cut(&page.kind, HEADER_MAX)),
        message.from,
        message.at
    );
    blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": context}]}));
    json!({"text": escaped(&headline), "blocks": blocks})
}

/// The body in sections that fit: commands as code, so that they can be copied whole.
fn sections(body: &str) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in body.lines() {
        let line = escaped(line);
        let line = if line.starts_with("aws ") { format!("```{line}```") } else { line };
        let line = cut(&line, SECTION_MAX);
        let is_full = sections.len() == SECTIONS_MAX;
        match sections.last_mut() {
            Some(last) if last.chars().count() + 1 + line.chars().count() <= SECTION_MAX => {
                last.push('\n');
                last.push_str(&line);
            }
            Some(last) if is_full => {
                *last = "(cut; the e-mail has the rest)".to_owned();
                break;
            }
            Some(_) | None => sections.push(line),
        }
    }
    // A section without text is refused.
    sections.retain(|section| !section.trim().is_empty());
    sections
}

/// Slack reads `<!channel>` and links in angle brackets: nobody's text may ring a whole channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

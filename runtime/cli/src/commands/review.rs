//! `fumehood review`.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::{
    args::ReviewArgs,
    output::{single_line, table},
    session::Session,
};

/// Show what a module asks for, could reach and has used; approve or reject it.
pub(crate) fn run(session: &Session<'_>, args: &ReviewArgs) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    let module = args.module.as_str();
    let path = ["api", "v1", "modules", module, "permissions"];
    let verb = |verb| [path[0], path[1], path[2], path[3], path[4], verb];
    if args.approve {
        let review = client.review(module)?;
        let revision = match &args.revision {
            Some(revision) => revision.clone(),
            None => {
                session.output.talk(rendered(&review).trim_end());
                text(&review, "revision")
            }
        };
        let waited = !review["waiting"].is_null();
        let answer = client.post(&verb("approve"), &json!({ "revision": revision }))?;
        for grant in list(&answer["left"]) {
            let text = grant.as_str().unwrap_or_default();
            session.output.talk(&format!("not granted, because only you know the rest of it: {text}"));
        }
        for accepted in list(&review["changed"]["redefined"]) {
            session.output.talk(&format!("accepted as it is now: {}", text(accepted, "name")));
        }
        talk_of_unset(session, &answer);
        // What waited is what answers now.
        if waited {
            session.output.talk(&format!("the version of {module} that waited is served now"));
        }
        session
            .output
            .data(&answer, || format!("GRANTED NOW\n{}", indented(&texts("granted", list(&answer["granted"])))))?;
    } else if args.reject {
        client.post_empty(&verb("reject"))?;
        session.output.talk(&format!("the version of {module} that waited is gone"));
        session.output.data(&json!({ "module": module, "rejected": true }), String::new)?;
    } else {
        let review = client.review(module)?;
        session.output.data(&review, || rendered(&review))?;
        if !review["waiting"].is_null() {
            let revision = text(&review, "revision");
            let approve = format!("fumehood review {module} --approve --revision {revision}");
            session.output.talk(&format!("approve it with `{approve}`, or --reject it"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What changed in what is asked for and in what tools say of themselves, one a line.
pub(crate) fn changes(changed: &Value) -> String {
    let added =
        list(&changed["added"]).iter().map(|wish| format!("  + {}  {}", text(wish, "grant"), text(wish, "reason")));
    let removed = list(&changed["removed"]).iter().map(|grant| format!("  - {}", grant.as_str().unwrap_or_default()));
    let says = list(&changed["redefined"]).iter().flat_map(|redefined| {
        let lines = |mark: &str, key: &str| -> Vec<String> {
            let said = text(redefined, key);
            said.lines().map(|line| format!("      {mark} {line}")).collect()
        };
        let head = format!("  ~ {}  says something else than before", text(redefined, "name"));
        [vec![head], lines("-", "before"), lines("+", "now")].concat()
    });
    added.chain(removed).chain(says).map(|line| single_line(&line) + "\n").collect()
}

/// Name the secrets that were granted and that nobody has set.
pub(crate) fn talk_of_unset(session: &Session<'_>, answer: &Value) {
    list(&answer["unset_secrets"]).iter().for_each(|secret| session.output.talk(&not_set(secret)));
}

fn not_set(secret: &Value) -> String {
    let name = secret.as_str().unwrap_or_default();
    format!("secret {name} is not set: fumehood secrets set {name}")
}

fn rendered(review: &Value) -> String {
    let mut shown = format!("{}  {}\n", single_line(&text(review, "module")), single_line(&text(review, "digest")));
    for key in ["version", "description", "revision"] {
        let said = text(review, key);
        if !said.is_empty() {
            shown += &format!("  {key:<12} {}\n", single_line(&said));
        }
    }
    if let Some(signature) = review["signature"]["text"].as_str() {
        shown += &format!("  {:<12} {}\n", "signature", single_line(signature));
    }
    shown += &section("ASKS FOR", &asked(&review["asks"]));
    shown += &section("COULD REACH", &reached(&review["could_reach"]));
    shown += &section("HAS USED", &used(&review["has_used"]));
    shown += &section("GRANTED", &granted(&review["grants"]));
    for secret in list(&review["unset_secrets"]) {
        shown += &format!("  {}\n", single_line(&not_set(secret)));
    }
    if let Some(waiting) = review.get("waiting") {
        let title = format!(
            "WAITS  {} from {} at {}",
            text(waiting, "digest"),
            text(waiting, "sent_by"),
            text(waiting, "sent_at")
        ) + &waiting["signature"]["text"].as_str().map(|text| format!(", {text}")).unwrap_or_default();
        shown += &section(&single_line(&title), &asked(&waiting["asks"]));
    }
    if let Some(changed) = review.get("changed") {
        shown += &section("NOT REVIEWED YET", &changes(changed));
    }
    shown
}

fn section(title: &str, body: &str) -> String {
    let body = if body.is_empty() { "nothing".to_owned() } else { body.trim_end().to_owned() };
    let body: String = body.lines().map(|line| format!("  {}\n", line.trim_end())).collect();
    format!("\n{title}\n{body}")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn asked(asks: &Value) -> String {
    rows(&["PERMISSION", "GRANTED", "REASON"], asks, |ask| {
        vec![text(ask, "grant"), text(ask, "granted"), text(ask, "reason")]
    })
}

fn reached(reaches: &Value) -> String {
    rows(&["KIND", "IMPORTS"], reaches, |reach| {
        let imports: Vec<_> = list(&reach["imports"]).iter().filter_map(Value::as_str).collect();
        vec![text(reach, "kind"), imports.join(" ")]
    })
}

fn used(uses: &Value) -> String {
    rows(&["PERMISSION", "ALLOWED", "DENIED", "LAST"], uses, |seen| {
        let count = |key: &str| seen[key].as_u64().unwrap_or_default().to_string();
        vec![text(seen, "grant"), count("allowed"), count("denied"), text(seen, "last")]
    })
}

/// Grants, one a line.
pub(crate) fn granted(grants: &Value) -> String {
    rows(&["MODULE", "FUNCTION", "PERMISSION", "BY", "AT"], grants, |grant| {
        let function = grant["function"].as_str().unwrap_or("*").to_owned();
        vec![
            text(grant, "module"),
            function,
            text(grant, "grant") + if grant["unasked"] == true { "  (not asked for)" } else { "" },
            text(grant, "granted_by"),
            text(grant, "granted_at"),
        ]
    })
}

fn rows(header: &[&str], values: &Value, row: impl Fn(&Value) -> Vec<String>) -> String {
    let values = list(values);
    if values.is_empty() { String::new() } else { table(header, values.iter().map(row)) }
}

fn texts(title: &str, values: &[Value]) -> String {
    let lines: String = values.iter().filter_map(Value::as_str).map(|text| single_line(text) + "\n").collect();
    if lines.is_empty() { format!("nothing {title}") } else { lines }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_a_stranger_stays_in_its_cell() {
        let review = json!({
            "module": "m", "digest": "sha256:0", "could_reach": [], "has_used": [], "grants": [],
            "asks": [{ "grant": "scratch", "granted": "no", "reason": "a\u{1b}[2J\nscratch  yes" }],
            "changed": { "added": [{ "grant": "scratch", "reason": "x\ny" }], "removed": ["secret:A"] },
        });

        let text = rendered(&review);

        assert!(text.contains("a\\u{1b}[2J\\nscratch  yes\n"), "{text}");
        assert!(text.ends_with("\nNOT REVIEWED YET\n    + scratch  x\\ny\n    - secret:A\n"), "{text}");
    }
}

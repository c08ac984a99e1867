//! The title of a web page: how a tool asks the outside, and says why it wants to.

use fumehood::prelude::*;

tools![page_title];

permissions! {
    "http:GET https://example.com" => "Reads the pages whose titles are asked for.",
}

/// Longest title that is answered, in characters.
const MAX_TITLE: usize = 200;

/// The title of a web page.
#[tool(read_only, open_world, example(url = "https://example.com/"))]
fn page_title(
    ctx: &Ctx,
    /// Where the page is: `https://` or `http://`.
    #[schemars(length(max = 2000))]
    url: String,
) -> Result<Page, ToolError> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(ToolError::invalid("/url", "it begins with https:// or http://"));
    }
    let answer = ctx.get(&url).header("accept", "text/html").send()?.ok()?;
    ctx.info(&format!("{} bytes", answer.body.len()));
    let title = title(&answer.text()).ok_or_else(|| ToolError::not_found("the page has no title"))?;
    Ok(Page { title, url })
}

/// A page.
#[data]
#[derive(PartialEq)]
struct Page {
    /// What it is called.
    title: String,
    /// Where it is.
    url: String,
}

/// What stands between `<title>` and `</title>`, however these are written, with its spaces put in order.
fn title(page: &str) -> Option<String> {
    // ASCII alone changes: positions in both are the same.
    let lower = page.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let begin = open + lower[open..].find('>')? + 1;
    let end = begin + lower[begin..].find("</title")?;
    let words: Vec<_> = page[begin..end].split_whitespace().collect();
    let title: String = words.join(" ").chars().take(MAX_TITLE).collect();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use fumehood::{Kind, Response};

    use super::*;

    const URL: &str = "https://example.com/";

    fn answering(status: u16, body: &str) -> Ctx {
        Ctx::fake().answers(URL, Response { status, headers: vec![], body: body.into() })
    }

    #[test]
    fn the_title_is_found_and_put_in_order() {
        let ctx = answering(200, "<html><TITLE lang=en>\n  Example\n  Domain </Title>");

        let page = page_title(&ctx, URL.to_owned()).unwrap();

        assert_eq!(page.title, "Example Domain");
        assert_eq!(ctx.told().requests, ["GET https://example.com/"]);
    }

    #[test]
    fn what_is_not_there_is_told_apart_from_what_is_not_granted() {
        let missing = page_title(&answering(404, ""), URL.to_owned()).unwrap_err();
        let denied = page_title(&Ctx::fake(), URL.to_owned()).unwrap_err();

        assert_eq!(missing.kind(), Some(Kind::NotFound));
        assert_eq!(denied.kind(), Some(Kind::Denied));
    }
}

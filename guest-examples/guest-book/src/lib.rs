//! A book that guests sign: what is kept from one call to the next.

use fumehood::prelude::*;

tools![sign, read];

permissions! {
    "keyvalue:guests" => "Keeps who has signed.",
}

/// Most entries that are read at once.
const PAGE: usize = 20;

/// Sign the book.
#[tool]
fn sign(
    ctx: &Ctx,
    /// Who signs.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// What to say.
    #[schemars(length(max = 1000))]
    words: String,
) -> Result<Signed, ToolError> {
    if name.trim().is_empty() {
        return Err(ToolError::invalid("/name", "say who signs"));
    }
    let book = ctx.bucket("guests")?;
    // Two who sign at once get two numbers.
    let number = book.add("count", 1)?;
    book.set(&format!("entry-{number:09}"), &Entry { name, words })?;
    Ok(Signed { number })
}

/// Read the latest entries, the last one first.
#[tool(read_only)]
fn read(ctx: &Ctx) -> Result<Vec<Entry>, ToolError> {
    let book = ctx.bucket("guests")?;
    let keys = book.keys()?;
    let latest = keys.iter().rev().filter(|key| key.starts_with("entry-")).take(PAGE);
    let entries = latest.filter_map(|key| book.get(key).transpose());
    entries.collect()
}

/// Where somebody has signed.
#[data]
struct Signed {
    /// The number of the entry, from 1.
    number: i64,
}

/// An entry of the book.
#[data]
#[derive(PartialEq)]
struct Entry {
    /// Who has signed.
    name: String,
    /// What they say.
    words: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_who_has_signed_is_read_first() {
        let ctx = Ctx::fake();

        for name in ["Ada", "Grace"] {
            sign(&ctx, name.to_owned(), "Hello".to_owned()).unwrap();
        }

        let names: Vec<_> = read(&ctx).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["Grace", "Ada"]);
    }

    #[test]
    fn nobody_cannot_sign() {
        let error = sign(&Ctx::fake(), " ".to_owned(), String::new()).unwrap_err();

        assert_eq!(error, ToolError::invalid("/name", "say who signs"));
    }
}

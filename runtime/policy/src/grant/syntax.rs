//! What all kinds share: names, options, sizes, and how a mistake is told.

use std::{fmt, str::FromStr, time::Duration};

use fumehood_model::ByteSize;

use super::Quota;

/// Longest text of a grant: the longest URL, prefix and option that a person would write, and far from what hurts.
const MAX_TEXT: usize = 1_024;

/// Longest name of a secret, variable, key or bucket.
const MAX_NAME: usize = 128;

/// Most characters of a refused text that its error repeats.
const SHOWN: usize = 80;

/// Longest time to live: ten years, beyond which nobody means a number.
const MAX_TTL_S: u64 = 10 * 365 * 86_400;

/// Why a text is not a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a permission: {what}")]
pub struct GrantError {
    /// The text, shortened and escaped.
    pub text: String,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

impl GrantError {
    pub(super) fn new(text: &str, what: String) -> Self {
        Self { text: shown(text), what }
    }
}

/// Refuses a text that is too long for a grant.
pub(super) fn bounded(text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it has {} bytes, and {MAX_TEXT} are the most", text.len()));
    }
    Ok(())
}

/// The kind of a grant, and what follows it.
pub(super) fn split(text: &str) -> Result<(&str, &str), String> {
    bounded(text)?;
    if text.chars().any(char::is_control) {
        return Err("it holds a line break or another control character".to_owned());
    }
    let end = text.find([':', ',']).unwrap_or(text.len());
    let (kind, rest) = text.split_at(end);
    if kind.is_empty() {
        return Err("it does not begin with a kind, as in `secret:API_TOKEN`".to_owned());
    }
    Ok((kind, rest))
}

/// What follows the subject: `,name=value,…`. Each option may be taken once, but for those that repeat.
#[derive(Debug)]
pub(super) struct Options<'a> {
    left: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
}

impl<'a> Options<'a> {
    /// The subject in `:subject,name=value`, if there is one, and the options after it.
    pub(super) fn of(rest: &'a str) -> Result<(Option<&'a str>, Self), String> {
        let mut parts = rest.split(',');
        let first = parts.next().unwrap_or_default();
        let left = parts.map(|part| {
            let pair = part.split_once('=').filter(|(name, _)| !name.is_empty());
            pair.ok_or_else(|| format!("`{}` is not an option: write `name=value`", shown(part)))
        });
        Ok((first.strip_prefix(':'), Self { left: left.collect::<Result<_, _>>()?, known: Vec::new() }))
    }

    /// All values of the option called `name`.
    pub(super) fn all(&mut self, name: &'static str) -> Vec<&'a str> {
        self.known.push(name);
        let (found, left) = self.left.drain(..).partition(|(own, _)| *own == name);
        self.left = left;
        let found: Vec<(&str, &str)> = found;
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// The value of the option called `name`.
    pub(super) fn one(&mut self, name: &'static str) -> Result<Option<&'a str>, String> {
        match self.all(name).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            [_, ..] => Err(format!("`{name}=` stands in it twice")),
        }
    }

    /// The first option whose name begins with `prefix`: what follows the prefix, and the value.
    pub(super) fn with_prefix(&mut self, prefix: &'static str) -> Option<(&'a str, &'a str)> {
        self.known.push(prefix);
        let position = self.left.iter().position(|(name, _)| name.starts_with(prefix))?;
        let (name, value) = self.left.remove(position);
        Some((&name[prefix.len()..], value))
    }

    /// The bytes and the count, under the name `count`, of a quota.
    pub(super) fn quota(&mut self, count: &'static str, default: Quota) -> Result<Quota, String> {
        let bytes = self.one("bytes")?.map(size).transpose()?.unwrap_or(default.bytes);
        let count = self.one(count)?.map(|text| number(count, text)).transpose()?.unwrap_or(default.count);
        Ok(Quota { bytes, count })
    }

    /// Refuse what nobody has taken.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) => Err(unknown("option", name, &self.known)),
        }
    }
}

/// That there is no such thing, and what was probably meant.
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("there is no {what} `{}` here", shown(word));
    }
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&shown(word).to_lowercase(), known), *known))
        .filter(|(distance, known)| *distance <= 2 && *distance < known.len())
        .min();
    match near {
        Some((_, near)) => format!("there is no {what} `{}`; did you mean `{near}`?", shown(word)),
        None => format!("there is no {what} `{}`: use {}", shown(word), known.join(", ")),
    }
}

/// Text of a stranger, fit for quoting.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The name of a variable or configuration value.
pub(super) fn value_name(name: &str) -> Result<&str, String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"=,'\"\\`".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
        let what = format!("the name `{}` must have 1 to {MAX_NAME} visible ASCII characters", shown(name));
        return Err(format!("{what}, none of them a quote, comma, backslash or `=`"));
    }
    Ok(name)
}

/// The name of a secret.
pub(super) fn secret_name(name: &str) -> Result<&str, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
        return Err(format!(
            "the name of a secret has 1 to {MAX_NAME} letters, digits, `_`, `-` or `.`, as in `secret:API_TOKEN`, unlike `{}`",
            shown(name)
        ));
    }
    Ok(name)
}

fn size(text: &str) -> Result<ByteSize, String> {
    let size = ByteSize::from_str(text)?;
    if size.0 == 0 { Err("`bytes=` must be more than nothing".to_owned()) } else { Ok(size) }
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && *number > 0)
        .ok_or_else(|| format!("`{name}={}` must be a whole number from 1", shown(text)))
}

/// `3600s`, `90m`, `1h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = unit.and_then(|unit: u64| number.parse::<u64>().ok()?.checked_mul(unit));
    seconds.filter(|seconds| (1..=MAX_TTL_S).contains(seconds)).map(Duration::from_secs).ok_or_else(|| {
        format!("`{}` is not a time: write `90s`, `30m`, `1h` or `7d`, ten years at the most", shown(text))
    })
}

/// A size as it stands in a grant: without a space, and always readable again.
pub(super) struct Size(pub(super) ByteSize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text.replace(" bytes", "").replace(' ', ""))
    }
}

//! What a mistyped name was probably meant to be.

/// Most suggestions that one message makes.
const MAX_SUGGESTIONS: usize = 3;

/// Longest name that is compared at all: comparing is quadratic.
const MAX_COMPARED: usize = 128;

/// Those of `known` that are near `name`, nearest first.
pub(crate) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    if name.len() > MAX_COMPARED {
        return Vec::new();
    }
    let name = name.to_lowercase();
    let mut scored: Vec<(usize, &str)> = known
        .filter(|known| known.len() <= MAX_COMPARED)
        .map(|known| (strsim::damerau_levenshtein(&name, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= 2 + known.len() / 4 || known.contains(&name))
        .collect();
    scored.sort_unstable();
    scored.into_iter().take(MAX_SUGGESTIONS).map(|(_, known)| known.to_owned()).collect()
}

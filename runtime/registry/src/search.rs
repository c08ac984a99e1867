//! Finding tools by words, the best first.

/// Most words of a query that count.
const MOST_WORDS: usize = 16;

/// How much more a word counts in a name than in what is said of a tool.
const IN_NAME: f64 = 2.0;

/// What is far from the best is left out: what scores less than this part of it.
const NEAR_THE_BEST: f64 = 0.6;

/// Words that are looked for. A tool need not hold all of them: models ask in sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// The words of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        Self(words.take(MOST_WORDS).map(str::to_lowercase).collect())
    }

    /// Those of `all` that fit best, the best first. `told` gives the name of each, and what else is said of it. Without words, all of
    /// them as they were.
    ///
    /// A word counts the more, the fewer hold it, and more in a name than elsewhere.
    #[must_use]
    pub fn best<T>(&self, all: impl IntoIterator<Item = T>, told: impl Fn(&T) -> (String, String)) -> Vec<T> {
        let all: Vec<T> = all.into_iter().collect();
        if self.0.is_empty() {
            return all;
        }
        let holds = |text: &str, word: &str| {
            // A plural finds the singular, and a singular its plural.
            text.contains(word) || word.len() > 3 && word.strip_suffix('s').is_some_and(|one| text.contains(one))
        };
        let weigh = |item: &T| -> Vec<f64> {
            let (name, rest) = told(item);
            let (name, rest) = (name.to_lowercase(), rest.to_lowercase());
            let weigh = |word: &String| match (holds(&name, word), holds(&rest, word)) {
                (true, _) => IN_NAME,
                (false, true) => 1.0,
                (false, false) => 0.0,
            };
            self.0.iter().map(weigh).collect()
        };
        let weights: Vec<_> = all.iter().map(weigh).collect();
        let rare = |position: usize| {
            let holding = weights.iter().filter(|weights| weights[position] > 0.0).count();
            (1.0 + all.len() as f64 / holding.max(1) as f64).ln()
        };
        let rare: Vec<_> = (0..self.0.len()).map(rare).collect();
        let score = |weights: &Vec<f64>| weights.iter().zip(&rare).map(|(weight, rare)| weight * rare).sum::<f64>();
        let scores: Vec<_> = weights.iter().map(score).collect();
        let best = scores.iter().copied().fold(0.0, f64::max);
        let mut found: Vec<_> =
            all.into_iter().zip(scores).filter(|(_, score)| *score > 0.0 && *score >= NEAR_THE_BEST * best).collect();
        // Equals stay in the order in which they came.
        found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        found.into_iter().map(|(item, _)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: [(&str, &str); 6] = [
        ("calculator__add", "Adds two numbers."),
        ("calculator__evaluate", "Works out an arithmetic expression."),
        ("mail__send", "Sends an email to somebody."),
        ("mail__list", "Lists the emails in a folder."),
        ("files__list", "Lists the files in a folder."),
        ("weather__forecast", "The forecast for a city."),
    ];

    fn found(query: &str) -> Vec<&'static str> {
        let told = |(name, description): &(&str, &str)| ((*name).to_owned(), (*description).to_owned());
        Words::of(query).best(TOOLS, told).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_fits_best_comes_first_and_what_is_far_from_it_does_not_come() {
        assert_eq!(found("calculator expression"), ["calculator__evaluate"]);
        assert_eq!(found("send an email to Bob"), ["mail__send"]);
        assert_eq!(found("what will the weather be tomorrow?"), ["weather__forecast"]);
        assert_eq!(found("files list")[0], "files__list");
        assert_eq!(found("forecasts"), ["weather__forecast"]);
        assert_eq!(found("teleport"), <[&str; 0]>::default());
        assert_eq!(found(" ?! ").len(), TOOLS.len());
    }
}

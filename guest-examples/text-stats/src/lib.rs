//! Statistics about texts: an interface with records, flags, enums, variants, options, lists and tuples.

mod scripts;
mod words;

wit_bindgen::generate!({ path: "wit", world: "text-stats" });

use std::collections::{BTreeMap, BTreeSet};

use exports::example::text_stats::text::{
    AnalysisOptions, CaseHandling, Guest, Measures, Problem, Report, Script, Similarity, TooMany,
    Verdict,
};
use words::{sentences, words};

/// Longest text. Its words and their counts have to fit into the memory of one call as well.
const MAX_TEXT_BYTES: u32 = 4 * 1024 * 1024;

/// Longest list of top words. Who wants more wants a dictionary.
const MAX_TOP_WORDS: u32 = 1000;

struct TextStats;

impl Guest for TextStats {
    fn analyse(text: String, options: Option<AnalysisOptions>) -> Result<Report, Problem> {
        let options = options.unwrap_or(AnalysisOptions {
            measures: Measures::all(),
            top_words: None,
            case: CaseHandling::Keep,
        });
        check(&text, &options)?;
        let measure = |measure: Measures, number: &dyn Fn() -> usize| {
            options
                .measures
                .contains(measure)
                .then(|| saturate(number()))
        };
        Ok(Report {
            words: measure(Measures::WORDS, &|| words(&text).count()),
            lines: measure(Measures::LINES, &|| text.lines().count()),
            sentences: measure(Measures::SENTENCES, &|| sentences(&text)),
            characters: measure(Measures::CHARACTERS, &|| text.chars().count()),
            top_words: top_words(&text, options.top_words.unwrap_or(0), options.case),
        })
    }

    fn compare(a: String, b: String) -> Similarity {
        let (a, b) = (vocabulary(&a), vocabulary(&b));
        let common: Vec<String> = a.intersection(&b).cloned().collect();
        let either = a.union(&b).count();
        let score = if either == 0 {
            1.0
        } else {
            common.len() as f64 / either as f64
        };
        let verdict = match score {
            1.0 => Verdict::SameWords,
            0.5.. => Verdict::Similar,
            _ => Verdict::Different,
        };
        Similarity {
            score,
            common,
            verdict,
        }
    }

    fn script_of(text: String) -> Option<(Script, f64)> {
        scripts::script_of(&text)
    }
}

fn check(text: &str, options: &AnalysisOptions) -> Result<(), Problem> {
    if text.len() > MAX_TEXT_BYTES as usize {
        return Err(Problem::TooLong(MAX_TEXT_BYTES));
    }
    if text.trim().is_empty() {
        return Err(Problem::Empty);
    }
    let top_words = options.top_words.unwrap_or(0);
    if options.measures.is_empty() && top_words == 0 {
        return Err(Problem::NothingAsked);
    }
    if top_words > MAX_TOP_WORDS {
        return Err(Problem::TooManyTopWords(TooMany {
            asked: top_words,
            limit: MAX_TOP_WORDS,
        }));
    }
    Ok(())
}

fn top_words(text: &str, limit: u32, case: CaseHandling) -> Vec<(String, u32)> {
    if limit == 0 {
        return Vec::new();
    }
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for word in words(text) {
        let word = match case {
            CaseHandling::Keep => word.to_owned(),
            CaseHandling::Fold => word.to_lowercase(),
        };
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // The sort is stable, so words that are equally frequent stay in alphabetical order.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(limit as usize);
    counts
}

fn vocabulary(text: &str) -> BTreeSet<String> {
    words(text).map(str::to_lowercase).collect()
}

fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

export!(TextStats);

#[cfg(test)]
mod tests {
    use super::*;

    fn options(
        measures: Measures,
        top_words: Option<u32>,
        case: CaseHandling,
    ) -> Option<AnalysisOptions> {
        Some(AnalysisOptions {
            measures,
            top_words,
            case,
        })
    }

    #[test]
    fn everything_is_counted_without_options() {
        let report = TextStats::analyse("Grüße, Welt!\nIt's 3 o'clock.".to_owned(), None).unwrap();

        assert_eq!(report.words, Some(5));
        assert_eq!(report.lines, Some(2));
        assert_eq!(report.sentences, Some(2));
        assert_eq!(report.characters, Some(28));
        assert!(report.top_words.is_empty());
    }

    #[test]
    fn top_words_follow_frequency_then_alphabet() {
        let text = "The cat the dog the cat a".to_owned();

        let folded = TextStats::analyse(
            text.clone(),
            options(Measures::empty(), Some(3), CaseHandling::Fold),
        )
        .unwrap();
        let kept = TextStats::analyse(
            text,
            options(Measures::empty(), Some(2), CaseHandling::Keep),
        )
        .unwrap();

        assert_eq!(
            folded.top_words,
            [
                ("the".to_owned(), 3),
                ("cat".to_owned(), 2),
                ("a".to_owned(), 1)
            ]
        );
        assert_eq!(
            kept.top_words,
            [("cat".to_owned(), 2), ("the".to_owned(), 2)]
        );
    }

    #[test]
    fn every_problem_is_named() {
        let ask = |text: &str, measures, top_words| {
            TextStats::analyse(
                text.to_owned(),
                options(measures, top_words, CaseHandling::Keep),
            )
        };

        assert!(matches!(
            ask(" \n", Measures::all(), None),
            Err(Problem::Empty)
        ));
        assert!(matches!(
            ask("a", Measures::empty(), None),
            Err(Problem::NothingAsked)
        ));
        assert!(matches!(
            ask("a", Measures::all(), Some(1001)),
            Err(Problem::TooManyTopWords(_))
        ));
        assert!(matches!(
            ask(&"a".repeat(5_000_000), Measures::all(), None),
            Err(Problem::TooLong(_))
        ));
    }

    #[test]
    fn texts_are_compared_by_their_words() {
        let compare = |a: &str, b: &str| TextStats::compare(a.to_owned(), b.to_owned());

        assert_eq!(compare("", "!").verdict, Verdict::SameWords);
        assert_eq!(compare("A b", "B a").score, 1.0);
        assert_eq!(compare("a b c", "a b d").score, 0.5);
        assert_eq!(compare("a", "b").verdict, Verdict::Different);
    }
}

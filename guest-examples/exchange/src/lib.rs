//! Rates between a few currencies, fixed as of one day.

wit_bindgen::generate!({ path: "wit", world: "exchange" });

use exports::money::exchange::rates::Guest;

/// Units of each currency for one euro.
const FOR_A_EURO: [(&str, f64); 5] = [("EUR", 1.0), ("USD", 1.25), ("GBP", 0.8), ("CHF", 0.96), ("JPY", 160.0)];

struct Exchange;

impl Guest for Exchange {
    fn rate(from: String, to: String) -> Result<f64, String> {
        Ok(for_a_euro(&to)? / for_a_euro(&from)?)
    }
}

fn for_a_euro(code: &str) -> Result<f64, String> {
    let found = FOR_A_EURO.iter().find(|(known, _)| known.eq_ignore_ascii_case(code));
    found.map(|(_, rate)| *rate).ok_or_else(|| {
        let known = FOR_A_EURO.map(|(known, _)| known).join(", ");
        format!("there is no rate of {code:?}: there are rates of {known}")
    })
}

export!(Exchange);

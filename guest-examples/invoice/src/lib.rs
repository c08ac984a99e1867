//! Adds up invoices. What money is worth it asks of whichever component knows.

wit_bindgen::generate!({ path: "wit", world: "invoice", generate_all });

use money::exchange::rates::rate;

struct Invoice;

impl Guest for Invoice {
    fn total(items: Vec<Item>, to: String) -> Result<f64, String> {
        let mut total = 0.0;
        for Item { what, count, price, currency } in items {
            let rate = rate(&currency, &to).map_err(|why| format!("{what}: {why}"))?;
            total += f64::from(count) * price * rate;
        }
        Ok((total * 100.0).round() / 100.0)
    }
}

export!(Invoice);

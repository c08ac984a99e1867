//! Medians, tables and JSON files.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// Many measurements of the same thing.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    name: String,
    unit: Unit,
    values: Vec<f64>,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Unit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Mebibytes.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// Kibibytes.
    #[serde(rename = "KiB")]
    Kibibytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
            Self::Kibibytes => "KiB",
        }
    }
}

impl Series {
    /// A series of times.
    pub(crate) fn times(name: &str, values: &[Duration]) -> Self {
        let values = values.iter().map(|value| value.as_secs_f64() * 1000.0).collect();
        Self { name: name.to_owned(), unit: Unit::Milliseconds, values }
    }

    /// A series of sizes, given in bytes.
    pub(crate) fn sizes(name: &str, bytes: &[u64]) -> Self {
        let values = bytes.iter().map(|&value| value as f64 / (1024.0 * 1024.0)).collect();
        Self { name: name.to_owned(), unit: Unit::Mebibytes, values }
    }

    /// A single number.
    pub(crate) fn single(name: &str, unit: Unit, value: f64) -> Self {
        Self { name: name.to_owned(), unit, values: vec![value] }
    }
}

/// The median; of two middle values their mean. Zero when there is none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// Print a table whose first column is text and whose others are numbers.
pub(crate) fn print_table(title: &str, header: &[&str], rows: &[Vec<String>]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header).add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{title}\n\n{table}");
}

/// Print a line for each series.
pub(crate) fn print_series(title: &str, series: &[Series]) {
    let rows: Vec<Vec<String>> = series.iter().map(Series::row).collect();
    print_table(title, &["", "unit", "median", "min", "max", "n"], &rows);
}

/// Write something as JSON, if a file was asked for.
pub(crate) fn write_json(path: Option<&Path>, content: &impl Serialize) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(BufWriter::new(file), content).context("cannot write the JSON report")?;
    eprintln!("Wrote {}.", path.display());
    Ok(())
}

/// A number with as many digits as mean something: three at least.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

impl Series {
    fn row(&self) -> Vec<String> {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        vec![
            self.name.clone(),
            self.unit.name().to_owned(),
            number(median(self.values.iter().copied())),
            number(least),
            number(most),
            self.values.len().to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(number(12_345.6), "12346");
        assert_eq!(number(12.345), "12.3");
        assert_eq!(number(1.2345), "1.23");
        assert_eq!(number(0.012_345), "0.012");
        assert_eq!(number(0.0), "0");
    }
}

//! `fumehood config`.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::{
    args::ConfigCommand,
    config::Loaded,
    output::{compact, single_line},
    session::Session,
};

/// Show and check the configuration. Whoever gets here has a valid one, but for the files that it names.
pub(crate) fn run(session: &Session<'_>, command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    let output = &session.output;
    match command {
        ConfigCommand::Show { origin } => {
            let values = serde_json::to_value(&session.loaded.config)?;
            let shown = if *origin { with_origins(session.loaded, &values) } else { values.clone() };
            output.data(&shown, || toml(session.loaded, &values, *origin))?;
        }
        ConfigCommand::Check => {
            session.loaded.config.trust()?;
            let file = session.loaded.file.as_ref().map(|file| file.display().to_string());
            let text = format!("the configuration is valid ({})", file.as_deref().unwrap_or("no file"));
            output.data(&json!({ "valid": true, "file": file }), || text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration as a file that would set it. JSON text, numbers and lists of text are TOML, too.
fn toml(loaded: &Loaded, values: &Value, origin: bool) -> String {
    let mut text = String::new();
    for (section, keys) in entries(values) {
        let gap = if text.is_empty() { "" } else { "\n" };
        text += &format!("{gap}[{section}]\n");
        // TOML has no word for what is not there.
        for (key, value) in entries(keys).filter(|(_, value)| !value.is_null()) {
            let value = compact(value);
            let origin = origin.then(|| format!("  # {}", loaded.origin(&format!("{section}.{key}"))));
            text += &format!("{key} = {value}{}\n", single_line(&origin.unwrap_or_default()));
        }
    }
    text
}

fn with_origins(loaded: &Loaded, values: &Value) -> Value {
    let explained = |section: &str, key: &str, value: &Value| {
        let origin = loaded.origin(&format!("{section}.{key}")).to_string();
        json!({ "value": value, "origin": origin })
    };
    let section = |name: &str, keys: &Value| -> Value {
        entries(keys).map(|(key, value)| (key.clone(), explained(name, key, value))).collect::<Map<_, _>>().into()
    };
    entries(values).map(|(name, keys)| (name.clone(), section(name, keys))).collect::<Map<_, _>>().into()
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, load};

    #[test]
    fn what_is_shown_reads_back_as_the_same_configuration() {
        let environment = Environment::from([("FUMEHOOD_LOG__FILTER".to_owned(), "a\"b=#\u{7f}é".to_owned())]);
        let loaded = load(Some(std::path::Path::new("/dev/null")), &environment, vec![]).unwrap();
        let values = serde_json::to_value(&loaded.config).unwrap();

        let text = toml(&loaded, &values, true);

        assert_eq!(toml::from_str::<Config>(&text).unwrap(), loaded.config);
        assert!(text.contains("# FUMEHOOD_LOG__FILTER\n"), "{text}");
    }
}

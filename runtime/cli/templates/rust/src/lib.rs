//! What the tool does. What it takes and answers stands in `wit/world.wit`.

wit_bindgen::generate!({ path: "wit", world: "tool" });

struct Tool;

impl Guest for Tool {
    fn greet(name: String, times: Option<u32>) -> Result<String, String> {
        match times.unwrap_or(1) {
            0 => Err("say how often: 1 or more".to_owned()),
            times if times > 100 => Err(format!("{times} times is too often")),
            times => Ok(vec![format!("Hello, {name}!"); times as usize].join(" ")),
        }
    }
}

export!(Tool);

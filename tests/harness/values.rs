use serde_json::{Map, Number, Value, json};

/// 2^53: from here on numbers of 64 bits are written as text.
const EXACT: u64 = 1 << 53;

/// Makes values that fit a schema, the same ones in every run.
///
/// They are in the form in which an answer would have them, so that an echo can be compared without any conversion.
#[derive(Debug)]
pub struct Values {
    state: u64,
}

impl Values {
    /// The values of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A value that fits `schema`, a document of its own.
    ///
    /// # Panics
    ///
    /// When the schema holds something that this generator does not know: then neither does the test.
    pub fn fitting(&mut self, schema: &Value) -> Value {
        self.value(schema, schema, 0)
    }

    fn value(&mut self, root: &Value, schema: &Value, depth: usize) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').expect("references are local");
            return self.value(root, root.pointer(pointer).expect("references lead somewhere"), depth);
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            let choice = self.below(choices.len());
            return self.value(root, &choices[choice], depth);
        }
        match schema["type"].as_str() {
            Some("null") => Value::Null,
            Some("boolean") => self.chance(2).into(),
            Some("integer") => self.integer(schema),
            Some("number") => self.number(),
            Some("string") => self.string(schema),
            Some("array") => self.array(root, schema, depth),
            Some("object") => self.object(root, schema, depth),
            _ => panic!("this is no schema that we know: {schema}"),
        }
    }

    fn object(&mut self, root: &Value, schema: &Value, depth: usize) -> Value {
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().expect("objects have properties") {
            if required.contains(&name.as_str()) || self.chance(2) {
                object.insert(name.clone(), self.value(root, property, depth + 1));
            }
        }
        object.into()
    }

    fn array(&mut self, root: &Value, schema: &Value, depth: usize) -> Value {
        if let Some(members) = schema["prefixItems"].as_array() {
            return members.iter().map(|member| self.value(root, member, depth + 1)).collect();
        }
        let items = &schema["items"];
        if schema["uniqueItems"] == true {
            let labels = items["enum"].as_array().expect("a set has its labels");
            return labels.iter().filter(|_| self.chance(2)).cloned().collect();
        }
        let count = schema["minItems"]
            .as_u64()
            .map_or_else(|| self.below(if depth > 3 { 2 } else { 5 }), |count| count as usize);
        (0..count).map(|_| self.value(root, items, depth + 1)).collect()
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let bound = |key: &str| schema[key].as_i64().expect("integers have bounds");
        let (least, most) = (bound("minimum"), bound("maximum"));
        match self.below(4) {
            0 => least.into(),
            1 => most.into(),
            2 => 0.clamp(least, most).into(),
            _ => {
                let width = most.abs_diff(least);
                let offset = if width == u64::MAX { self.next() } else { self.next() % (width + 1) };
                least.wrapping_add_unsigned(offset).into()
            }
        }
    }

    /// A number that neither a float of 32 bits nor one of 64 bits changes: six decimal digits survive in both.
    fn number(&mut self) -> Value {
        match self.below(5) {
            0 => 0.into(),
            1 => (self.below(1 << 24) as i64 - (1 << 23)).into(),
            2 => json!(-0.0),
            3 => number(&format!("{}.{:05}1", self.below(10), self.below(100_000))),
            _ => {
                let sign = if self.chance(2) { "-" } else { "" };
                let exponent = if self.chance(2) { -7 - self.below(23) as i64 } else { 17 + self.below(20) as i64 };
                number(&format!("{sign}{}.{:05}e{exponent}", 1 + self.below(9), self.below(100_000)))
            }
        }
    }

    fn string(&mut self, schema: &Value) -> Value {
        if let Some(labels) = schema["enum"].as_array() {
            return labels[self.below(labels.len())].clone();
        }
        match (schema["pattern"].as_str(), schema["contentEncoding"].as_str()) {
            (Some("^[0-9]{1,20}$"), _) => (EXACT + self.next() % (u64::MAX - EXACT)).to_string().into(),
            (Some("^-?[0-9]{1,19}$"), _) if self.chance(2) => i64::MIN.to_string().into(),
            (Some("^-?[0-9]{1,19}$"), _) => {
                (EXACT + self.next() % (i64::MAX.unsigned_abs() - EXACT)).to_string().into()
            }
            (Some(pattern), _) => panic!("this is no pattern that we know: {pattern}"),
            (None, Some("base64")) => self.base64(),
            (None, Some(encoding)) => panic!("this is no encoding that we know: {encoding}"),
            (None, None) if schema["maxLength"] == 1 => self.char().to_string().into(),
            (None, None) => {
                let length = self.below(9);
                (0..length).map(|_| self.char()).collect::<String>().into()
            }
        }
    }

    fn base64(&mut self) -> Value {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        let length = self.below(20);
        let bytes: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().chain([&0; 2]).take(3).fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
            for digit in 0..4 {
                let is_padding = digit > chunk.len();
                text.push(if is_padding { '=' } else { char::from(ALPHABET[word >> (18 - 6 * digit) & 63]) });
            }
        }
        text.into()
    }

    /// Any character, with those more often that break something.
    fn char(&mut self) -> char {
        const ODD: [char; 14] = [
            '\0',
            '"',
            '\\',
            '/',
            '\n',
            '\u{7f}',
            '\u{9b}',
            'é',
            '\u{301}',
            '\u{202e}',
            '\u{2028}',
            '\u{feff}',
            '😀',
            '\u{10ffff}',
        ];
        match self.below(3) {
            0 => ODD[self.below(ODD.len())],
            1 => char::from(b' ' + self.below(95) as u8),
            _ => char::from_u32(self.below(0x11_0000) as u32).unwrap_or('\u{fffd}'),
        }
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// SplitMix64: small, and good enough to vary test values.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn number(text: &str) -> Value {
    Value::Number(text.parse::<Number>().expect("a number"))
}

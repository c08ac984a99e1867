use serde_json::Value;
use ureq::http::HeaderMap;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// A failure, as every front end of HTTP tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// The sentence for people.
    pub message: String,
    /// What programs can read.
    pub details: Value,
    /// Which request it was.
    pub request_id: String,
}

impl Answer {
    /// The header called `name`.
    ///
    /// # Panics
    ///
    /// When it is not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are text"))
    }

    /// The number in the header called `name`.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        let text = self.header(name).unwrap_or_else(|| panic!("there is no header {name} in {:?}", self.headers));
        text.parse().unwrap_or_else(|_| panic!("the header {name} holds {text:?}, not a number"))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The value that was answered with 200.
    ///
    /// # Panics
    ///
    /// When it was answered otherwise.
    pub fn value(&self) -> Value {
        self.expect(200)
    }

    /// The value that was answered with `status`.
    ///
    /// # Panics
    ///
    /// When it was answered otherwise.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()
    }

    /// Assert the status of an answer without a body.
    ///
    /// # Panics
    ///
    /// When it was answered otherwise.
    pub fn empty(&self, status: u16) {
        assert_eq!((self.status, self.text().as_str()), (status, ""));
    }

    /// The failure that was answered, with every field that a failure must have.
    ///
    /// # Panics
    ///
    /// When it is not one, or lacks a field.
    #[must_use]
    pub fn problem(&self) -> Problem {
        assert!(self.status >= 400, "this is no failure: {} {}", self.status, self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{} {}", self.status, self.text());
        let document = self.json();
        let text = |key: &str| document[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {document}"));
        let known = ["type", "title", "status", "detail", "error", "message", "details", "timestamp", "request_id"];
        let unknown: Vec<_> =
            document.as_object().expect("an object").keys().filter(|key| !known.contains(&&***key)).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "{document}");
        assert_eq!(document["status"], self.status, "{document}");
        assert_eq!(text("type"), format!("https://fumehood.dev/errors/{}", text("error")));
        assert_ne!(text("title"), "");
        assert_eq!(text("detail"), text("message"));
        assert!(is_timestamp(text("timestamp")), "{document}");
        assert_eq!(Some(text("request_id")), self.header("x-request-id"), "{document}");
        Problem {
            status: self.status,
            code: text("error").to_owned(),
            message: text("message").to_owned(),
            details: document["details"].clone(),
            request_id: text("request_id").to_owned(),
        }
    }

    /// The failure, which must have this status and code.
    ///
    /// # Panics
    ///
    /// When it is another.
    pub fn refused(&self, status: u16, code: &str) -> Problem {
        let problem = self.problem();
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}", problem.message);
        problem
    }
}

/// RFC 3339 in UTC, such as `2026-11-20T12:00:00.123Z`.
fn is_timestamp(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let Some((seconds, fraction)) = shape.strip_suffix('Z').map(|shape| shape.split_once('.').unwrap_or((shape, "")))
    else {
        return false;
    };
    seconds == "0000-00-00T00:00:00" && fraction.bytes().all(|digit| digit == b'0')
}

impl Problem {
    /// The pointers and messages of a refused input.
    ///
    /// # Panics
    ///
    /// When the details are not of that kind.
    #[must_use]
    pub fn mistakes(&self) -> Vec<(&str, &str)> {
        let mistakes = self.details.as_array().unwrap_or_else(|| panic!("no mistakes in {self:?}"));
        let text = |mistake: &'_ Value, key: &str| mistake[key].as_str().map(str::to_owned).is_some();
        assert!(mistakes.iter().all(|m| text(m, "pointer") && text(m, "message")), "{self:?}");
        let pair = |m| -> (&str, &str) { (field(m, "pointer"), field(m, "message")) };
        mistakes.iter().map(pair).collect()
    }

    /// Only the pointers of a refused input.
    #[must_use]
    pub fn pointers(&self) -> Vec<&str> {
        self.mistakes().into_iter().map(|(pointer, _)| pointer).collect()
    }
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

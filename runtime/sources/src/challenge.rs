/// What a registry wants to see before it answers: the header `WWW-Authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password.
    Basic,
    /// A token, which is given out at `realm`. What for is up to us, whatever the registry says.
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// The first challenge of a header that can be met. RFC 9110 §11.6.1.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        for (name, value) in pairs(parameters) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// `a="b, c", d=e` as pairs. What does not look like that ends it.
fn pairs(text: &str) -> Vec<(String, String)> {
    let (mut pairs, mut rest) = (Vec::new(), text);
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_owned();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => match quoted.split_once('"') {
                Some((value, after)) => (value, after),
                None => break,
            },
            None => after.split_once(',').unwrap_or((after, "")),
        };
        pairs.push((name, value.trim().to_owned()));
        rest = after;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_where_the_registry_says() {
        let header = r#"Bearer realm="https://auth.x.y/token",service="x.y",scope="repository:a/b:pull,push""#;

        let challenge = Challenge::parse(header).unwrap();

        let (realm, service) = ("https://auth.x.y/token".to_owned(), Some("x.y".to_owned()));
        assert_eq!(challenge, Challenge::Bearer { realm, service });
    }

    #[test]
    fn what_cannot_be_met_is_none() {
        assert_eq!(Challenge::parse("basic realm=x"), Some(Challenge::Basic));
        for header in ["", "Negotiate", "Bearer", "Bearer service=x", "Bearer realm=\"open"] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
    }
}

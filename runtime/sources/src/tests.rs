//! What must hold for whatever strangers write.

use fumehood_model::ByteSize;
use proptest::prelude::*;

use crate::{Source, challenge::Challenge, manifest::Layer, web::resolved};

proptest! {
    #[test]
    fn what_is_taken_for_a_source_reads_back_as_the_same(text in "(oci://|https://|http://|file://)?[!-~]{0,60}") {
        if let Ok(source) = text.parse::<Source>() {
            prop_assert_eq!(source.to_string().parse::<Source>().ok(), Some(source));
        }
    }

    #[test]
    fn any_header_is_a_challenge_or_none(text in "(Bearer|basic)? ?(realm|scope|service)?=?\"?.{0,60}") {
        let _ = Challenge::parse(&text);
    }

    #[test]
    fn a_location_leads_to_a_host_over_http_or_nowhere(text in "[!-~]{0,60}") {
        let base = "https://x.y/a".parse().expect("an address");
        if let Some(to) = resolved(&base, &text) {
            prop_assert!(to.authority().is_some_and(|authority| !authority.as_str().contains('@')));
            prop_assert!(matches!(to.scheme_str(), Some("http" | "https")));
        }
    }

    #[test]
    fn any_bytes_are_a_manifest_of_one_component_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Layer::of("x", &bytes, ByteSize::mib(1)).is_err());
    }
}

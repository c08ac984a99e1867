use crate::{call, config, http, invoke, job, keyvalue, logging, secrets};

/// The WASI 0.2 interfaces that are linked.
const OFFERED: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// What is linked under exactly these names: proposals without a stable version, and what is ours.
const EXACTLY: [&[&str]; 7] = [
    &call::IMPORTS,
    &config::IMPORTS,
    &invoke::IMPORTS,
    &job::IMPORTS,
    &keyvalue::IMPORTS,
    &logging::IMPORTS,
    &secrets::IMPORTS,
];

/// What the beginning of an import's name leads to, beyond the call itself: the kind of grant that opens it, or
/// `sockets`, which nothing opens.
pub const WAYS: [(&str, &str); 8] = [
    ("wasi:http/outgoing-handler", "http"),
    ("wasi:filesystem/", "files"),
    ("wasi:cli/environment", "env"),
    ("wasi:config/", "config"),
    ("wasi:keyvalue/", "keyvalue"),
    ("fumehood:host/secrets", "secret"),
    ("fumehood:host/invoke", "invoke"),
    ("wasi:sockets/", SOCKETS),
];

/// The kind that nothing opens.
const SOCKETS: &str = "sockets";

/// What becomes of an import here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It is there and does what it should, as far as it is granted.
    Full,
    /// It is there, and whatever it is asked is refused.
    Refused,
    /// It is not there: what needs it cannot be served.
    Missing,
}

/// Whether an import of this name can be satisfied: `wasi:io/streams@0.2.6` and any other version 0.2.
#[must_use]
pub fn is_offered(import: &str) -> bool {
    if EXACTLY.iter().any(|imports| imports.contains(&import)) {
        return true;
    }
    let Some((interface, version)) = import.split_once('@') else { return false };
    let compatible = version.strip_prefix("0.2.").is_some_and(|patch| patch.bytes().all(|b| b.is_ascii_digit()));
    compatible && is_of_0_2(interface)
}

fn is_of_0_2(interface: &str) -> bool {
    OFFERED.contains(&interface) || http::IMPORTS.contains(&interface)
}

/// What becomes of an import, and why, in a sentence for its author.
#[must_use]
pub fn support(import: &str) -> (Support, String) {
    let (interface, version) = import.split_once('@').map_or((import, None), |(name, version)| (name, Some(version)));
    if is_offered(import) {
        let leads_to = WAYS.iter().find(|(start, _)| import.starts_with(start)).map(|(_, kind)| *kind);
        return match leads_to {
            None => (Support::Full, "offered".to_owned()),
            Some(SOCKETS) => {
                (Support::Refused, "offered, and refuses whatever it is asked: sockets are never granted".to_owned())
            }
            Some(kind) => (Support::Full, format!("offered, and reaches nothing until `{kind}` is granted")),
        };
    }
    let named = |known: &&&str| known.split('@').next() == Some(interface);
    let instead = if is_of_0_2(interface) {
        Some(format!("{interface}@0.2"))
    } else {
        EXACTLY.iter().copied().flatten().rfind(named).map(|known| (*known).to_owned())
    };
    let told = match (instead, version) {
        (Some(instead), Some(version)) => format!("not offered in version {version}: build it with {instead}"),
        (Some(instead), None) => format!("not offered without a version: build it with {instead}"),
        (None, _) if interface.starts_with("wasi:http/") => {
            "not offered: a module answers calls of its functions, not requests; export functions".to_owned()
        }
        (None, _) if interface.starts_with("wasi:") => "not offered, in no version".to_owned(),
        (None, _) => "not offered: it is neither of WASI 0.2 nor of `fumehood:host`".to_owned(),
    };
    (Support::Missing, told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_patch_of_wasi_0_2_is_offered_and_nothing_else() {
        assert!(is_offered("wasi:io/streams@0.2.0"));
        assert!(is_offered("wasi:sockets/udp-create-socket@0.2.12"));
        assert!(is_offered("wasi:http/types@0.2.3"));
        let others = [
            "wasi:io/streams",
            "wasi:io/streams@0.3.0",
            "wasi:io/streams@0.2.0-rc",
            "wasi:http/incoming-handler@0.2.0",
        ];
        for import in others {
            assert!(!is_offered(import), "{import}");
        }
    }

    #[test]
    fn proposals_and_what_is_ours_are_offered_in_their_exact_versions() {
        for import in ["wasi:keyvalue/store@0.2.0-draft2", "wasi:logging/logging", "fumehood:host/invoke@0.1.0"] {
            assert!(is_offered(import), "{import}");
        }
        for import in ["wasi:keyvalue/store@0.2.0", "wasi:keyvalue/watcher@0.2.0-draft", "fumehood:host/call@0.2.0"] {
            assert!(!is_offered(import), "{import}");
        }
    }

    #[test]
    fn the_author_is_told_what_becomes_of_an_import_and_why() {
        for (import, expected, why) in [
            ("wasi:io/streams@0.2.6", Support::Full, "offered"),
            ("wasi:http/outgoing-handler@0.2.9", Support::Full, "offered, and reaches nothing until `http` is granted"),
            ("wasi:sockets/tcp@0.2.6", Support::Refused, "sockets are never granted"),
            (
                "wasi:io/streams@0.3.0",
                Support::Missing,
                "not offered in version 0.3.0: build it with wasi:io/streams@0.2",
            ),
            ("wasi:keyvalue/store@0.2.0", Support::Missing, "build it with wasi:keyvalue/store@0.2.0-draft2"),
            ("wasi:http/incoming-handler@0.2.0", Support::Missing, "export functions"),
            ("wasi:nn/graph@0.2.0", Support::Missing, "not offered, in no version"),
            ("acme:oracle/ask", Support::Missing, "neither of WASI 0.2 nor of `fumehood:host`"),
        ] {
            let (support, told) = support(import);
            assert!(support == expected && told.contains(why), "{import}: {support:?}, {told}");
            assert_eq!(is_offered(import), support != Support::Missing, "{import}");
        }
    }

    #[test]
    fn whatever_is_offered_by_its_exact_name_is_linked() {
        let engine = wasmtime::Engine::default();
        let mut linker = wasmtime::component::Linker::<crate::Guest<()>>::new(&engine);
        crate::link(&mut linker).unwrap();

        for import in EXACTLY.into_iter().flatten() {
            // What is there already cannot be defined as something else.
            assert!(
                linker.root().resource(import, wasmtime::component::ResourceType::host::<()>(), |_, _| Ok(())).is_err(),
                "{import}"
            );
        }
    }
}

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

/// Whether an import of this name can be satisfied: `wasi:io/streams@0.2.6` and any other version 0.2.
#[must_use]
pub fn is_offered(import: &str) -> bool {
    if EXACTLY.iter().any(|imports| imports.contains(&import)) {
        return true;
    }
    let Some((interface, version)) = import.split_once('@') else { return false };
    let compatible = version.strip_prefix("0.2.").is_some_and(|patch| patch.bytes().all(|b| b.is_ascii_digit()));
    compatible && (OFFERED.contains(&interface) || http::IMPORTS.contains(&interface))
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

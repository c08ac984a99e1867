use crate::http;

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

/// Whether an import of this name can be satisfied: `wasi:io/streams@0.2.6` and any other version 0.2.
#[must_use]
pub fn is_offered(import: &str) -> bool {
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
}

use fumehood_capabilities::WAYS;

/// What part of the outside some imports of a component lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The kind of grant that would open it, or `sockets`, which nothing opens.
    pub kind: &'static str,
    /// The imports.
    pub imports: Vec<String>,
}

/// What `imports` lead to, in a fixed order.
pub(super) fn of(imports: &[String]) -> Vec<Reach> {
    let found = WAYS.iter().map(|(start, kind)| {
        let imports = imports.iter().filter(|import| import.starts_with(start)).cloned().collect();
        Reach { kind, imports }
    });
    found.filter(|reach| !reach.imports.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_imports_that_lead_outside_count() {
        let imports = [
            "wasi:io/streams@0.2.6",
            "wasi:filesystem/types@0.2.6",
            "wasi:filesystem/preopens@0.2.6",
            "wasi:http/types@0.2.6",
            "fumehood:host/invoke@0.1.0",
        ];

        let reaches = of(&imports.map(str::to_owned));

        let kinds: Vec<_> = reaches.iter().map(|reach| (reach.kind, reach.imports.len())).collect();
        assert_eq!(kinds, [("files", 2), ("invoke", 1)]);
    }
}

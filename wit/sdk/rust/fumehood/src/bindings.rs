//! The WIT of the host and of the tool, as Rust.

wit_bindgen::generate!({
    path: [
        "../../../fumehood-tool", "../../../fumehood-host", "../../../deps/logging", "../../../deps/keyvalue-draft2", "wit",
    ],
    world: "fumehood:sdk/tool",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "::fumehood::private::bindings",
    export_macro_name: "export",
});

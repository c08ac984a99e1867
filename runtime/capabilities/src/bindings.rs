//! What `wit/fumehood-host` looks like from here.

wasmtime::component::bindgen!({
    path: "../../wit/fumehood-host",
    world: "fumehood:host/imports",
    imports: {
        "fumehood:host/call.progress": async,
        "fumehood:host/job.checkpoint": async,
        "fumehood:host/job.resumed": async,
        "fumehood:host/secrets.get": async,
    },
});

pub(crate) use fumehood::host::{call, invoke, job, secrets};

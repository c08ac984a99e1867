//! Behaviour of the whole product, from outside: one file for each noun.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test, in helpers of tests as in tests")]

mod calls;
mod cli;
mod composition;
mod confirm;
mod definitions;
mod docs;
mod egress;
mod examples;
mod faults;
mod files;
mod history;
mod host_api;
mod http;
mod install;
mod isolation;
mod jobs;
mod keys;
mod languages;
mod large;
mod limits;
mod loading;
mod mcp;
mod mcp_compat;
mod mcp_resources;
mod mcp_restart;
mod mcp_transport;
mod permissions;
mod prebuilt;
mod project;
mod prompts;
mod readmes;
mod reload;
mod rich;
mod sandbox;
mod schedules;
mod sdk;
mod secrets;
mod signatures;
mod sources;
mod testing;
mod types;
mod uploads;
mod versions;
mod zoo;

//! Behaviour of the whole product, from outside: one file for each noun.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test, in helpers of tests as in tests")]

mod calls;
mod cli;
mod examples;
mod http;
mod keys;
mod loading;
mod mcp;
mod prebuilt;
mod sandbox;
mod types;
mod zoo;

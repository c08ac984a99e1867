//! One module for each command.

pub(crate) mod backup;
pub(crate) mod build;
pub(crate) mod call;
pub(crate) mod calls;
pub(crate) mod compile_worker;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod confirmations;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod grants;
pub(crate) mod inspect;
pub(crate) mod install;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod mcp;
pub(crate) mod modules;
pub(crate) mod new;
pub(crate) mod push;
pub(crate) mod review;
pub(crate) mod sandbox_worker;
pub(crate) mod schedules;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod test;
pub(crate) mod tools;

use serde_json::json;

use super::{
    Fate,
    bytes::{computing, custom, exporting, functions, leb, list, section, serving, sized},
    rows::{call, refused},
};
use crate::bombs;

/// A bomb is counted before it is compiled, or goes off where it is read or compiled: in time, or in memory.
const TOO_DEAR: &[&str] = &[
    "the component has too many ",
    "compiling the component took more than ",
    "reading the component took more than ",
];
const NOT_VALID: &[&str] = &["the component is not valid at byte ", "the component has too many "];
const NOT_LOADED: &[&str] = &["the component cannot be loaded: ", "the component has too many "];
const TOO_MANY: &[&str] = &["the component has too many "];

/// A component that is small beside what it costs who loads it. Made when it is needed: some would be large files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bomb {
    /// A hundred thousand functions of two bytes.
    TinyFunctions,
    /// A hundred and fifty thousand branches, each with a value that meets another behind it.
    Branches,
    /// A million additions in one function.
    Additions,
    /// A function with a hundred jumps to ten thousand places each.
    BranchTables,
    /// Twenty thousand loops within each other.
    NestedLoops,
    /// A function of a thousand locals that meet again after each of many branches.
    WideJoins,
    /// Loops within loops, each of which changes one more local.
    LoopPhis,
    /// A hundred functions with fifty thousand locals each.
    Locals,
    /// A million types.
    Types,
    /// A hundred thousand exports of the same function.
    Exports,
    /// A component with a hundred thousand imports.
    Imports,
    /// An export with a name of 99,999 letters.
    LongName,
    /// An export with a name of a million letters.
    EndlessName,
    /// A thousand components within each other.
    NestedComponents,
    /// A list of lists of lists, a thousand deep.
    DeepType,
    /// A type that is made of itself.
    RecursiveType,
    /// A function with ten thousand parameters.
    Parameters,
    /// A record with a hundred thousand fields.
    Fields,
    /// An enum with a hundred thousand cases.
    Cases,
    /// A custom section of thirty megabytes.
    Padding,
    /// A custom section that says it is longer than the file.
    LyingLength,
    /// A vector that says it has four thousand million items.
    LyingCount,
    /// A description of nearly a megabyte.
    LongDescription,
    /// A description of two megabytes.
    EndlessDescription,
    /// A debug name section of a hundred thousand functions that are not there.
    Names,
    /// An ELF file.
    Elf,
    /// What wasmtime writes when it has compiled something: an ELF file, with its sections' names.
    Compiled,
    /// A zip archive.
    Zip,
    /// A gzip stream.
    Gzip,
    /// WebAssembly text.
    Text,
    /// A script.
    Script,
    /// A hundred kilobytes of zeroes.
    Zeroes,
    /// A component of a version that there is not.
    Version,
    /// Nearly as many functions as there may be: dear, and within the bounds of a compiler.
    FunctionsWithinBounds,
    /// As much code as fits into a file, in functions that are as long as they may be: more than the time of a compiler.
    MuchCode,
    /// One function that is as long as it may be, with fewer branches than it may have: more than the memory of a compiler.
    BranchesWithinBounds,
}

impl Bomb {
    /// All of them but those that need as much as a compiler may use, and so the bounds of the product, to show what
    /// they do.
    pub const ALL: &[Self] = &[
        Self::TinyFunctions,
        Self::Branches,
        Self::Additions,
        Self::BranchTables,
        Self::NestedLoops,
        Self::WideJoins,
        Self::LoopPhis,
        Self::Locals,
        Self::Types,
        Self::Exports,
        Self::Imports,
        Self::LongName,
        Self::EndlessName,
        Self::NestedComponents,
        Self::DeepType,
        Self::RecursiveType,
        Self::Parameters,
        Self::Fields,
        Self::Cases,
        Self::Padding,
        Self::LyingLength,
        Self::LyingCount,
        Self::LongDescription,
        Self::EndlessDescription,
        Self::Names,
        Self::Elf,
        Self::Compiled,
        Self::Zip,
        Self::Gzip,
        Self::Text,
        Self::Script,
        Self::Zeroes,
        Self::Version,
    ];

    /// Those that are dear to compile: counting refuses most of them, and those that it cannot tell from honest components
    /// go off in the compiler.
    pub const COMPILED: &[Self] = &[
        Self::FunctionsWithinBounds,
        Self::MuchCode,
        Self::BranchesWithinBounds,
        Self::TinyFunctions,
        Self::Branches,
        Self::Additions,
        Self::BranchTables,
        Self::NestedLoops,
        Self::WideJoins,
        Self::LoopPhis,
    ];

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::TinyFunctions => bombs::many_functions(),
            Self::Branches => bombs::branches(),
            Self::Additions => bombs::additions(),
            Self::BranchTables => bombs::branch_tables(),
            Self::NestedLoops => bombs::nested_loops(),
            Self::WideJoins => bombs::joins(),
            Self::LoopPhis => bombs::loop_phis(),
            Self::Locals => bombs::many_locals(),
            Self::Types => bombs::many_types(),
            Self::Exports => bombs::many_exports(),
            Self::Imports => bombs::many_imports(),
            Self::LongName => bombs::long_name(),
            Self::EndlessName => exporting(&functions(&[vec![0, 0x20, 0, 0x0b]]), &["a".repeat(1_000_000)]),
            Self::NestedComponents => bombs::deep_components(),
            Self::DeepType => bombs::type_chain(),
            // Type 1, when it is defined, is a list of type 1.
            Self::RecursiveType => serving(&section(7, &[1, 0x70, 1])),
            Self::Parameters => serving(&section(7, &[vec![1, 0x40], members(10_000), vec![0, 0x79]].concat())),
            Self::Fields => bombs::wide_record(),
            Self::Cases => serving(&section(7, &[vec![1, 0x6d], labels(100_000)].concat())),
            Self::Padding => serving(&custom("padding", &vec![0; 30 << 20])),
            Self::LyingLength => serving(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'x']),
            Self::LyingCount => serving(&section(7, &[0xff, 0xff, 0xff, 0xff, 0x0f])),
            Self::LongDescription => serving(&description(1_000_000)),
            Self::EndlessDescription => serving(&description(2_000_000)),
            Self::Names => computing(&[vec![0, 0x20, 0, 0x0b]]).into_iter().chain(names(100_000)).collect(),
            Self::Elf => bombs::elf(),
            Self::Compiled => [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 56], b"\0.wasmtime.engine\0.text\0"].concat(),
            Self::Zip => bombs::zip(),
            Self::Gzip => [b"\x1f\x8b\x08\0".as_slice(), &[0; 4096]].concat(),
            Self::Text => bombs::text(),
            Self::Script => b"#!/bin/sh\nrm -rf /\n".to_vec(),
            Self::Zeroes => vec![0; 100_000],
            Self::Version => b"\0asm\x0e\0\x01\0".to_vec(),
            Self::FunctionsWithinBounds => bombs::many_functions_of(79_000),
            Self::MuchCode => bombs::much_code(),
            Self::BranchesWithinBounds => bombs::branches_of(74_000),
        }
    }

    /// What becomes of it.
    #[must_use]
    pub fn fate(self) -> Fate {
        let works = || Fate::Attacks(vec![call("one", json!({ "n": 7 })).value(json!(7))]);
        match self {
            Self::TinyFunctions
            | Self::Branches
            | Self::Additions
            | Self::BranchTables
            | Self::NestedLoops
            | Self::WideJoins
            | Self::LoopPhis => refused(TOO_DEAR),
            Self::MuchCode => refused(&["compiling the component took more than 20 s of CPU time"]),
            Self::BranchesWithinBounds => refused(&["compiling the component took more than 1 GiB of memory"]),
            Self::FunctionsWithinBounds => Fate::Attacks(Vec::new()),
            Self::Exports | Self::LongName | Self::NestedComponents => refused(TOO_MANY),
            Self::Locals => refused(NOT_LOADED),
            Self::Types
            | Self::Imports
            | Self::EndlessName
            | Self::DeepType
            | Self::RecursiveType
            | Self::Parameters
            | Self::Fields
            | Self::Cases
            | Self::LyingCount => refused(NOT_VALID),
            Self::LyingLength => refused(&["the file is cut off: "]),
            Self::LongDescription | Self::EndlessDescription | Self::Names | Self::Padding => works(),
            Self::Elf | Self::Compiled | Self::Zip | Self::Gzip | Self::Script | Self::Zeroes => {
                refused(&["this is not WebAssembly: it does not start with `\\0asm`"])
            }
            Self::Text => refused(&["this is WebAssembly text, not binary: "]),
            Self::Version => refused(NOT_VALID),
        }
    }
}

/// So many members of type `u32`, each with a name.
fn members(count: usize) -> Vec<u8> {
    list((0..count).map(|number| [sized(format!("m{number}").as_bytes()), vec![0x79]].concat()))
}

/// So many names.
fn labels(count: usize) -> Vec<u8> {
    list((0..count).map(|number| sized(format!("m{number}").as_bytes())))
}

/// What documents `one` in so many letters.
fn description(letters: usize) -> Vec<u8> {
    let docs = json!({ "worlds": { "tool": { "func_exports": { "one": "x".repeat(letters) } } } });
    custom("package-docs", &[&[1], docs.to_string().as_bytes()].concat())
}

/// Names for functions that are not there.
fn names(count: usize) -> Vec<u8> {
    let name = |number: usize| [leb(number), sized(b"\x1b[2Jnobody")].concat();
    let functions = list((0..count).map(name));
    custom("name", &section(1, &functions))
}

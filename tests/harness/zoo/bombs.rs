use serde_json::json;

use super::{
    Fate,
    bytes::{component, computing, custom, exporting, functions, leb, list, module, section, serving, sized},
    rows::{call, refused},
};

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
    /// A hundred functions that each jump to thirty thousand places.
    BranchTables,
    /// Twenty thousand loops within each other.
    NestedLoops,
    /// A function of a thousand locals that meet again after each of many branches.
    WideJoins,
    /// Loops within loops, each of which changes one more local.
    LoopPhis,
    /// A function with fifty thousand locals.
    Locals,
    /// A million types.
    Types,
    /// A hundred thousand exports of the same function.
    Exports,
    /// A module with a million imports.
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
}

impl Bomb {
    /// All of them.
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

    /// Those that go off in the compiler.
    pub const COMPILED: &[Self] = &[
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
            Self::TinyFunctions => computing(&vec![vec![0, 0x20, 0, 0x0b]; 100_000]),
            Self::Branches => computing(&[branches(150_000)]),
            Self::Additions => computing(&[repeated(&[0x20, 0, 0x6a, 0x41, 7, 0x6c], 1_000_000)]),
            Self::BranchTables => computing(&vec![branch_table(30_000); 100]),
            Self::NestedLoops => computing(&[nested(&[0x03, 0x40], 20_000)]),
            Self::WideJoins => computing(&[wide_joins(1_000, 30_000)]),
            Self::LoopPhis => computing(&[loop_phis(1_500)]),
            Self::Locals => computing(&[[&[1], leb(50_000).as_slice(), &[0x7e, 0x20, 0, 0x0b]].concat()]),
            Self::Types => serving(&section(7, &list((0..1_000_000).map(|_| vec![0x70, 0x7d])))),
            Self::Exports => {
                let names: Vec<_> = (0..100_000).map(|number| format!("f{number}")).collect();
                exporting(&functions(&[vec![0, 0x20, 0, 0x0b]]), &names)
            }
            Self::Imports => component(&[section(1, &imports(1_000_000))]),
            Self::LongName => exporting(&functions(&[vec![0, 0x20, 0, 0x0b]]), &["a".repeat(99_999)]),
            Self::EndlessName => exporting(&functions(&[vec![0, 0x20, 0, 0x0b]]), &["a".repeat(1_000_000)]),
            Self::NestedComponents => {
                let nested = (0..1_000).fold(component(&[]), |inner, _| component(&[section(4, &inner)]));
                serving(&section(4, &nested))
            }
            Self::DeepType => serving(&section(7, &list((0..1_000).map(deeper)))),
            // Type 1, when it is defined, is a list of type 1.
            Self::RecursiveType => serving(&section(7, &[1, 0x70, 1])),
            Self::Parameters => serving(&section(7, &[vec![1, 0x40], members(10_000), vec![0, 0x79]].concat())),
            Self::Fields => serving(&section(7, &[vec![1, 0x72], members(100_000)].concat())),
            Self::Cases => serving(&section(7, &[vec![1, 0x6d], labels(100_000)].concat())),
            Self::Padding => serving(&custom("padding", &vec![0; 30 << 20])),
            Self::LyingLength => serving(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'x']),
            Self::LyingCount => serving(&section(7, &[0xff, 0xff, 0xff, 0xff, 0x0f])),
            Self::LongDescription => serving(&description(1_000_000)),
            Self::EndlessDescription => serving(&description(2_000_000)),
            Self::Names => computing(&[vec![0, 0x20, 0, 0x0b]]).into_iter().chain(names(100_000)).collect(),
            Self::Elf => [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 4096]].concat(),
            Self::Compiled => [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 56], b"\0.wasmtime.engine\0.text\0"].concat(),
            Self::Zip => [b"PK\x03\x04".as_slice(), &[0; 4096]].concat(),
            Self::Gzip => [b"\x1f\x8b\x08\0".as_slice(), &[0; 4096]].concat(),
            Self::Text => b"  (component (core module))".to_vec(),
            Self::Script => b"#!/bin/sh\nrm -rf /\n".to_vec(),
            Self::Zeroes => vec![0; 100_000],
            Self::Version => b"\0asm\x0e\0\x01\0".to_vec(),
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

/// A body without locals that starts with its parameter and repeats some code.
fn repeated(code: &[u8], times: usize) -> Vec<u8> {
    [&[0, 0x20, 0], code.repeat(times).as_slice(), &[0x0b]].concat()
}

/// A body of blocks within each other.
fn nested(start: &[u8], depth: usize) -> Vec<u8> {
    [&[0], start.repeat(depth).as_slice(), &vec![0x0b; depth], &[0x20, 0, 0x0b]].concat()
}

/// A body in which each branch may skip an addition to the parameter.
fn branches(count: usize) -> Vec<u8> {
    // block; br_if 0 (local.get 0); local.set 0 (i32.add (local.get 0) (i32.const 1)); end
    let branch = [0x02, 0x40, 0x20, 0, 0x0d, 0, 0x20, 0, 0x41, 1, 0x6a, 0x21, 0, 0x0b];
    [&[0], branch.repeat(count).as_slice(), &[0x20, 0, 0x0b]].concat()
}

/// A body with one jump to so many places.
fn branch_table(places: usize) -> Vec<u8> {
    // block; br_table 0 … 0 (local.get 0); end
    [&[0, 0x02, 0x40, 0x20, 0, 0x0e], leb(places).as_slice(), &vec![0; places], &[0, 0x0b, 0x20, 0, 0x0b]].concat()
}

/// A body with so many locals, one of which is changed or not in each of many branches.
fn wide_joins(locals: usize, branches: usize) -> Vec<u8> {
    let mut body = [&[1], leb(locals).as_slice(), &[0x7f]].concat();
    for branch in 0..branches {
        let local = leb(1 + branch % locals);
        // if (local.get 0); local.set k (i32.add (local.get k) (local.get 0)); end
        body.extend([0x20, 0, 0x04, 0x40, 0x20]);
        body.extend(&local);
        body.extend([0x20, 0, 0x6a, 0x21]);
        body.extend(&local);
        body.push(0x0b);
    }
    body.extend([0x20, 0, 0x0b]);
    body
}

/// A body of loops within each other, each of which changes a local of its own at its end.
fn loop_phis(loops: usize) -> Vec<u8> {
    let mut body = [&[1], leb(loops).as_slice(), &[0x7f], [0x03, 0x40].repeat(loops).as_slice()].concat();
    for number in 1..=loops {
        let local = leb(number);
        // local.set k (i32.add (local.get k) (local.get 0)); br_if 0 (local.get k); end
        for part in [&[0x20], local.as_slice(), &[0x20, 0, 0x6a, 0x21], &local, &[0x20], &local, &[0x0d, 0, 0x0b]] {
            body.extend(part);
        }
    }
    body.extend([0x20, 0, 0x0b]);
    body
}

/// A core module that imports so many functions.
fn imports(count: usize) -> Vec<u8> {
    let import = |_| vec![0, 1, b'f', 0, 0];
    module(&[section(1, &[1, 0x60, 0, 0]), section(2, &list((0..count).map(import)))])
}

/// A list of the type defined before it; the first, of `u32`. Type 0 is that of the function.
fn deeper(depth: usize) -> Vec<u8> {
    if depth == 0 { vec![0x70, 0x79] } else { [&[0x70], leb(depth).as_slice()].concat() }
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

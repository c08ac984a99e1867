//! Components that are small and cost a compiler, a validator or a reader dearly: one function a bomb.
//!
//! Nothing is needed to make them but this file, so that unit tests of other crates can include it as a module.
//! Every bomb but those of [`NOT_A_COMPONENT`] is a component that exports a function `run`, so that it is refused for
//! what it costs and for nothing else.

/// A bomb by its name, for tests that go through all of them.
pub type Bomb = (&'static str, fn() -> Vec<u8>);

/// Bombs that are small to write and dear to compile.
pub const COMPILING: &[Bomb] = &[
    ("instances", instances),
    ("many-functions", many_functions),
    ("branches", branches),
    ("additions", additions),
    ("branch-tables", branch_tables),
    ("nested-loops", nested_loops),
    ("joins", joins),
    ("loop-phis", loop_phis),
    ("many-locals", many_locals),
    ("many-calls", many_calls),
    ("many-modules", many_modules),
    ("canonical-functions", canonical_functions),
];

/// Bombs that are dear to read and to describe.
pub const READING: &[Bomb] = &[
    ("many-types", many_types),
    ("many-core-types", many_core_types),
    ("many-exports", many_exports),
    ("many-core-exports", many_core_exports),
    ("many-imports", many_imports),
    ("long-name", long_name),
    ("long-core-name", long_core_name),
    ("deep-components", deep_components),
    ("deep-types", deep_types),
    ("type-chain", type_chain),
    ("wide-record", wide_record),
    ("large-section", large_section),
    ("many-sections", many_sections),
    ("many-aliases", many_aliases),
    ("many-globals", many_globals),
    ("many-data", many_data),
    ("many-elements", many_elements),
    ("large-memory-image", large_memory_image),
];

/// What is not a component at all, and pretends to be something.
pub const NOT_A_COMPONENT: &[Bomb] = &[
    ("compiled-code", compiled_code),
    ("elf", elf),
    ("zip", zip),
    ("text", text),
    ("core-module", core_module),
    ("counts-without-items", counts_without_items),
];

/// Each component instantiates the one below twice, 24 levels: 16 million instances in 1.3 KB.
pub fn instances() -> Vec<u8> {
    instances_of(24)
}

/// Each component instantiates the one below twice, so many `levels`.
pub fn instances_of(levels: u32) -> Vec<u8> {
    let mut inner = COMPONENT.to_vec();
    section(&mut inner, 1, &core(&[]));
    section(&mut inner, 2, &[1, 0x00, 0, 0]);
    for _ in 0..levels {
        let mut outer = COMPONENT.to_vec();
        section(&mut outer, 4, &inner);
        section(&mut outer, 5, &[2, 0x00, 0, 0, 0x00, 0, 0]);
        inner = outer;
    }
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    section(&mut component, 4, &inner);
    section(&mut component, 5, &[1, 0x00, 0, 0]);
    component
}

/// 100,000 functions that do nothing: 8 s and 615 MiB to compile.
pub fn many_functions() -> Vec<u8> {
    many_functions_of(100_000)
}

/// So many functions that do nothing much.
pub fn many_functions_of(count: usize) -> Vec<u8> {
    let body: &[u8] = b"\x00\x41\x01\x41\x02\x6a\x1a\x0b";
    runnable(&core(&vec![body; count]))
}

/// 58 functions of a megabyte of additions each: more than 20 s of CPU time to compile.
pub fn much_code() -> Vec<u8> {
    let body = [b"\x01\x01\x7f", b"\x20\x00\x41\x01\x6a\x21\x00".repeat(142_857).as_slice(), b"\x0b"].concat();
    runnable(&core(&vec![body.as_slice(); 58]))
}

/// One function of 150,000 conditional branches: 44 s and 2.9 GiB to compile.
pub fn branches() -> Vec<u8> {
    branches_of(150_000)
}

/// One function of so many conditional branches out of a block each.
pub fn branches_of(count: usize) -> Vec<u8> {
    // block; local.get 0; br_if 0; local.get 0; i32.const 1; i32.add; local.set 0; end
    let piece = b"\x02\x40\x20\x00\x0d\x00\x20\x00\x41\x01\x6a\x21\x00\x0b";
    one_function(1, &piece.repeat(count))
}

/// One function of a million additions: 43 s and 1 GiB to compile.
pub fn additions() -> Vec<u8> {
    one_function(1, &b"\x20\x00\x41\x01\x6a\x21\x00".repeat(1_000_000))
}

/// A hundred jump tables of 10,000 targets: 4 s and 689 MiB to compile.
pub fn branch_tables() -> Vec<u8> {
    branch_tables_of(100, 10_000)
}

/// So many jump tables of so many targets, in one function.
pub fn branch_tables_of(tables: usize, targets: usize) -> Vec<u8> {
    // block; local.get 0; br_table 0 × targets, 0; end
    let mut piece = b"\x02\x40\x20\x00\x0e".to_vec();
    number(&mut piece, targets);
    piece.resize(piece.len() + targets + 1, 0);
    piece.push(0x0b);
    one_function(1, &piece.repeat(tables))
}

/// 20,000 loops inside each other in 154 KiB: 31 s to compile, then an error.
pub fn nested_loops() -> Vec<u8> {
    nested_loops_of(20_000)
}

/// So many loops inside each other.
pub fn nested_loops_of(depth: usize) -> Vec<u8> {
    let mut code = b"\x03\x40\x20\x00\x0d\x00".repeat(depth);
    code.resize(code.len() + depth, 0x0b);
    one_function(1, &code)
}

/// A function of 1,000 locals that meet again after each of 40,000 branches.
pub fn joins() -> Vec<u8> {
    joins_of(1_000, 30_000)
}

/// A function of so many `locals`, one of which is set on one of two ways, so many times; all are used in the end.
pub fn joins_of(locals: usize, joins: usize) -> Vec<u8> {
    let mut code = Vec::new();
    for join in 0..joins {
        // local.get i; if; local.get i + 1; i32.const 1; i32.add; local.set i; end
        get(&mut code, join % locals);
        code.extend(b"\x04\x40");
        get(&mut code, (join + 1) % locals);
        code.extend(b"\x41\x01\x6a\x21");
        number(&mut code, join % locals);
        code.push(0x0b);
    }
    one_function(locals, &code)
}

/// 18 KB of loops inside each other, in which 1,000 locals change.
pub fn loop_phis() -> Vec<u8> {
    loop_phis_of(1_000, 1_200)
}

/// So many loops inside each other, in the innermost of which so many locals change.
pub fn loop_phis_of(locals: usize, loops: usize) -> Vec<u8> {
    let mut code = b"\x03\x40".repeat(loops);
    for local in 0..locals {
        get(&mut code, local);
        code.extend(b"\x41\x01\x6a\x21");
        number(&mut code, local);
    }
    // local.get 0; br_if 0; end
    code.extend(b"\x20\x00\x0d\x00\x0b".repeat(loops));
    one_function(locals, &code)
}

/// As many locals as WebAssembly allows in each of a hundred functions.
pub fn many_locals() -> Vec<u8> {
    let mut body = vec![1];
    number(&mut body, 49_999);
    body.extend(b"\x7e\x0b");
    runnable(&core(&vec![body.as_slice(); 100]))
}

/// A function that calls itself with a thousand arguments, 2,000 times.
pub fn many_calls() -> Vec<u8> {
    let mut code = Vec::new();
    for _ in 0..2_000 {
        code.extend(b"\x41\x00".repeat(1_000));
        code.extend(b"\x10\x01");
    }
    let mut many = vec![0];
    many.extend(&code);
    many.push(0x0b);
    let mut types = vec![2, 0x60, 0, 0, 0x60];
    number(&mut types, 1_000);
    types.resize(types.len() + 1_000, 0x7f);
    types.push(0);
    let mut module = CORE.to_vec();
    section(&mut module, 1, &types);
    section(&mut module, 3, &[2, 0, 1]);
    section(&mut module, 7, RUN_EXPORT);
    section(&mut module, 10, &bodies(&[b"\x00\x0b", &many]));
    runnable(&module)
}

/// Thousands of modules of one function, each of which is compiled on its own.
pub fn many_modules() -> Vec<u8> {
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    for _ in 0..20_000 {
        section(&mut component, 1, &core(&[b"\x00\x0b"]));
    }
    component
}

/// Thousands of functions lifted and lowered again: the compiler writes an adapter for each.
pub fn canonical_functions() -> Vec<u8> {
    const COUNT: usize = 50_000;
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    let mut items = Vec::new();
    for lifted in 0..COUNT {
        // canon lift core function 0 as type 0, then canon lower it.
        items.extend(b"\x00\x00\x00\x00\x00");
        items.extend(b"\x01\x00");
        number(&mut items, lifted + 2);
        items.push(0);
    }
    section(&mut component, 8, &vector(2 * COUNT, &items));
    component
}

/// A million types.
pub fn many_types() -> Vec<u8> {
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    // list<u8>
    section(&mut component, 7, &vector(1_000_000, &b"\x70\x7d".repeat(1_000_000)));
    component
}

/// A million types of functions in a core module.
pub fn many_core_types() -> Vec<u8> {
    let mut module = CORE.to_vec();
    section(&mut module, 1, &vector(1_000_000, &b"\x60\x00\x00".repeat(1_000_000)));
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 7, RUN_EXPORT);
    section(&mut module, 10, &bodies(&[b"\x00\x0b"]));
    runnable(&module)
}

/// A hundred thousand exported functions.
pub fn many_exports() -> Vec<u8> {
    const COUNT: usize = 100_000;
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    let mut items = Vec::new();
    for index in 0..COUNT {
        items.push(0x00);
        name(&mut items, &format!("run-f{index}"));
        items.extend(b"\x01\x00\x00");
    }
    section(&mut component, 11, &vector(COUNT, &items));
    component
}

/// A million exports of a core module.
pub fn many_core_exports() -> Vec<u8> {
    const COUNT: usize = 1_000_000;
    let mut items = RUN_EXPORT[1..].to_vec();
    for index in 1..COUNT {
        name(&mut items, &format!("f{index}"));
        items.extend(b"\x00\x00");
    }
    let mut module = CORE.to_vec();
    section(&mut module, 1, RUN_TYPE);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 7, &vector(COUNT, &items));
    section(&mut module, 10, &bodies(&[b"\x00\x0b"]));
    runnable(&module)
}

/// A hundred thousand imported functions.
pub fn many_imports() -> Vec<u8> {
    const COUNT: usize = 100_000;
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    let mut items = Vec::new();
    for index in 0..COUNT {
        items.push(0x00);
        name(&mut items, &format!("f{index}"));
        items.extend(b"\x01\x00");
    }
    section(&mut component, 10, &vector(COUNT, &items));
    component
}

/// An exported function with a name of 100 KB.
pub fn long_name() -> Vec<u8> {
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    let mut items = vec![0x00];
    name(&mut items, &"a".repeat(99_999));
    items.extend(b"\x01\x00\x00");
    section(&mut component, 11, &vector(1, &items));
    component
}

/// A core module that exports a name of 10 MB.
pub fn long_core_name() -> Vec<u8> {
    let mut items = RUN_EXPORT[1..].to_vec();
    name(&mut items, &"a".repeat(10_000_000));
    items.extend(b"\x00\x00");
    let mut module = CORE.to_vec();
    section(&mut module, 1, RUN_TYPE);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 7, &vector(2, &items));
    section(&mut module, 10, &bodies(&[b"\x00\x0b"]));
    runnable(&module)
}

/// A thousand components inside each other.
pub fn deep_components() -> Vec<u8> {
    deep_components_of(1_000)
}

/// So many components inside each other.
pub fn deep_components_of(depth: usize) -> Vec<u8> {
    let mut inner = COMPONENT.to_vec();
    for _ in 0..depth {
        let mut outer = COMPONENT.to_vec();
        section(&mut outer, 4, &inner);
        inner = outer;
    }
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    section(&mut component, 4, &inner);
    component
}

/// A type of a component whose only member is the type of a component, and so on, a thousand times.
pub fn deep_types() -> Vec<u8> {
    let mut inner = vec![0x41, 0];
    for _ in 0..1_000 {
        let mut outer = vec![0x41, 1, 0x01];
        outer.append(&mut inner);
        inner = outer;
    }
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    section(&mut component, 7, &vector(1, &inner));
    component
}

/// A function whose parameter is a list of a list of a list, a thousand times.
pub fn type_chain() -> Vec<u8> {
    const DEPTH: usize = 1_000;
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    // Type 0 is that of `run`. Then list<u8>, and lists of the type before.
    let mut items = b"\x70\x7d".to_vec();
    for index in 1..DEPTH {
        items.push(0x70);
        signed(&mut items, index);
    }
    section(&mut component, 7, &vector(DEPTH, &items));
    component
}

/// A record of 100,000 fields.
pub fn wide_record() -> Vec<u8> {
    const FIELDS: usize = 100_000;
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    let mut item = vec![0x72];
    number(&mut item, FIELDS);
    for index in 0..FIELDS {
        name(&mut item, &format!("f{index}"));
        item.push(0x7d);
    }
    section(&mut component, 7, &vector(1, &item));
    component
}

/// 60 MB of names of functions, for which there are no functions.
pub fn large_section() -> Vec<u8> {
    with_section(runnable(&core(&[b"\x00\x0b"])), "name", &vec![b'a'; 60_000_000])
}

/// A million custom sections.
pub fn many_sections() -> Vec<u8> {
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    component.extend(b"\x00\x02\x01a".repeat(1_000_000));
    component
}

/// A hundred thousand second names for the same core function.
pub fn many_aliases() -> Vec<u8> {
    let mut component = runnable(&core(&[b"\x00\x0b"]));
    section(&mut component, 6, &vector(100_000, &b"\x00\x00\x01\x00\x03run".repeat(100_000)));
    component
}

/// A million globals.
pub fn many_globals() -> Vec<u8> {
    let mut module = CORE.to_vec();
    section(&mut module, 1, RUN_TYPE);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 6, &vector(1_000_000, &b"\x7f\x00\x41\x00\x0b".repeat(1_000_000)));
    section(&mut module, 7, RUN_EXPORT);
    section(&mut module, 10, &bodies(&[b"\x00\x0b"]));
    runnable(&module)
}

/// A million pieces of data of one byte.
pub fn many_data() -> Vec<u8> {
    let mut module = CORE.to_vec();
    section(&mut module, 1, RUN_TYPE);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 5, &[1, 0, 1]);
    section(&mut module, 7, RUN_EXPORT);
    section(&mut module, 10, &bodies(&[b"\x00\x0b"]));
    section(&mut module, 11, &vector(90_000, &b"\x00\x41\x00\x0b\x01a".repeat(90_000)));
    runnable(&module)
}

/// A table of ten million elements, filled one by one at the start.
pub fn many_elements() -> Vec<u8> {
    let mut module = CORE.to_vec();
    section(&mut module, 1, RUN_TYPE);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 4, b"\x01\x70\x00\x80\xad\xe2\x04");
    section(&mut module, 7, RUN_EXPORT);
    let mut elements = b"\x00\x41\x00\x0b".to_vec();
    number(&mut elements, 9_000_000);
    elements.resize(elements.len() + 9_000_000, 0);
    section(&mut module, 9, &vector(1, &elements));
    section(&mut module, 10, &bodies(&[b"\x00\x0b"]));
    runnable(&module)
}

/// Two bytes of data four gigabytes apart: an image of the memory would hold all between them.
pub fn large_memory_image() -> Vec<u8> {
    let mut module = CORE.to_vec();
    section(&mut module, 1, RUN_TYPE);
    section(&mut module, 3, &[1, 0]);
    // 65,536 pages.
    section(&mut module, 5, b"\x01\x00\x80\x80\x04");
    section(&mut module, 7, RUN_EXPORT);
    section(&mut module, 10, &bodies(&[b"\x00\x0b"]));
    section(&mut module, 11, b"\x02\x00\x41\x00\x0b\x01a\x00\x41\x7f\x0b\x01a");
    runnable(&module)
}

/// A parameter whose type is a record that holds the record below twice, so many `levels`.
///
/// Written out it has two to the power of `levels` fields. Eighteen levels are 355 bytes.
pub fn doubling_type(levels: u8) -> Vec<u8> {
    let mut module = CORE.to_vec();
    // (func (param i32) (result i32)) for `realloc` is not needed: a record of that many flattened fields is passed
    // in memory, so the module has a memory, a `realloc` and the function.
    section(&mut module, 1, b"\x02\x60\x01\x7f\x00\x60\x04\x7f\x7f\x7f\x7f\x01\x7f");
    section(&mut module, 3, &[2, 0, 1]);
    section(&mut module, 5, &[1, 0, 1]);
    section(&mut module, 7, b"\x03\x03run\x00\x00\x07realloc\x00\x01\x03mem\x02\x00");
    section(&mut module, 10, &bodies(&[b"\x00\x0b", b"\x00\x00\x0b"]));
    let mut component = COMPONENT.to_vec();
    section(&mut component, 1, &module);
    section(&mut component, 2, &[1, 0x00, 0, 0]);
    section(&mut component, 6, b"\x03\x00\x00\x01\x00\x03run\x00\x00\x01\x00\x07realloc\x00\x02\x01\x00\x03mem");
    let mut count = 0;
    let mut items = b"\x72\x01\x01a\x7d".to_vec();
    count += 1;
    section(&mut component, 7, &vector(1, &items));
    section(&mut component, 11, b"\x01\x00\x02t0\x03\x00\x00");
    for level in 1..=levels {
        // The record below is known by the index of its export: each level takes one index for its type and one for
        // its export.
        let below = 2 * level - 1;
        items = b"\x72\x02\x01a".to_vec();
        signed(&mut items, usize::from(below));
        items.extend(b"\x01b");
        signed(&mut items, usize::from(below));
        section(&mut component, 7, &vector(1, &items));
        let mut export = vec![0x00];
        name(&mut export, &format!("t{level}"));
        export.extend(b"\x03");
        number(&mut export, usize::from(2 * level));
        export.push(0);
        section(&mut component, 11, &vector(1, &export));
        count += 1;
    }
    let mut function = b"\x40\x01\x01x".to_vec();
    signed(&mut function, 2 * count - 1);
    function.extend(b"\x01\x00");
    section(&mut component, 7, &vector(1, &function));
    let mut lift = b"\x00\x00\x00\x02\x03\x00\x04\x01".to_vec();
    number(&mut lift, 2 * count);
    section(&mut component, 8, &vector(1, &lift));
    section(&mut component, 11, b"\x01\x00\x03run\x01\x00\x00");
    component
}

/// A component with this function body, that many locals and a function `run` which calls nothing.
fn one_function(locals: usize, code: &[u8]) -> Vec<u8> {
    let mut body = vec![1];
    number(&mut body, locals);
    body.push(0x7f);
    body.extend(code);
    body.push(0x0b);
    runnable(&core(&[&body]))
}

/// `component` with one more custom section.
pub fn with_section(mut component: Vec<u8>, title: &str, content: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    name(&mut data, title);
    data.extend(content);
    section(&mut component, 0, &data);
    component
}

/// A component that carries this documentation of its function `run`, as WIT tools write it.
pub fn documented(docs: &str) -> Vec<u8> {
    let mut escaped = String::new();
    for unit in docs.encode_utf16() {
        escaped.push_str(&format!("\\u{unit:04x}"));
    }
    let json = format!("\u{1}{{\"worlds\":{{\"w\":{{\"func_exports\":{{\"run\":\"{escaped}\"}}}}}}}}");
    with_section(plain(), "package-docs", json.as_bytes())
}

/// A component whose functions trap three deep, the innermost called `title` in its `name` section.
pub fn traps_in(title: &str) -> Vec<u8> {
    // run calls middle, middle calls the innermost.
    let mut module = core(&[b"\x00\x10\x01\x0b", b"\x00\x10\x02\x0b", b"\x00\x00\x0b"]);
    let mut functions = vec![3, 0];
    name(&mut functions, "run");
    functions.push(1);
    name(&mut functions, "middle");
    functions.push(2);
    name(&mut functions, title);
    let mut names = Vec::new();
    section(&mut names, 1, &functions);
    module = with_section(module, "name", &names);
    runnable(&module)
}

/// A component that does nothing, and nothing bad.
pub fn plain() -> Vec<u8> {
    runnable(&core(&[b"\x00\x0b"]))
}

/// The start of compiled code, as the cache holds it.
pub fn compiled_code() -> Vec<u8> {
    elf()
}

/// The start of a program.
pub fn elf() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00".to_vec();
    file.resize(4096, 0);
    file
}

/// An empty archive.
pub fn zip() -> Vec<u8> {
    let mut file = b"PK\x05\x06".to_vec();
    file.resize(22, 0);
    file
}

/// A component in text.
pub fn text() -> Vec<u8> {
    b"(component)".to_vec()
}

/// A core module.
pub fn core_module() -> Vec<u8> {
    core(&[b"\x00\x0b"])
}

/// Sections that claim four billion items and hold none.
pub fn counts_without_items() -> Vec<u8> {
    let mut component = COMPONENT.to_vec();
    for id in [2, 5, 6, 7, 8, 10, 11] {
        section(&mut component, id, b"\xff\xff\xff\xff\x0f");
    }
    component
}

const CORE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// One type: no parameters, no results.
const RUN_TYPE: &[u8] = b"\x01\x60\x00\x00";
const RUN_EXPORT: &[u8] = b"\x01\x03run\x00\x00";

/// A core module of these function bodies, the first of which is exported as `run`.
fn core(functions: &[&[u8]]) -> Vec<u8> {
    let mut module = CORE.to_vec();
    section(&mut module, 1, RUN_TYPE);
    if functions.is_empty() {
        return module;
    }
    section(&mut module, 3, &vector(functions.len(), &vec![0; functions.len()]));
    section(&mut module, 7, RUN_EXPORT);
    section(&mut module, 10, &bodies(functions));
    module
}

fn bodies(functions: &[&[u8]]) -> Vec<u8> {
    let mut code = Vec::new();
    for body in functions {
        number(&mut code, body.len());
        code.extend(*body);
    }
    vector(functions.len(), &code)
}

/// A component around this core module, whose `run` it exports.
fn runnable(module: &[u8]) -> Vec<u8> {
    let mut component = COMPONENT.to_vec();
    section(&mut component, 1, module);
    // (core instance (instantiate 0))
    section(&mut component, 2, &[1, 0x00, 0, 0]);
    // (alias core export 0 "run" (core func))
    section(&mut component, 6, b"\x01\x00\x00\x01\x00\x03run");
    // (type (func))
    section(&mut component, 7, b"\x01\x40\x00\x01\x00");
    // (canon lift 0 (type 0))
    section(&mut component, 8, b"\x01\x00\x00\x00\x00\x00");
    // (export "run" (func 0))
    section(&mut component, 11, b"\x01\x00\x03run\x01\x00\x00");
    component
}

fn section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    number(to, content.len());
    to.extend(content);
}

fn vector(count: usize, items: &[u8]) -> Vec<u8> {
    let mut vector = Vec::with_capacity(items.len() + 5);
    number(&mut vector, count);
    vector.extend(items);
    vector
}

fn name(to: &mut Vec<u8>, text: &str) {
    number(to, text.len());
    to.extend(text.as_bytes());
}

fn get(to: &mut Vec<u8>, local: usize) {
    to.push(0x20);
    number(to, local);
}

/// LEB128, unsigned.
fn number(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// LEB128 of a number that is not negative, where a signed one is read: an index among value types.
fn signed(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x40 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

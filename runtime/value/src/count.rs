//! Counting what is in a component before anything builds its types or compiles it.
//!
//! A few hundred bytes can describe millions of instances, and a function of 17 KB can keep a compiler busy for
//! minutes. Counting takes time in proportion to the file, allocates next to nothing, and refuses what no honest toolchain produces.
//!
//! What it cannot tell is left to the bounds on time and memory of the process that compiles: many ordinary functions,
//! each within its bounds. 80,000 small functions in 800 KB take 10 s; a component of 18 MB that holds a Python
//! interpreter takes 20 s and has every right to.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, FunctionBody, Instance, Operator, Parser, Payload,
};

use crate::describe::{DescribeError, fault};

/// A quantity that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quantity {
    /// Components and modules inside each other.
    Depth,
    /// Components inside the component, at any depth.
    Components,
    /// Core modules in all.
    Modules,
    /// Instances that instantiating the component makes, core ones included, multiplied out.
    Instances,
    /// Aliases, canonical functions, imports, exports and arguments of all these instances, multiplied out.
    Items,
    /// Types of components, in all.
    Types,
    /// Types that may stand inside one type.
    TypeDepth,
    /// Types of core functions, in all.
    CoreTypes,
    /// Imports of components, in all.
    Imports,
    /// Exports of components, in all.
    Exports,
    /// Aliases, in all.
    Aliases,
    /// Canonical functions, in all.
    Canonicals,
    /// Imports of core modules, in all.
    CoreImports,
    /// Exports of core modules, in all.
    CoreExports,
    /// Core functions with a body, in all.
    Functions,
    /// Tables, in all.
    Tables,
    /// Memories, in all.
    Memories,
    /// Globals, in all.
    Globals,
    /// Segments of data, in all.
    Data,
    /// Elements of tables that segments fill, in all.
    Elements,
    /// Custom sections, in all.
    CustomSections,
    /// Bytes of custom sections, in all.
    CustomBytes,
    /// Bytes of sections of names, in all.
    NameBytes,
    /// Bytes of one imported or exported name.
    NameLength,
    /// Bytes of one function.
    BodyBytes,
    /// Local variables of one function.
    Locals,
    /// Blocks, loops and conditionals inside each other in one function.
    Nesting,
    /// Loops inside each other in one function.
    LoopNesting,
    /// Targets of all branches of one function.
    Targets,
    /// Local variables times blocks, loops and conditionals of one function.
    Joins,
    /// Local variables times loops of one function.
    LoopJoins,
}

/// The most that a component may have of something.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Of what.
    pub quantity: Quantity,
    /// The same in words that follow "too many".
    pub what: &'static str,
    /// How many are allowed.
    pub most: u64,
    /// Why so many.
    pub why: &'static str,
}

/// How many there are of each [`Quantity`] in a component; of those of one function, name or type, the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts([u64; Self::BOUNDS.len()]);

const fn bound(quantity: Quantity, what: &'static str, most: u64, why: &'static str) -> Bound {
    Bound { quantity, what, most, why }
}

impl Counts {
    /// Every bound, with its reason. "Seen" is the most in components that hold CPython, SpiderMonkey, QuickJS or Rust.
    pub const BOUNDS: [Bound; 31] = [
        bound(Quantity::Depth, "levels of components inside each other", 32, "each composition adds one"),
        bound(Quantity::Components, "components inside it", 500, "seen: 3; one for each exported interface"),
        bound(Quantity::Modules, "core modules", 200, "seen: 14; each is compiled on its own"),
        bound(
            Quantity::Instances,
            "instances, multiplied out",
            1_000,
            "seen: 65; a call may make 100 core instances, and 16 million fit into 600 bytes",
        ),
        bound(
            Quantity::Items,
            "aliases, exports, arguments and the like, multiplied out",
            100_000,
            "the compiler goes through all of them for each instance",
        ),
        bound(Quantity::Types, "types", 20_000, "seen: 113; ten thousand can be described"),
        bound(
            Quantity::TypeDepth,
            "types inside types",
            1_000,
            "they are read by recursion, which a thousand levels do not exhaust",
        ),
        bound(Quantity::CoreTypes, "types of core functions", 50_000, "seen: 1,097"),
        bound(Quantity::Imports, "imports", 10_000, "seen: 42; the outermost component may have a thousand"),
        bound(Quantity::Exports, "exports", 10_000, "seen: 19; the outermost component may have a thousand"),
        bound(Quantity::Aliases, "aliases", 20_000, "seen: 1,333"),
        bound(Quantity::Canonicals, "canonical functions", 10_000, "seen: 122; each costs an adapter"),
        bound(Quantity::CoreImports, "imports of core modules", 100_000, "seen: 2,246"),
        bound(Quantity::CoreExports, "exports of core modules", 100_000, "seen: 4,182"),
        bound(
            Quantity::Functions,
            "core functions",
            80_000,
            "seen: 13,331; so many of a few instructions take half of the time that compiling may take",
        ),
        bound(Quantity::Tables, "tables", 200, "seen: 2; a call may have 32"),
        bound(Quantity::Memories, "memories", 100, "seen: 2; a call may have 8"),
        bound(Quantity::Globals, "globals", 100_000, "seen: 871"),
        bound(Quantity::Data, "segments of data", 90_000, "seen: 10,000"),
        bound(
            Quantity::Elements,
            "elements of tables",
            500_000,
            "seen: 7,737; compiling takes 250 bytes of memory for each, and a call may have 100,000",
        ),
        bound(Quantity::CustomSections, "custom sections", 10_000, "seen: 24"),
        bound(
            Quantity::CustomBytes,
            "bytes of custom sections",
            48 << 20,
            "seen: 400,000, and tens of millions in builds for debugging; they are kept, hashed and sent, and never used",
        ),
        bound(
            Quantity::NameBytes,
            "bytes of names for debugging",
            8 << 20,
            "seen: 334,331; the engine keeps them in memory for the frames of a trap",
        ),
        bound(
            Quantity::NameLength,
            "bytes in the name of an import or export",
            4_096,
            "seen: 162; mangled names of C++ grow long",
        ),
        bound(
            Quantity::BodyBytes,
            "bytes in one function",
            1 << 20,
            "seen: 426,843; 7 MB of additions take 9 s and 0.9 GiB to compile, 2 MB of branches 8 s and 1.2 GiB",
        ),
        bound(Quantity::Locals, "locals in one function", 10_000, "seen: 271; builds without optimisation have more"),
        bound(
            Quantity::Nesting,
            "blocks inside each other in one function",
            5_000,
            "seen: 781, from the cases of one large `switch`",
        ),
        bound(
            Quantity::LoopNesting,
            "loops inside each other in one function",
            100,
            "seen: 21; 20,000 take 25 s to compile, and every local costs anew in each",
        ),
        bound(
            Quantity::Targets,
            "targets of branches in one function",
            100_000,
            "seen: 15,943; 150,000 branches take 8 s and 1.2 GiB to compile",
        ),
        bound(
            Quantity::Joins,
            "locals times blocks in one function",
            4_000_000,
            "seen: 194,228; each local can have a new value after each block: 5 million take 7 s and 0.7 GiB to compile",
        ),
        bound(
            Quantity::LoopJoins,
            "locals times loops in one function",
            200_000,
            "seen: 46,256; each local can have a new value in each loop: half a million can take 22 s to compile",
        ),
    ];

    /// Count what is in the component in `bytes`.
    ///
    /// The numbers are right for what is valid; of what is not, the validator tells afterwards.
    ///
    /// # Errors
    ///
    /// When there is more of something than [`Counts::BOUNDS`] allow, the sections cannot be told apart, or components
    /// are passed around as values, so that nobody can say how many instances there will be.
    pub fn of(bytes: &[u8]) -> Result<Self, DescribeError> {
        let mut counter = Counter { bytes, counts: Self([0; Self::BOUNDS.len()]), levels: Vec::new() };
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(|error| fault(&error, bytes))?;
            counter.payload(&payload).map_err(|stop| match stop {
                Stop::Refused(error) => error,
                Stop::Fault(error) => fault(&error, bytes),
            })?;
        }
        Ok(counter.counts)
    }

    /// How many there are of `quantity`.
    #[must_use]
    pub fn get(&self, quantity: Quantity) -> u64 {
        self.0[quantity as usize]
    }

    fn add(&mut self, quantity: Quantity, more: u64) -> Result<(), DescribeError> {
        self.raise(quantity, self.get(quantity).saturating_add(more))
    }

    /// Note that one thing has so many; the largest counts.
    fn raise(&mut self, quantity: Quantity, found: u64) -> Result<(), DescribeError> {
        let Bound { what, most, .. } = Self::BOUNDS[quantity as usize];
        if found > most {
            return Err(DescribeError::TooMany { what, found, most });
        }
        let count = &mut self.0[quantity as usize];
        *count = (*count).max(found);
        Ok(())
    }
}

/// Why counting ended early.
enum Stop {
    Refused(DescribeError),
    Fault(BinaryReaderError),
}

impl From<DescribeError> for Stop {
    fn from(error: DescribeError) -> Self {
        Self::Refused(error)
    }
}

impl From<BinaryReaderError> for Stop {
    fn from(error: BinaryReaderError) -> Self {
        Self::Fault(error)
    }
}

/// What instantiating a component once comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    instances: u64,
    items: u64,
}

/// A component that is being read, or a module.
#[derive(Default)]
struct Level {
    weight: Weight,
    /// What can be instantiated by index. Nothing, where it only becomes known when the component runs.
    components: Vec<Option<Weight>>,
    is_module: bool,
}

struct Counter<'a> {
    bytes: &'a [u8],
    counts: Counts,
    levels: Vec<Level>,
}

impl Counter<'_> {
    fn payload(&mut self, payload: &Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(*encoding)?,
            Payload::End(_) => self.end()?,
            Payload::ModuleSection { .. } => self.counts.add(Quantity::Modules, 1)?,
            Payload::ComponentSection { .. } => self.counts.add(Quantity::Components, 1)?,
            Payload::CustomSection(section) => self.custom(section.name(), section.data().len())?,
            Payload::CodeSectionEntry(body) => self.function(body)?,
            _ if self.levels.last().is_some_and(|level| level.is_module) => self.module(payload)?,
            _ => self.component(payload)?,
        }
        Ok(())
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), Stop> {
        let is_module = encoding == Encoding::Module;
        self.levels.push(Level { is_module, ..Level::default() });
        Ok(self.counts.raise(Quantity::Depth, self.levels.len() as u64)?)
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(Level { weight, is_module, .. }) = self.levels.pop() else { return Ok(()) };
        match self.levels.last_mut() {
            Some(outer) if !is_module => outer.components.push(Some(weight)),
            Some(_) => {}
            None => {
                self.counts.raise(Quantity::Instances, weight.instances)?;
                self.counts.raise(Quantity::Items, weight.items)?;
            }
        }
        Ok(())
    }

    fn custom(&mut self, name: &str, len: usize) -> Result<(), Stop> {
        self.counts.add(Quantity::CustomSections, 1)?;
        self.counts.add(Quantity::CustomBytes, len as u64)?;
        if name == "name" || name == "component-name" {
            self.counts.add(Quantity::NameBytes, len as u64)?;
        }
        Ok(())
    }

    fn component(&mut self, payload: &Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    self.instance(match instance? {
                        Instance::Instantiate { args, .. } => (1, args.len()),
                        Instance::FromExports(exports) => (1, exports.len()),
                    });
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    match instance? {
                        ComponentInstance::Instantiate { component_index, args } => {
                            self.instantiate(component_index)?;
                            self.instance((1, args.len()));
                        }
                        ComponentInstance::FromExports(exports) => self.instance((1, exports.len())),
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                self.items(Quantity::Aliases, section.count())?;
                for alias in section.clone() {
                    self.alias(&alias?);
                }
            }
            Payload::ComponentCanonicalSection(section) => self.items(Quantity::Canonicals, section.count())?,
            Payload::ComponentImportSection(section) => {
                self.items(Quantity::Imports, section.count())?;
                for import in section.clone() {
                    let import = import?;
                    self.counts.raise(Quantity::NameLength, import.name.name.len() as u64)?;
                    if let ComponentTypeRef::Component(_) = import.ty {
                        self.push(None);
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                self.items(Quantity::Exports, section.count())?;
                for export in section.clone() {
                    let export = export?;
                    self.counts.raise(Quantity::NameLength, export.name.name.len() as u64)?;
                    if export.kind == ComponentExternalKind::Component {
                        self.push(self.known(0, export.index));
                    }
                }
            }
            Payload::ComponentTypeSection(section) => {
                self.items(Quantity::Types, section.count())?;
                let depth = types_inside(self.bytes.get(section.range()).unwrap_or_default());
                self.counts.raise(Quantity::TypeDepth, depth)?;
            }
            Payload::CoreTypeSection(section) => self.items(Quantity::CoreTypes, section.count())?,
            _ => {}
        }
        Ok(())
    }

    fn module(&mut self, payload: &Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::TypeSection(section) => self.counts.add(Quantity::CoreTypes, section.count().into())?,
            Payload::ImportSection(section) => {
                self.counts.add(Quantity::CoreImports, section.count().into())?;
                for import in section.clone().into_imports() {
                    let import = import?;
                    self.counts.raise(Quantity::NameLength, import.module.len().max(import.name.len()) as u64)?;
                }
            }
            Payload::ExportSection(section) => {
                self.counts.add(Quantity::CoreExports, section.count().into())?;
                for export in section.clone() {
                    self.counts.raise(Quantity::NameLength, export?.name.len() as u64)?;
                }
            }
            Payload::FunctionSection(section) => self.counts.add(Quantity::Functions, section.count().into())?,
            Payload::TableSection(section) => self.counts.add(Quantity::Tables, section.count().into())?,
            Payload::MemorySection(section) => self.counts.add(Quantity::Memories, section.count().into())?,
            Payload::GlobalSection(section) => self.counts.add(Quantity::Globals, section.count().into())?,
            Payload::DataSection(section) => self.counts.add(Quantity::Data, section.count().into())?,
            Payload::ElementSection(section) => {
                for element in section.clone() {
                    let count = match element?.items {
                        wasmparser::ElementItems::Functions(items) => items.count(),
                        wasmparser::ElementItems::Expressions(_, items) => items.count(),
                    };
                    // One for the segment itself: empty ones cost too.
                    self.counts.add(Quantity::Elements, u64::from(count) + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Count `count` more of `quantity`, and among the items of the component that is being read.
    fn items(&mut self, quantity: Quantity, count: u32) -> Result<(), Stop> {
        self.counts.add(quantity, count.into())?;
        if let Some(level) = self.levels.last_mut() {
            level.weight.items = level.weight.items.saturating_add(count.into());
        }
        Ok(())
    }

    fn instance(&mut self, (instances, arguments): (u64, usize)) {
        let Some(level) = self.levels.last_mut() else { return };
        level.weight.instances = level.weight.instances.saturating_add(instances);
        level.weight.items = level.weight.items.saturating_add(arguments as u64);
    }

    /// Add what the component of this index comes to.
    fn instantiate(&mut self, index: u32) -> Result<(), Stop> {
        let weight = self.known(0, index).ok_or(DescribeError::ComponentAsValue)?;
        if let Some(level) = self.levels.last_mut() {
            level.weight.instances = level.weight.instances.saturating_add(weight.instances);
            level.weight.items = level.weight.items.saturating_add(weight.items);
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => self.push(None),
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                self.push(self.known(*count, *index));
            }
            _ => {}
        }
    }

    fn push(&mut self, weight: Option<Weight>) {
        if let Some(level) = self.levels.last_mut() {
            level.components.push(weight);
        }
    }

    /// What the component of this index, so many levels further out, comes to, if that is known.
    ///
    /// An index that does not exist weighs nothing: the validator refuses it with a better message.
    fn known(&self, outwards: u32, index: u32) -> Option<Weight> {
        let level = self.levels.len().checked_sub(1 + outwards as usize).and_then(|level| self.levels.get(level));
        level.and_then(|level| level.components.get(index as usize)).copied().unwrap_or(Some(Weight::default()))
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), Stop> {
        let bytes = body.range().len() as u64;
        self.counts.raise(Quantity::BodyBytes, bytes)?;
        let mut locals = 0_u64;
        for group in body.get_locals_reader()? {
            locals = locals.saturating_add(group?.0.into());
        }
        self.counts.raise(Quantity::Locals, locals)?;
        // Most functions are too short to reach any other bound: a loop takes three bytes.
        if bytes / 3 < Counts::BOUNDS[Quantity::LoopNesting as usize].most {
            return Ok(());
        }
        let flow = Flow::of(body)?;
        self.counts.raise(Quantity::LoopNesting, flow.loop_nesting)?;
        self.counts.raise(Quantity::Nesting, flow.nesting)?;
        self.counts.raise(Quantity::Targets, flow.targets)?;
        self.counts.raise(Quantity::Joins, locals.saturating_mul(flow.blocks))?;
        self.counts.raise(Quantity::LoopJoins, locals.saturating_mul(flow.loops))?;
        Ok(())
    }
}

/// The control flow of one function.
#[derive(Default)]
struct Flow {
    blocks: u64,
    loops: u64,
    nesting: u64,
    loop_nesting: u64,
    targets: u64,
}

impl Flow {
    fn of(body: &FunctionBody<'_>) -> Result<Self, BinaryReaderError> {
        let mut flow = Self::default();
        // Whether each open block is a loop. At most one for two bytes of a function of bounded size.
        let mut open = Vec::new();
        let mut open_loops = 0_u64;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::Block { .. } | Operator::If { .. } => open.push(false),
                Operator::Loop { .. } => {
                    flow.loops += 1;
                    open_loops += 1;
                    open.push(true);
                }
                Operator::End => {
                    flow.blocks += 1;
                    open_loops -= u64::from(open.pop() == Some(true));
                }
                Operator::Br { .. } | Operator::BrIf { .. } => flow.targets += 1,
                Operator::BrTable { targets } => flow.targets += u64::from(targets.len()) + 1,
                _ => {}
            }
            flow.nesting = flow.nesting.max(open.len() as u64);
            flow.loop_nesting = flow.loop_nesting.max(open_loops);
        }
        Ok(flow)
    }
}

/// No less than the types of components and instances that stand inside each other in this section.
///
/// Such a type inside another is a declaration (`0x01`) that starts with `0x41` or `0x42`. These pairs of bytes are
/// counted wherever they stand, so that hostile nesting is found without following it.
fn types_inside(section: &[u8]) -> u64 {
    section.windows(2).filter(|pair| matches!(pair, [0x01, 0x41 | 0x42])).count() as u64
}

#[cfg(test)]
#[path = "../../../tests/harness/bombs.rs"]
#[expect(dead_code, unreachable_pub, reason = "the end-to-end tests need more of it")]
mod bombs;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::describe;

    /// What counting says of a bomb that it refuses: which bound, and that it was passed.
    fn refused(bytes: &[u8]) -> Option<Quantity> {
        let Err(DescribeError::TooMany { what, found, most }) = Counts::of(bytes) else { return None };
        let bound = Counts::BOUNDS.iter().find(|bound| bound.what == what).unwrap();
        assert!(found > most && most == bound.most, "{what}");
        Some(bound.quantity)
    }

    #[test]
    fn bounds_stand_in_the_order_of_their_quantities() {
        for (index, bound) in Counts::BOUNDS.iter().enumerate() {
            assert_eq!(bound.quantity as usize, index, "{}", bound.what);
        }
    }

    #[test]
    fn the_reference_lists_every_bound() {
        let reference =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/reference/limits.md")).unwrap();

        for Bound { what, most, why, .. } in Counts::BOUNDS {
            let row = format!("| {what} | {most} | {why} |\n");
            assert!(reference.contains(&row), "the reference of limits must have this row:\n{row}");
        }
    }

    #[test]
    fn what_is_dear_to_compile_is_counted_out() {
        let found: Vec<_> = bombs::COMPILING.iter().map(|(name, bomb)| (*name, refused(&bomb()))).collect();

        assert_eq!(
            found,
            [
                ("instances", Some(Quantity::Instances)),
                ("many-functions", Some(Quantity::Functions)),
                ("branches", Some(Quantity::BodyBytes)),
                ("additions", Some(Quantity::BodyBytes)),
                ("branch-tables", Some(Quantity::Targets)),
                ("nested-loops", Some(Quantity::LoopNesting)),
                ("joins", Some(Quantity::Joins)),
                ("loop-phis", Some(Quantity::LoopNesting)),
                ("many-locals", Some(Quantity::Locals)),
                ("many-calls", Some(Quantity::BodyBytes)),
                ("many-modules", Some(Quantity::Modules)),
                ("canonical-functions", Some(Quantity::Canonicals)),
            ]
        );
    }

    #[test]
    fn what_is_dear_to_read_is_counted_out_or_cheap() {
        let found: Vec<_> = bombs::READING.iter().map(|(name, bomb)| (*name, refused(&bomb()))).collect();

        assert_eq!(
            found,
            [
                ("many-types", Some(Quantity::Types)),
                ("many-core-types", Some(Quantity::CoreTypes)),
                ("many-exports", Some(Quantity::Exports)),
                ("many-core-exports", Some(Quantity::CoreExports)),
                ("many-imports", Some(Quantity::Imports)),
                ("long-name", Some(Quantity::NameLength)),
                // The reader knows no string of that size.
                ("long-core-name", None),
                ("deep-components", Some(Quantity::Depth)),
                ("deep-types", Some(Quantity::TypeDepth)),
                // A type may nest a hundred deep, which the validator knows.
                ("type-chain", None),
                ("wide-record", None),
                ("large-section", Some(Quantity::CustomBytes)),
                ("many-sections", Some(Quantity::CustomSections)),
                ("many-aliases", Some(Quantity::Aliases)),
                ("many-globals", Some(Quantity::Globals)),
                ("many-data", None),
                ("many-elements", Some(Quantity::Elements)),
                // The compiler makes no image of memory that is far apart.
                ("large-memory-image", None),
            ]
        );
    }

    #[test]
    fn what_counting_lets_through_is_described_or_refused_and_never_panics() {
        for (name, bomb) in bombs::READING.iter().chain(bombs::NOT_A_COMPONENT) {
            let described = describe(&bomb());

            let serves = ["many-data", "large-memory-image"].contains(name);
            assert_eq!(described.is_ok(), serves, "{name}: {described:?}");
        }
    }

    #[test]
    fn instances_are_multiplied_out() {
        let count = |levels| Counts::of(&bombs::instances_of(levels)).map(|counts| counts.get(Quantity::Instances));

        // One of the module inside, and at each level two of the level below and the instances these make.
        assert_eq!(count(0), Ok(3));
        assert_eq!(count(1), Ok(6));
        assert_eq!(count(2), Ok(12));
        assert_eq!(count(8), Ok(768));
        assert!(count(9).is_err());
        assert_eq!(refused(&bombs::instances_of(24)), Some(Quantity::Instances));
        assert_eq!(refused(&bombs::instances_of(200)), Some(Quantity::Depth));
    }

    #[test]
    fn components_that_are_passed_around_are_refused() {
        let text = r#"(component
            (component $twice
                (import "c" (component $c))
                (component $d (alias outer $twice $c (component $c)) (instance (instantiate $c)) (instance (instantiate $c)))
                (export "d" (component $d))))"#;
        let component = wat::parse_str(text).unwrap();

        assert_eq!(Counts::of(&component), Err(DescribeError::ComponentAsValue));
    }

    #[test]
    fn a_component_known_from_further_out_is_multiplied_too() {
        let text = r#"(component
            (component $one (core module $m) (core instance (instantiate $m)))
            (component $two
                (alias outer 1 $one (component $c))
                (instance (instantiate $c)) (instance (instantiate $c)))
            (instance (instantiate $two)))"#;
        let component = wat::parse_str(text).unwrap();

        let counts = Counts::of(&component).unwrap();

        assert_eq!(counts.get(Quantity::Instances), 5);
        assert_eq!(counts.get(Quantity::Depth), 3);
    }

    #[test]
    fn honest_components_are_far_from_every_bound() {
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/demo")).unwrap() {
            let path = entry.unwrap().path();
            let counts = Counts::of(&fs::read(&path).unwrap()).unwrap();

            for bound in Counts::BOUNDS {
                let found = counts.get(bound.quantity);
                assert!(found * 5 <= bound.most, "{}: {found} {}", path.display(), bound.what);
            }
        }
    }

    #[test]
    fn a_component_cut_anywhere_is_refused_or_smaller_and_never_panics() {
        let whole = bombs::traps_in("inner");

        for length in 0..whole.len() {
            let described = describe(&whole[..length]);

            // Between two sections of the outermost level ends a smaller component.
            let offers = described.map_or(0, |interface| interface.functions.len());
            assert_eq!(offers, 0, "cut at {length}");
        }
        assert_eq!(describe(&whole).unwrap().functions.len(), 1);
    }

    #[test]
    fn a_component_with_any_byte_changed_never_panics() {
        let whole = bombs::doubling_type(5);
        assert_eq!(describe(&whole).unwrap().functions.len(), 1);

        for position in 0..whole.len() {
            for change in [0x01, 0x55, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[position] ^= change;
                let _ = describe(&damaged);
            }
        }
    }
}

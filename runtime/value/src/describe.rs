//! From the bytes of a component to its [`Interface`], without compiling it.

use std::collections::{HashMap, HashSet};

use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, Encoding, Parser, Payload, PrimitiveValType, ValidPayload, Validator,
    WasmFeatures,
    component_types::{
        ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType, ComponentFuncTypeId,
        ComponentInstanceTypeId, ComponentValType,
    },
    types::Types,
};

use crate::{
    count::Counts,
    docs::PackageDocs,
    types::{Case, Definition, Field, Function, Interface, Kind, Rejected, Type},
};

/// Most functions that one component may offer.
///
/// A person would not find their way among more, and every list, schema and OpenAPI page grows with them.
const MAX_FUNCTIONS: usize = 1_000;

/// Most types that the functions of one component may be made of.
const MAX_TYPES: usize = 10_000;

/// Longest name of anything in a component.
const MAX_NAME: usize = 256;

/// Most fields, cases, labels or parameters of one type or function.
const MAX_MEMBERS: usize = 1_000;

/// Most members that all types and functions of one component may have together.
const MAX_MEMBERS_IN_ALL: usize = 50_000;

/// The custom section in which a component carries its `tool.toml`.
pub const MANIFEST_SECTION: &str = "fumehood:tool.toml";

/// The custom section in which a component carries the documentation of its WIT.
pub const DOCS_SECTION: &str = "package-docs";

/// Largest `tool.toml` in a component; as beside one.
const MAX_MANIFEST: usize = 64 << 10;

/// Why bytes cannot be served as a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// Nothing was given.
    #[error("the file is empty")]
    Empty,
    /// WebAssembly text rather than binary.
    #[error("this is WebAssembly text, not binary: convert it with `wasm-tools parse`")]
    Text,
    /// Some other kind of file.
    #[error("this is not WebAssembly: it does not start with `\\0asm`")]
    NotWasm,
    /// A core module rather than a component.
    #[error(
        "this is a core WebAssembly module, not a component: build it for the target wasm32-wasip2, \
         or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The file ends too early.
    #[error("the file is cut off: it ends in the middle, at byte {offset}")]
    Truncated {
        /// Where it ends.
        offset: usize,
    },
    /// The file is damaged, or uses features that are not offered.
    #[error("the component is not valid at byte {offset}: {what}")]
    Invalid {
        /// Where the fault was found.
        offset: usize,
        /// What the validator says.
        what: String,
    },
    /// What another process found.
    #[error("{what}")]
    Reported {
        /// What it found, in its words.
        what: String,
    },
    /// There is more of something than we take.
    #[error("the component has too many {what}: {found} or more, and at most {most} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are at least.
        found: u64,
        /// How many are allowed.
        most: u64,
    },
    /// Nobody can say how much the component instantiates.
    #[error("the component instantiates a component that it is handed as a value, which is not offered")]
    ComponentAsValue,
}

/// Proposals beyond WebAssembly 2.0 that a component may use.
///
/// The same set as the engine is given. Garbage collection, threads, exceptions, 64-bit and multiple memories stay
/// out: each is attack surface that no guest toolchain of ours needs.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::TAIL_CALL | WasmFeatures::COMPONENT_MODEL
}

/// Read what the component in `bytes` offers and needs.
///
/// Function bodies are not looked at: the compiler validates them, under its own limits.
///
/// # Errors
///
/// When the bytes are not a component, or one that no host of this kind could serve.
pub fn describe(bytes: &[u8]) -> Result<Interface, DescribeError> {
    check_header(bytes)?;
    Counts::of(bytes)?;
    let Outline { types, exports, imports, docs, manifest } = Outline::read(bytes)?;
    let mut builder = Builder::new(&types, docs);
    builder.name_types(&imports);
    for (name, _) in &exports {
        builder.name_export(name);
    }
    let instances = exports.iter().filter(|(_, kind)| *kind == ComponentExternalKind::Instance);
    let instances = instances.map(|(name, _)| name.clone()).collect();
    for (name, kind) in exports {
        builder.add_export(&name, kind)?;
    }
    let mut interface = builder.finish();
    interface.manifest = manifest;
    interface.exports = instances;
    let needed = imports.into_iter().filter(|(name, is_type)| !is_type && !holds_only_types(&types, name));
    interface.imports = needed.map(|(name, _)| name).collect();
    Ok(interface)
}

fn check_header(bytes: &[u8]) -> Result<(), DescribeError> {
    if bytes.is_empty() {
        return Err(DescribeError::Empty);
    }
    if !bytes.starts_with(b"\0asm") {
        let start = bytes.trim_ascii_start();
        let text = start.starts_with(b"(component") || start.starts_with(b"(module") || start.starts_with(b";;");
        return Err(if text { DescribeError::Text } else { DescribeError::NotWasm });
    }
    if bytes.len() < 8 {
        return Err(DescribeError::Truncated { offset: bytes.len() });
    }
    Ok(())
}

/// The outermost level of a component.
struct Outline {
    types: Types,
    exports: Vec<(String, ComponentExternalKind)>,
    /// With whether it is a type, which needs nothing from a host.
    imports: Vec<(String, bool)>,
    docs: PackageDocs,
    manifest: Option<String>,
}

impl Outline {
    fn read(bytes: &[u8]) -> Result<Self, DescribeError> {
        let mut validator = Validator::new_with_features(features());
        let (mut exports, mut imports, mut docs) = (Vec::new(), Vec::new(), PackageDocs::default());
        let mut manifest = None;
        let mut depth = 0usize;
        let mut types = None;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(|error| fault(&error, bytes))?;
            if let Payload::Version { encoding: Encoding::Module, .. } = payload
                && depth == 0
            {
                return Err(DescribeError::CoreModule);
            }
            match validator.payload(&payload).map_err(|error| fault(&error, bytes))? {
                ValidPayload::Parser(_) => depth += 1,
                ValidPayload::End(end) if depth == 0 => types = Some(end),
                ValidPayload::End(_) => depth -= 1,
                ValidPayload::Ok | ValidPayload::Func(..) => {}
            }
            if depth > 0 {
                continue;
            }
            match payload {
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        let export = export.map_err(|error| fault(&error, bytes))?;
                        exports.push((export.name.name.to_owned(), export.kind));
                        bound(exports.len(), MAX_FUNCTIONS, "exports")?;
                        bound(export.name.name.len(), MAX_NAME, "characters in the name of an export")?;
                    }
                }
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        let import = import.map_err(|error| fault(&error, bytes))?;
                        let is_type = matches!(import.ty, ComponentTypeRef::Type(_));
                        imports.push((import.name.name.to_owned(), is_type));
                        bound(imports.len(), MAX_FUNCTIONS, "imports")?;
                        bound(import.name.name.len(), MAX_NAME, "characters in the name of an import")?;
                    }
                }
                Payload::CustomSection(section) if section.name() == DOCS_SECTION => {
                    docs = PackageDocs::parse(section.data());
                }
                Payload::CustomSection(section) if section.name() == MANIFEST_SECTION => {
                    bound(section.data().len(), MAX_MANIFEST, "bytes in its tool.toml")?;
                    let text = str::from_utf8(section.data()).map_err(|_| DescribeError::Invalid {
                        offset: section.data_offset(),
                        what: "its tool.toml is not UTF-8 text".to_owned(),
                    })?;
                    if manifest.replace(text.to_owned()).is_some() {
                        return Err(DescribeError::Invalid {
                            offset: section.data_offset(),
                            what: format!("it holds two sections `{MANIFEST_SECTION}`: keep one"),
                        });
                    }
                }
                _ => {}
            }
        }
        let types = types.ok_or(DescribeError::Truncated { offset: bytes.len() })?;
        Ok(Self { types, exports, imports, docs, manifest })
    }
}

pub(crate) fn fault(error: &wasmparser::BinaryReaderError, bytes: &[u8]) -> DescribeError {
    let (offset, what) = (error.offset(), error.message());
    if offset >= bytes.len() || what.contains("unexpected end") {
        return DescribeError::Truncated { offset: bytes.len() };
    }
    // The validator may quote names of the component: keep what it says short and printable.
    DescribeError::Invalid { offset, what: what.chars().take(300).flat_map(char::escape_debug).collect() }
}

fn bound(count: usize, most: usize, what: &'static str) -> Result<(), DescribeError> {
    if count > most {
        return Err(DescribeError::TooMany { what, found: count as u64, most: most as u64 });
    }
    Ok(())
}

/// Whether an imported interface holds nothing but types of values, which need nothing from a host.
fn holds_only_types(types: &Types, import: &str) -> bool {
    let Some(item) = types.component_item_for_import(import) else { return false };
    let ComponentEntityType::Instance(instance) = item.ty else { return false };
    types[instance]
        .exports
        .values()
        .all(|item| matches!(item.ty, ComponentEntityType::Type { created: ComponentAnyTypeId::Defined(_), .. }))
}

/// Why a type cannot cross the boundary.
enum Refusal {
    Type(&'static str),
    Bound(DescribeError),
}

struct Builder<'a> {
    source: &'a Types,
    docs: PackageDocs,
    names: HashMap<ComponentDefinedTypeId, String>,
    known: HashMap<ComponentDefinedTypeId, Type>,
    members: usize,
    interface: Interface,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Types, docs: PackageDocs) -> Self {
        Self { source, docs, names: HashMap::new(), known: HashMap::new(), members: 0, interface: Interface::default() }
    }

    /// Remember what imported types are called: an exported function may use them.
    fn name_types(&mut self, imports: &[(String, bool)]) {
        for (import, _) in imports {
            if let Some(item) = self.source.component_item_for_import(import) {
                self.name_entity(import, item.ty);
            }
        }
    }

    fn name_export(&mut self, export: &str) {
        if let Some(item) = self.source.component_item_for_export(export) {
            self.name_entity(export, item.ty);
        }
    }

    fn name_entity(&mut self, name: &str, entity: ComponentEntityType) {
        match entity {
            ComponentEntityType::Type { referenced, created } => {
                for id in [created, referenced] {
                    if let ComponentAnyTypeId::Defined(id) = id {
                        self.names.entry(id).or_insert_with(|| name.to_owned());
                    }
                }
            }
            ComponentEntityType::Instance(instance) => {
                for (name, item) in &self.source[instance].exports {
                    if let ComponentEntityType::Type { .. } = item.ty {
                        self.name_entity(name, item.ty);
                    }
                }
            }
            _ => {}
        }
    }

    fn add_export(&mut self, name: &str, kind: ComponentExternalKind) -> Result<(), DescribeError> {
        let Some(item) = self.source.component_item_for_export(name) else { return Ok(()) };
        match (kind, item.ty) {
            (_, ComponentEntityType::Func(function)) => self.add_function(None, name, function),
            (_, ComponentEntityType::Instance(instance)) => self.add_instance(name, instance),
            // A type is not callable and nobody expects it to be.
            (_, ComponentEntityType::Type { .. }) => Ok(()),
            (_, ComponentEntityType::Module(_) | ComponentEntityType::Component(_) | ComponentEntityType::Value(_)) => {
                self.reject(name.to_owned(), "only functions can become tools");
                Ok(())
            }
        }
    }

    fn add_instance(&mut self, interface: &str, instance: ComponentInstanceTypeId) -> Result<(), DescribeError> {
        let source = self.source;
        for (name, item) in &source[instance].exports {
            match item.ty {
                ComponentEntityType::Func(function) => self.add_function(Some(interface), name, function)?,
                ComponentEntityType::Instance(_) => {
                    self.reject(format!("{interface}.{name}"), "interfaces inside interfaces cannot become tools");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_function(
        &mut self,
        interface: Option<&str>,
        export: &str,
        function: ComponentFuncTypeId,
    ) -> Result<(), DescribeError> {
        bound(self.interface.functions.len() + self.interface.rejected.len() + 1, MAX_FUNCTIONS, "exported functions")?;
        bound(export.len(), MAX_NAME, "characters in the name of a function")?;
        let params = self.source[function].params.iter().map(|(name, _)| name.as_str());
        if belongs_to_runtime(interface, export, params) {
            return Ok(());
        }
        match self.function(interface, export, function) {
            Ok(function) => self.interface.functions.push(function),
            Err(Refusal::Bound(error)) => return Err(error),
            Err(Refusal::Type(reason)) => {
                let name = interface.map_or(export.to_owned(), |interface| format!("{interface}.{export}"));
                self.reject(name, reason);
            }
        }
        Ok(())
    }

    fn reject(&mut self, export: String, reason: &str) {
        self.interface.rejected.push(Rejected { export, reason: reason.to_owned() });
    }

    fn function(
        &mut self,
        interface: Option<&str>,
        export: &str,
        function: ComponentFuncTypeId,
    ) -> Result<Function, Refusal> {
        if export.starts_with('[') {
            return Err(Refusal::Type("constructors and methods of resources cannot be called from JSON"));
        }
        let ty = &self.source[function];
        if ty.async_ {
            return Err(Refusal::Type("async functions (WASI 0.3) are not offered yet"));
        }
        let (params, result) = (ty.params.clone(), ty.result);
        self.count_members(params.len(), "parameters of a function")?;
        let params = params
            .iter()
            .map(|(name, ty)| Ok(Field { name: name.to_string(), ty: self.value_type(*ty)? }))
            .collect::<Result<_, Refusal>>()?;
        let result = result.map(|ty| self.value_type(ty)).transpose()?;
        Ok(Function {
            name: export.to_owned(),
            interface: interface.map(str::to_owned),
            export: export.to_owned(),
            params,
            result,
            docs: self.docs.function(interface, export),
        })
    }

    fn value_type(&mut self, ty: ComponentValType) -> Result<Type, Refusal> {
        match ty {
            ComponentValType::Primitive(primitive) => primitive_type(primitive),
            ComponentValType::Type(id) => self.defined_type(id),
        }
    }

    fn defined_type(&mut self, id: ComponentDefinedTypeId) -> Result<Type, Refusal> {
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let source = self.source;
        let kind = match &source[id] {
            ComponentDefinedType::Primitive(primitive) => return primitive_type(*primitive),
            ComponentDefinedType::Record(record) => {
                let fields = record.fields.iter().map(|(name, ty)| (name.to_string(), *ty)).collect::<Vec<_>>();
                Kind::Record(self.fields(fields)?)
            }
            ComponentDefinedType::Variant(variant) => {
                self.count_members(variant.cases.len(), "cases of a variant")?;
                let cases = variant.cases.iter().map(|(name, case)| {
                    let ty = case.ty.map(|ty| self.value_type(ty)).transpose()?;
                    Ok(Case { name: name.to_string(), ty })
                });
                Kind::Variant(cases.collect::<Result<_, Refusal>>()?)
            }
            ComponentDefinedType::Enum(labels) => Kind::Enum(self.labels(labels.iter().map(ToString::to_string))?),
            ComponentDefinedType::Flags(labels) => Kind::Flags(self.labels(labels.iter().map(ToString::to_string))?),
            ComponentDefinedType::Tuple(tuple) => {
                self.count_members(tuple.types.len(), "members of a tuple")?;
                Kind::Tuple(tuple.types.iter().map(|ty| self.value_type(*ty)).collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::List { element, .. } => Kind::List(self.value_type(*element)?),
            ComponentDefinedType::Option { ty, .. } => Kind::Option(self.value_type(*ty)?),
            ComponentDefinedType::Result { ok, err, .. } => Kind::Result {
                ok: ok.map(|ty| self.value_type(ty)).transpose()?,
                err: err.map(|ty| self.value_type(ty)).transpose()?,
            },
            ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_) => {
                return Err(Refusal::Type("it uses a resource handle, which cannot be written as JSON"));
            }
            ComponentDefinedType::Future { .. } | ComponentDefinedType::Stream { .. } => {
                return Err(Refusal::Type("it uses a future or stream, which cannot be written as JSON"));
            }
            ComponentDefinedType::Map { .. } | ComponentDefinedType::FixedLengthList { .. } => {
                return Err(Refusal::Type("it uses a map or fixed-length list, which are not offered yet"));
            }
        };
        let position = u32::try_from(self.interface.types.len()).unwrap_or(u32::MAX);
        bound(position as usize + 1, MAX_TYPES, "types").map_err(Refusal::Bound)?;
        self.interface.types.push(Definition { name: self.names.get(&id).cloned(), kind });
        let ty = Type::Defined(position);
        self.known.insert(id, ty);
        Ok(ty)
    }

    fn fields(&mut self, fields: Vec<(String, ComponentValType)>) -> Result<Vec<Field>, Refusal> {
        self.count_members(fields.len(), "fields of a record")?;
        fields.into_iter().map(|(name, ty)| Ok(Field { name, ty: self.value_type(ty)? })).collect()
    }

    fn labels(&mut self, labels: impl ExactSizeIterator<Item = String>) -> Result<Vec<String>, Refusal> {
        self.count_members(labels.len(), "labels of an enum or flags")?;
        Ok(labels.collect())
    }

    fn count_members(&mut self, count: usize, what: &'static str) -> Result<(), Refusal> {
        self.members += count;
        bound(count, MAX_MEMBERS, what)
            .and_then(|()| bound(self.members, MAX_MEMBERS_IN_ALL, "fields, cases, labels and parameters"))
            .map_err(Refusal::Bound)
    }

    fn finish(mut self) -> Interface {
        qualify(&mut self.interface.functions);
        self.interface
    }
}

/// Whether an export is the initialisation that componentize-py or componentize-qjs adds beside the author's functions.
///
/// It is known by its whole signature: an author's own `init`, or an interface called `exports`, stays a tool.
fn belongs_to_runtime<'a>(interface: Option<&str>, export: &str, params: impl Iterator<Item = &'a str>) -> bool {
    let python: (_, &[_]) = (Some("exports"), &["app-name", "symbols", "stub-wasi"]);
    let javascript: (_, &[_]) = (None, &["shim", "script", "entry-path", "disable-gc"]);
    let params: Vec<_> = if export == "init" { params.collect() } else { return false };
    [python, javascript].contains(&(interface, &params))
}

/// Give functions that share a name the name of their interface as well, so that none hides another.
fn qualify(functions: &mut [Function]) {
    let qualifiers: [fn(&str) -> String; 2] = [interface_name, |full| full.replace([':', '/', '@'], ".")];
    for qualifier in qualifiers {
        let shared = shared_names(functions);
        for function in functions.iter_mut().filter(|f| shared.contains(&f.name)) {
            if let Some(interface) = &function.interface {
                function.name = format!("{}.{}", qualifier(interface), function.export);
            }
        }
    }
}

fn shared_names(functions: &[Function]) -> HashSet<String> {
    let mut seen = HashSet::new();
    functions.iter().filter(|f| !seen.insert(f.name.as_str())).map(|f| f.name.clone()).collect()
}

/// `docs:text/stats@1.0.0` is called `stats`.
fn interface_name(full: &str) -> String {
    let name = full.rsplit('/').next().unwrap_or(full);
    name.split('@').next().unwrap_or(name).to_owned()
}

fn primitive_type(primitive: PrimitiveValType) -> Result<Type, Refusal> {
    Ok(match primitive {
        PrimitiveValType::Bool => Type::Bool,
        PrimitiveValType::S8 => Type::S8,
        PrimitiveValType::U8 => Type::U8,
        PrimitiveValType::S16 => Type::S16,
        PrimitiveValType::U16 => Type::U16,
        PrimitiveValType::S32 => Type::S32,
        PrimitiveValType::U32 => Type::U32,
        PrimitiveValType::S64 => Type::S64,
        PrimitiveValType::U64 => Type::U64,
        PrimitiveValType::F32 => Type::F32,
        PrimitiveValType::F64 => Type::F64,
        PrimitiveValType::Char => Type::Char,
        PrimitiveValType::String => Type::String,
        PrimitiveValType::ErrorContext => {
            return Err(Refusal::Type("it uses an error context, which cannot be written as JSON"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_initialisation_of_a_language_runtime_is_left_out() {
        let init = ["app-name", "symbols", "stub-wasi"];

        assert!(belongs_to_runtime(Some("exports"), "init", init.into_iter()));
        assert!(!belongs_to_runtime(Some("exports"), "init", ["name"].into_iter()));
        assert!(!belongs_to_runtime(Some("exports"), "greet", init.into_iter()));
        assert!(!belongs_to_runtime(None, "init", init.into_iter()));
        let init = ["shim", "script", "entry-path", "disable-gc"];
        assert!(belongs_to_runtime(None, "init", init.into_iter()));
        assert!(!belongs_to_runtime(Some("exports"), "init", init.into_iter()));
    }
}

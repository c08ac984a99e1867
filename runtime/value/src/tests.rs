//! Properties that hold for every type, and the known failures of others as cases.

use fumehood_model::{ByteSize, Outcome};
use proptest::prelude::*;
use serde_json::{Value, json};
use wasmtime::component::Val;

use crate::{Case, Definition, Field, Function, InputError, Interface, Kind, LOCAL, Plan, Type};

const ALLOWED: ByteSize = ByteSize::mib(8);

/// An interface with one function that takes and returns `x: ty`.
fn echo(types: Vec<Definition>, ty: Type) -> Plan {
    let function = Function {
        name: "echo".into(),
        interface: None,
        export: "echo".into(),
        params: vec![Field { name: "x".into(), ty }],
        result: Some(ty),
        docs: None,
    };
    Plan::of(&Interface { functions: vec![function], types, ..Interface::default() }).remove(0)
}

fn lower(plan: &Plan, arguments: &Value) -> Result<Vec<Val>, Vec<(String, String)>> {
    let text = plan.lower_slice(arguments.to_string().as_bytes());
    let tree = plan.lower_value(arguments.clone());
    let mistakes = |error| match error {
        InputError::Mistakes { mistakes } => mistakes.into_iter().map(|m| (m.pointer, m.message)).collect::<Vec<_>>(),
        other => vec![(String::new(), other.to_string())],
    };
    let (text, tree) = (text.map(|i| i.0).map_err(mistakes), tree.map(|i| i.0).map_err(mistakes));
    assert_eq!(text, tree, "parsed text and parsed tree must be converted alike");
    text
}

fn lift(plan: &Plan, value: &Val) -> Value {
    match plan.lift(Some(value), ALLOWED).unwrap() {
        Outcome::Value(json) | Outcome::ToolError(json) => serde_json::from_slice(&json).unwrap(),
        Outcome::Stopped(stopped) => panic!("{stopped}"),
    }
}

fn pointers(result: Result<Vec<Val>, Vec<(String, String)>>) -> Vec<String> {
    result.unwrap_err().into_iter().map(|(pointer, _)| pointer).collect()
}

fn define(kind: Kind) -> (Vec<Definition>, Type) {
    (vec![Definition { name: Some("t".into()), kind }], Type::Defined(0))
}

/// A type together with a value of it.
fn typed_value() -> impl Strategy<Value = (Vec<Definition>, Type, Val)> {
    shape(4).prop_flat_map(|shape| {
        let mut types = Vec::new();
        let ty = shape.define(&mut types);
        (Just(types), Just(ty), shape.value())
    })
}

/// A type as a tree, before it is flattened into definitions.
#[derive(Debug, Clone)]
enum Tree {
    Primitive(Type),
    Record(Vec<Tree>),
    Variant(Vec<Option<Tree>>),
    Enum(usize),
    Flags(usize),
    Tuple(Vec<Tree>),
    List(Box<Tree>),
    Option(Box<Tree>),
    Result(Option<Box<Tree>>, Option<Box<Tree>>),
}

fn shape(depth: u32) -> impl Strategy<Value = Tree> {
    let primitives = vec![
        Type::Bool,
        Type::S8,
        Type::U8,
        Type::S16,
        Type::U16,
        Type::S32,
        Type::U32,
        Type::S64,
        Type::U64,
        Type::F32,
        Type::F64,
        Type::Char,
        Type::String,
    ];
    let leaf = prop_oneof![
        4 => prop::sample::select(primitives).prop_map(Tree::Primitive),
        1 => (1usize..40).prop_map(Tree::Enum),
        1 => (1usize..70).prop_map(Tree::Flags),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::Record),
            prop::collection::vec(prop::option::of(inner.clone()), 1..4).prop_map(Tree::Variant),
            prop::collection::vec(inner, 1..4).prop_map(Tree::Tuple),
            boxed.clone().prop_map(Tree::List),
            boxed.clone().prop_map(Tree::Option),
            (prop::option::of(boxed.clone()), prop::option::of(boxed)).prop_map(|(ok, err)| Tree::Result(ok, err)),
        ]
    })
}

fn label(index: usize) -> String {
    format!("label-{index}")
}

impl Tree {
    fn define(&self, types: &mut Vec<Definition>) -> Type {
        let kind = match self {
            Self::Primitive(ty) => return *ty,
            Self::Record(fields) => Kind::Record(
                fields.iter().enumerate().map(|(i, f)| Field { name: label(i), ty: f.define(types) }).collect(),
            ),
            Self::Variant(cases) => Kind::Variant(
                cases
                    .iter()
                    .enumerate()
                    .map(|(i, c)| Case { name: label(i), ty: c.as_ref().map(|c| c.define(types)) })
                    .collect(),
            ),
            Self::Enum(count) => Kind::Enum((0..*count).map(label).collect()),
            Self::Flags(count) => Kind::Flags((0..*count).map(label).collect()),
            Self::Tuple(members) => Kind::Tuple(members.iter().map(|m| m.define(types)).collect()),
            Self::List(element) => Kind::List(element.define(types)),
            Self::Option(inner) => Kind::Option(inner.define(types)),
            Self::Result(ok, err) => Kind::Result {
                ok: ok.as_ref().map(|ok| ok.define(types)),
                err: err.as_ref().map(|err| err.define(types)),
            },
        };
        let position = u32::try_from(types.len()).unwrap();
        types.push(Definition { name: Some(format!("t{position}")), kind });
        Type::Defined(position)
    }

    fn value(&self) -> BoxedStrategy<Val> {
        match self.clone() {
            Self::Primitive(ty) => primitive_value(ty),
            Self::Record(fields) => {
                let values: Vec<_> = fields.iter().map(Self::value).collect();
                values
                    .prop_map(|v| Val::Record(v.into_iter().enumerate().map(|(i, v)| (label(i), v)).collect()))
                    .boxed()
            }
            Self::Variant(cases) => (0..cases.len())
                .prop_flat_map(move |i| match &cases[i] {
                    None => Just(Val::Variant(label(i), None)).boxed(),
                    Some(payload) => {
                        payload.value().prop_map(move |v| Val::Variant(label(i), Some(Box::new(v)))).boxed()
                    }
                })
                .boxed(),
            Self::Enum(count) => (0..count).prop_map(|i| Val::Enum(label(i))).boxed(),
            Self::Flags(count) => prop::collection::btree_set(0..count, 0..=count.min(8))
                .prop_map(|set| Val::Flags(set.into_iter().map(label).collect()))
                .boxed(),
            Self::Tuple(members) => members.iter().map(Self::value).collect::<Vec<_>>().prop_map(Val::Tuple).boxed(),
            Self::List(element) => prop::collection::vec(element.value(), 0..4).prop_map(Val::List).boxed(),
            Self::Option(inner) => prop::option::of(inner.value()).prop_map(|v| Val::Option(v.map(Box::new))).boxed(),
            Self::Result(ok, err) => {
                let side = |tree: Option<Box<Self>>| match tree {
                    None => Just(None).boxed(),
                    Some(tree) => tree.value().prop_map(|v| Some(Box::new(v))).boxed(),
                };
                prop_oneof![side(ok).prop_map(|v| Val::Result(Ok(v))), side(err).prop_map(|v| Val::Result(Err(v)))]
                    .boxed()
            }
        }
    }
}

fn primitive_value(ty: Type) -> BoxedStrategy<Val> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        Type::S8 => any::<i8>().prop_map(Val::S8).boxed(),
        Type::U8 => any::<u8>().prop_map(Val::U8).boxed(),
        Type::S16 => any::<i16>().prop_map(Val::S16).boxed(),
        Type::U16 => any::<u16>().prop_map(Val::U16).boxed(),
        Type::S32 => any::<i32>().prop_map(Val::S32).boxed(),
        Type::U32 => any::<u32>().prop_map(Val::U32).boxed(),
        Type::S64 => any::<i64>().prop_map(Val::S64).boxed(),
        Type::U64 => any::<u64>().prop_map(Val::U64).boxed(),
        // Ordinary floats only: what is not finite cannot be written as a JSON number and is refused on the way in.
        Type::F32 => prop::num::f32::NORMAL.prop_map(Val::Float32).boxed(),
        Type::F64 => prop::num::f64::NORMAL.prop_map(Val::Float64).boxed(),
        Type::Char => any::<char>().prop_map(Val::Char).boxed(),
        Type::String => any::<String>().prop_map(Val::String).boxed(),
        Type::Defined(_) => unreachable!("a primitive was asked for"),
    }
}

/// The plan of a function `echo(x: T)` that returns a record `{ x: T }`, so that no `result` of it is unwrapped.
fn echo_record(mut types: Vec<Definition>, ty: Type) -> Plan {
    let position = u32::try_from(types.len()).unwrap();
    types.push(Definition { name: Some("answer".into()), kind: Kind::Record(vec![Field { name: "x".into(), ty }]) });
    let function = Function {
        name: "echo".into(),
        interface: None,
        export: "echo".into(),
        params: vec![Field { name: "x".into(), ty }],
        result: Some(Type::Defined(position)),
        docs: None,
    };
    Plan::of(&Interface { functions: vec![function], types, ..Interface::default() }).remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_lifted_lowers_to_the_same_and_fits_both_schemas((types, ty, value) in typed_value()) {
        let plan = echo_record(types, ty);
        let json = lift(&plan, &Val::Record(vec![("x".into(), value.clone())]));

        let output = Value::Object(plan.output_object_schema(LOCAL).into_document());
        prop_assert!(jsonschema::is_valid(&output, &json), "{json} does not fit {output}");
        let input = Value::Object(plan.input_schema(LOCAL).into_document());
        prop_assert!(jsonschema::is_valid(&input, &json), "{json} does not fit {input}");
        prop_assert!(jsonschema::meta::is_valid(&input), "{input} is not a schema");

        let lowered = lower(&plan, &json);
        prop_assert_eq!(lowered, Ok(vec![value]));
    }

    #[test]
    fn no_text_makes_lowering_panic((types, ty, _) in typed_value(), text in ".{0,200}") {
        let plan = echo(types, ty);

        let _ = plan.lower_slice(text.as_bytes());
        let _ = plan.lower_slice(format!("{{\"x\":{text}}}").as_bytes());
    }
}

#[test]
fn optional_parameters_may_be_left_out_or_null() {
    let (types, ty) = define(Kind::Option(Type::String));
    let plan = echo(types, ty);

    assert_eq!(lower(&plan, &json!({})), Ok(vec![Val::Option(None)]));
    assert_eq!(lower(&plan, &json!({ "x": null })), Ok(vec![Val::Option(None)]));
    assert_eq!(plan.input_schema(LOCAL).into_document().get("required"), None);
}

#[test]
fn whole_floats_are_integers_and_fractions_are_not() {
    let plan = echo(vec![], Type::S32);

    assert_eq!(lower(&plan, &json!({ "x": 2.0 })), Ok(vec![Val::S32(2)]));
    assert_eq!(lower(&plan, &json!({ "x": 2.5 })).unwrap_err()[0].0, "/x");
    assert_eq!(lower(&plan, &json!({ "x": 2_147_483_648_u64 })).unwrap_err()[0].0, "/x");
}

#[test]
fn large_integers_survive_as_strings() {
    let plan = echo(vec![], Type::U64);

    assert_eq!(lower(&plan, &json!({ "x": "18446744073709551615" })), Ok(vec![Val::U64(u64::MAX)]));
    assert_eq!(lower(&plan, &json!({ "x": u64::MAX })), Ok(vec![Val::U64(u64::MAX)]));
    assert_eq!(lift(&plan, &Val::U64(u64::MAX)), json!("18446744073709551615"));
    assert_eq!(lift(&plan, &Val::U64((1 << 53) - 1)), json!((1_u64 << 53) - 1));
    for refused in [json!("18446744073709551616"), json!("-1"), json!("1e3"), json!(" 1"), json!("+1"), json!("")] {
        assert!(lower(&plan, &json!({ "x": refused })).is_err(), "{refused} must be refused");
    }
}

#[test]
fn short_floats_stay_short_and_whole_ones_have_no_point() {
    let (short, long) = (echo(vec![], Type::F32), echo(vec![], Type::F64));

    assert_eq!(short.lift(Some(&Val::Float32(2.7)), ALLOWED).unwrap(), Outcome::Value(b"2.7".to_vec()));
    assert_eq!(long.lift(Some(&Val::Float64(42.0)), ALLOWED).unwrap(), Outcome::Value(b"42".to_vec()));
    assert_eq!(long.lift(Some(&Val::Float64(f64::NAN)), ALLOWED).unwrap(), Outcome::Value(b"\"NaN\"".to_vec()));
    assert!(lower(&short, &json!({ "x": 1e300 })).is_err());
    assert!(lower(&long, &json!({ "x": "NaN" })).is_err());
}

#[test]
fn flags_are_arrays_of_strings_both_ways() {
    let (types, ty) = define(Kind::Flags(vec!["can-read".into(), "write".into()]));
    let plan = echo(types, ty);
    let both = Val::Flags(vec!["can-read".into(), "write".into()]);

    assert_eq!(lower(&plan, &json!({ "x": ["write", "can_read", "write"] })), Ok(vec![both.clone()]));
    assert_eq!(lift(&plan, &both), json!(["can-read", "write"]));
    assert_eq!(pointers(lower(&plan, &json!({ "x": ["write", "fly", 3] }))), ["/x/1", "/x/2"]);
    assert_eq!(pointers(lower(&plan, &json!({ "x": { "write": true } }))), ["/x"]);
}

#[test]
fn options_inside_options_are_told_apart() {
    let types = vec![
        Definition { name: None, kind: Kind::Option(Type::U32) },
        Definition { name: None, kind: Kind::Option(Type::Defined(0)) },
    ];
    let plan = echo(types, Type::Defined(1));
    let some_none = Val::Option(Some(Box::new(Val::Option(None))));

    assert_eq!(lower(&plan, &json!({})), Ok(vec![Val::Option(None)]));
    assert_eq!(lower(&plan, &json!({ "x": { "tag": "none" } })), Ok(vec![some_none.clone()]));
    assert_eq!(lift(&plan, &some_none), json!({ "tag": "none" }));
}

#[test]
fn the_error_of_a_function_is_a_tool_error_and_a_result_inside_is_tagged() {
    let (types, ty) = define(Kind::Result { ok: None, err: Some(Type::String) });
    let plan = echo(types, ty);
    let error = Val::Result(Err(Some(Box::new(Val::String("no".into())))));

    assert_eq!(plan.lift(Some(&error), ALLOWED).unwrap(), Outcome::ToolError(b"\"no\"".to_vec()));
    assert_eq!(plan.lift(Some(&Val::Result(Ok(None))), ALLOWED).unwrap(), Outcome::Value(b"null".to_vec()));
    assert_eq!(lower(&plan, &json!({ "x": { "tag": "ok" } })), Ok(vec![Val::Result(Ok(None))]));
    assert_eq!(lower(&plan, &json!({ "x": { "val": "no", "tag": "err" } })), Ok(vec![error]));
    assert_eq!(pointers(lower(&plan, &json!({ "x": { "tag": "ok", "val": true } }))), ["/x/val"]);
    assert_eq!(pointers(lower(&plan, &json!({ "x": { "tag": "err" } }))), ["/x/val"]);
}

#[test]
fn bytes_are_base64_and_data_urls_are_understood() {
    let (types, ty) = define(Kind::List(Type::U8));
    let plan = echo(types, ty);
    let bytes = Val::List(vec![Val::U8(0), Val::U8(255)]);

    for text in ["AP8=", "AP8", "data:image/png;base64,AP8="] {
        assert_eq!(lower(&plan, &json!({ "x": text })), Ok(vec![bytes.clone()]), "{text}");
    }
    assert_eq!(lift(&plan, &bytes), json!("AP8="));
    assert_eq!(pointers(lower(&plan, &json!({ "x": "not base64!" }))), ["/x"]);
    assert_eq!(pointers(lower(&plan, &json!({ "x": [0, 255] }))), ["/x"]);
}

#[test]
fn every_mistake_is_reported_at_once_with_its_pointer() {
    let inner = Definition {
        name: Some("point".into()),
        kind: Kind::Record(vec![
            Field { name: "left-edge".into(), ty: Type::S32 },
            Field { name: "label".into(), ty: Type::Char },
        ]),
    };
    let list = Definition { name: None, kind: Kind::List(Type::Defined(0)) };
    let plan = echo(vec![inner, list], Type::Defined(1));

    let found = pointers(lower(
        &plan,
        &json!({ "x": [{ "left_edge": "1", "label": "ab" }, 7, { "left-edge": 1, "labell": "a", "a/b~": 0 }], "y": 1 }),
    ));

    assert_eq!(found, ["/x/0/left_edge", "/x/0/label", "/x/1", "/x/2/labell", "/x/2/a~1b~0", "/x/2/label", "/y"]);
}

#[test]
fn duplicates_and_unknown_names_are_refused_with_a_suggestion() {
    let plan = echo(vec![], Type::U8);

    let twice = plan.lower_slice(br#"{"x":1,"x":2}"#).unwrap_err();
    assert!(matches!(&twice, InputError::Mistakes { mistakes } if mistakes[0].pointer == "/x"), "{twice}");
    let unknown = lower(&plan, &json!({ "X": 1 })).unwrap_err();
    assert_eq!(unknown[0].1, "`X` is not known here, did you mean `x`?");
}

#[test]
fn what_is_not_json_is_malformed() {
    let plan = echo(vec![], Type::F64);

    for text in [&b"{"[..], b"{\"x\":NaN}", b"{\"x\":1}}", b"{\"x\":1e400}", b"\xff", b"{\"x\":\"\xff\"}"] {
        assert!(matches!(plan.lower_slice(text), Err(InputError::Malformed { .. })), "{text:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        plan.lower_slice(deep.as_bytes()),
        Err(InputError::Malformed { .. } | InputError::Mistakes { .. })
    ));
}

#[test]
fn an_answer_beyond_its_bound_is_refused() {
    let plan = echo(vec![], Type::String);

    let refused = plan.lift(Some(&Val::String("x".repeat(100))), ByteSize(101));

    assert!(matches!(refused, Err(crate::LiftError::TooLarge { .. })));
}

#[test]
fn a_type_that_doubles_at_every_level_has_a_small_schema() {
    let mut types = vec![Definition {
        name: Some("t0".into()),
        kind: Kind::Record(vec![Field { name: "a".into(), ty: Type::U8 }]),
    }];
    for level in 1..60 {
        let below = Type::Defined(level - 1);
        let fields = vec![Field { name: "a".into(), ty: below }, Field { name: "b".into(), ty: below }];
        types.push(Definition { name: Some(format!("t{level}")), kind: Kind::Record(fields) });
    }
    let plan = echo(types, Type::Defined(59));

    let schema = Value::Object(plan.input_schema(LOCAL).into_document()).to_string();

    assert!(schema.len() < 20_000, "{} bytes", schema.len());
}

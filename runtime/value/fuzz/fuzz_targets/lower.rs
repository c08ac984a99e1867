//! Any text against a function that takes every kind of type: lowering never panics, and what it accepts comes back.

#![no_main]

use std::sync::LazyLock;

use fumehood_model::{ByteSize, Outcome};
use fumehood_value::{Case, Definition, Field, Function, Interface, Kind, Plan, Type};
use libfuzzer_sys::fuzz_target;

/// `everything(x: torture) -> torture`, where the record has a field of each kind, nested.
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let field = |name: &str, ty| Field { name: name.into(), ty };
    let anonymous = |kind| Definition { name: None, kind };
    let types = vec![
        anonymous(Kind::List(Type::U8)),
        anonymous(Kind::Option(Type::U32)),
        anonymous(Kind::Option(Type::Defined(1))),
        anonymous(Kind::Tuple(vec![Type::S8, Type::Char, Type::Defined(1)])),
        anonymous(Kind::Enum(vec!["red".into(), "dark-blue".into()])),
        anonymous(Kind::Flags(vec!["read".into(), "write-all".into()])),
        anonymous(Kind::Result { ok: Some(Type::F32), err: None }),
        anonymous(Kind::Variant(vec![
            Case { name: "none".into(), ty: None },
            Case { name: "some-list".into(), ty: Some(Type::Defined(8)) },
        ])),
        anonymous(Kind::List(Type::Defined(3))),
        Definition {
            name: Some("torture".into()),
            kind: Kind::Record(vec![
                field("flag", Type::Bool),
                field("small", Type::U8),
                field("large", Type::U64),
                field("signed-large", Type::S64),
                field("real", Type::F64),
                field("text", Type::String),
                field("bytes", Type::Defined(0)),
                field("maybe", Type::Defined(2)),
                field("pair", Type::Defined(3)),
                field("color", Type::Defined(4)),
                field("rights", Type::Defined(5)),
                field("outcome", Type::Defined(6)),
                field("choice", Type::Defined(7)),
            ]),
        },
    ];
    let everything = Function {
        name: "everything".into(),
        interface: None,
        export: "everything".into(),
        params: vec![field("x", Type::Defined(9))],
        result: Some(Type::Defined(9)),
        docs: None,
    };
    Plan::of(&Interface { functions: vec![everything], types, ..Interface::default() }).remove(0)
});

fuzz_target!(|text: &[u8]| {
    let Ok(input) = PLAN.lower_slice(text) else { return };
    let lifted = PLAN.lift(input.0.first(), ByteSize::mib(64)).expect("what was accepted can be written");
    let Outcome::Value(json) = lifted else { panic!("a record is a value") };
    let again = [b"{\"x\":".as_slice(), &json, b"}"].concat();
    assert_eq!(PLAN.lower_slice(&again).expect("what was written is accepted"), input);
});

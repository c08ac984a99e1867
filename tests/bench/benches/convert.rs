//! JSON to component values and back: small, nested, and a megabyte.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fumehood_model::ByteSize;
use fumehood_value::{Definition, Field, Function, Interface, Kind, Plan, Type};
use wasmtime::component::Val;

fn echo(types: Vec<Definition>, ty: Type) -> Plan {
    let function = Function {
        name: "echo".into(),
        interface: None,
        export: "echo".into(),
        params: vec![Field { name: "x".into(), ty }],
        result: Some(ty),
        docs: None,
    };
    Plan::of(&Interface { functions: vec![function], types, ..Interface::default() }).swap_remove(0)
}

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.into(), ty }
}

/// Values of several sizes: a name, a plan, and the arguments.
fn cases() -> Vec<(&'static str, Plan, String)> {
    let small = echo(vec![], Type::F64);
    let order = vec![
        Definition {
            name: Some("line".into()),
            kind: Kind::Record(vec![
                field("article", Type::String),
                field("count", Type::U32),
                field("price", Type::F64),
                field("gift", Type::Bool),
            ]),
        },
        Definition { name: None, kind: Kind::List(Type::Defined(0)) },
        Definition {
            name: Some("order".into()),
            kind: Kind::Record(vec![
                field("customer", Type::String),
                field("order-number", Type::U64),
                field("lines", Type::Defined(1)),
            ]),
        },
    ];
    let line = r#"{"article":"flask, 250 ml","count":12,"price":3.75,"gift":false}"#;
    let lines = |count: usize| vec![line; count].join(",");
    let order_of = |count| format!(r#"{{"x":{{"customer":"Ada","order_number":7,"lines":[{}]}}}}"#, lines(count));
    let text = echo(vec![], Type::String);
    let bytes = echo(vec![Definition { name: None, kind: Kind::List(Type::U8) }], Type::Defined(0));
    vec![
        ("a number", small, r#"{"x":42.5}"#.to_owned()),
        ("an order of 5 lines", echo(order.clone(), Type::Defined(2)), order_of(5)),
        ("an order of 1 MB", echo(order, Type::Defined(2)), order_of(16_000)),
        ("a text of 1 MB", text, format!(r#"{{"x":"{}"}}"#, "a".repeat(1 << 20))),
        ("bytes of 1 MB", bytes, format!(r#"{{"x":"{}"}}"#, "AAAA".repeat((1 << 20) / 3))),
    ]
}

fn convert(c: &mut Criterion) {
    for (name, plan, json) in cases() {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(BenchmarkId::from_parameter("lower"), |b| {
            b.iter(|| plan.lower_slice(black_box(json.as_bytes())).expect("the arguments fit"));
        });
        let value: Val = plan.lower_slice(json.as_bytes()).expect("the arguments fit").0.swap_remove(0);
        group.bench_function(BenchmarkId::from_parameter("lift"), |b| {
            b.iter(|| plan.lift(Some(black_box(&value)), ByteSize::mib(64)).expect("the answer fits"));
        });
        group.finish();
    }
}

criterion_group!(benches, convert);
criterion_main!(benches);

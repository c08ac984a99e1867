//! Any type with any value of it: schemas can be built, and what is lifted lowers to the same value.

#![no_main]

use fumehood_model::{ByteSize, Outcome};
use fumehood_value::{Case, Definition, Field, Function, Interface, Kind, LOCAL, Plan, Type};
use libfuzzer_sys::fuzz_target;
use wasmtime::component::Val;

/// Deepest type that is made.
const DEPTH: u32 = 5;

/// The input, from which choices are drawn. When it is used up every choice is the first.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    fn below(&mut self, most: u8) -> usize {
        usize::from(self.byte() % most)
    }

    fn character(&mut self) -> char {
        char::from_u32(self.number() as u32 % 0x11_0000).unwrap_or('\u{fffd}')
    }
}

fn label(index: usize) -> String {
    format!("label-{index}")
}

/// Draw a type, its definition and a value of it.
fn draw(source: &mut Source<'_>, types: &mut Vec<Definition>, depth: u32) -> (Type, Val) {
    let kinds = if depth == 0 { 13 } else { 21 };
    let (kind, value) = match source.below(kinds) {
        0 => return (Type::Bool, Val::Bool(source.byte() % 2 == 1)),
        1 => return (Type::S8, Val::S8(source.number() as i8)),
        2 => return (Type::U8, Val::U8(source.number() as u8)),
        3 => return (Type::S16, Val::S16(source.number() as i16)),
        4 => return (Type::U16, Val::U16(source.number() as u16)),
        5 => return (Type::S32, Val::S32(source.number() as i32)),
        6 => return (Type::U32, Val::U32(source.number() as u32)),
        7 => return (Type::S64, Val::S64(source.number() as i64)),
        8 => return (Type::U64, Val::U64(source.number())),
        // What is not finite cannot be written as a JSON number and is refused on the way in.
        9 => {
            let float = f32::from_bits(source.number() as u32);
            return (Type::F32, Val::Float32(if float.is_finite() { float } else { 0.5 }));
        }
        10 => {
            let float = f64::from_bits(source.number());
            return (Type::F64, Val::Float64(if float.is_finite() { float } else { 0.5 }));
        }
        11 => return (Type::Char, Val::Char(source.character())),
        12 => {
            let text = (0..source.below(9)).map(|_| source.character()).collect();
            return (Type::String, Val::String(text));
        }
        13 => {
            let drawn: Vec<_> = (0..=source.below(4)).map(|_| draw(source, types, depth - 1)).collect();
            let field = |(index, (ty, _)): (usize, &(Type, Val))| Field { name: label(index), ty: *ty };
            let fields = drawn.iter().enumerate().map(field).collect();
            let values = drawn.into_iter().enumerate().map(|(index, (_, value))| (label(index), value)).collect();
            (Kind::Record(fields), Val::Record(values))
        }
        14 => {
            let drawn: Vec<_> = (0..=source.below(4)).map(|_| draw(source, types, depth - 1)).collect();
            let (members, values) = drawn.into_iter().unzip();
            (Kind::Tuple(members), Val::Tuple(values))
        }
        15 => {
            let (ty, value) = draw(source, types, depth - 1);
            (Kind::List(ty), Val::List(vec![value; source.below(4)]))
        }
        16 => {
            let (ty, value) = draw(source, types, depth - 1);
            (Kind::Option(ty), Val::Option((source.byte() % 2 == 1).then(|| Box::new(value))))
        }
        17 => {
            let (ty, value) = draw(source, types, depth - 1);
            let cases = vec![Case { name: label(0), ty: None }, Case { name: label(1), ty: Some(ty) }];
            let payload = (source.byte() % 2 == 1).then(|| Box::new(value));
            (Kind::Variant(cases), Val::Variant(label(usize::from(payload.is_some())), payload))
        }
        18 => {
            let count = 1 + source.below(40);
            (Kind::Enum((0..count).map(label).collect()), Val::Enum(label(source.number() as usize % count)))
        }
        19 => {
            let (count, bits) = (1 + source.below(40), source.number());
            let set = (0..count).filter(|index| bits >> index & 1 == 1).map(label).collect();
            (Kind::Flags((0..count).map(label).collect()), Val::Flags(set))
        }
        _ => {
            let (ty, value) = draw(source, types, depth - 1);
            match source.below(3) {
                0 => (Kind::Result { ok: Some(ty), err: None }, Val::Result(Ok(Some(Box::new(value))))),
                1 => (Kind::Result { ok: None, err: Some(ty) }, Val::Result(Err(Some(Box::new(value))))),
                _ => (Kind::Result { ok: Some(ty), err: None }, Val::Result(Err(None))),
            }
        }
    };
    let position = types.len() as u32;
    types.push(Definition { name: Some(format!("t{position}")), kind });
    (Type::Defined(position), value)
}

fuzz_target!(|bytes: &[u8]| {
    let mut types = Vec::new();
    let (ty, value) = draw(&mut Source(bytes), &mut types, DEPTH);
    // A record around it, so that no `result` is unwrapped.
    let position = types.len() as u32;
    types.push(Definition { name: Some("answer".into()), kind: Kind::Record(vec![Field { name: "x".into(), ty }]) });
    let echo = Function {
        name: "echo".into(),
        interface: None,
        export: "echo".into(),
        params: vec![Field { name: "x".into(), ty }],
        result: Some(Type::Defined(position)),
        docs: None,
    };
    let plan = Plan::of(&Interface { functions: vec![echo], types, ..Interface::default() }).remove(0);
    let _ = plan.input_schema(LOCAL).into_document();
    let _ = plan.output_object_schema(LOCAL).into_document();

    let answer = Val::Record(vec![("x".into(), value.clone())]);
    let lifted = plan.lift(Some(&answer), ByteSize::mib(64)).expect("a value of its type can be written");
    let Outcome::Value(json) = lifted else { panic!("a record is a value") };
    let input = plan.lower_slice(&json).expect("what was written is accepted");
    assert_eq!(input.0, [value], "{}", String::from_utf8_lossy(&json));
});

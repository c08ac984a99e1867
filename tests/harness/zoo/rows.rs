//! The table: how each guest must end. One arm a file, by what it attacks.
//!
//! The letters are those of the threat model: G is what a guest does within its sandbox, H what it does to the interfaces
//! of the host, N what it does to those who read about it, U what it does to those who load it.

use serde_json::{Value, json};

use super::{Attack, DEADLINE_MS, End, FUEL, Fate, Guest, Stop};

const NOT_A_VALUE: &str = "what it handed over was not a valid value of its type";
const STACK: &str = "it ran out of stack, usually by endless recursion";
const UNREACHABLE: &str = "it panicked or reached code that it declared unreachable";
const MEMORY: &str = "it accessed memory out of bounds";
const TABLE: &str = "it accessed a table out of bounds";
const NO_FUNCTION: &str = "it called a function that is not there";
const RULES: &str = "it broke the rules of WebAssembly";
const EXIT: &str = "it exited before it answered";
const EXIT_FAILURE: &str = "it exited with a failure before it answered";

const NOT_VALID: &[&str] = &["the component is not valid at byte "];
const NOT_LOADED: &[&str] = &["the component cannot be loaded: ", "the component has too many "];

/// Deadline of what must be ended by it, in milliseconds.
const SOON_MS: u64 = 300;

/// The text of `poisonous-text.wat`.
const POISON: &str = "\u{1b}[2J\r\nSet-Cookie: a=b\r\n\r\n</script><script>\0\"\\\u{202e}\u{200b}\u{2028}\u{9b}31m\
                      \u{feff}\u{7f}{{7*7}}${x}%n";

impl Guest {
    /// What becomes of it.
    #[must_use]
    pub fn fate(self) -> Fate {
        use Stop::{Crash, Deadline, Fuel, Handles, HostBytes, HostCalls, Memory, Random, Result};
        match self {
            // Honest ones, to compare with.
            Self::Add => attacks([call("add", json!({ "a": 2, "b": 40 })).value(json!(42))]),
            Self::InstantiationTree => attacks([call("add", json!({ "a": 1, "b": 2 })).value(json!(3))]),
            Self::Resource => attacks([call("double", json!({ "number": 21 })).value(json!(42))]),

            // G1, G2: without end.
            Self::Spin => attacks([none("spin").stopped(Fuel), none("spin").soon().stopped(Deadline)]),
            Self::SpinStart => attacks([none("one").stopped(Fuel), none("one").soon().stopped(Deadline)]),
            Self::SpinInNestedInstance => attacks([none("one").stopped(Fuel), none("one").soon().stopped(Deadline)]),
            Self::SpinInRealloc => attacks([text("length").stopped(Fuel), text("length").soon().stopped(Deadline)]),
            Self::SpinInPostReturn => attacks([none("one").stopped(Fuel), none("one").soon().stopped(Deadline)]),
            Self::EndlessTailCalls => attacks([none("ping").stopped(Fuel), none("ping").soon().stopped(Deadline)]),
            Self::Recursion => attacks([call("recurse", json!({ "depth": 0 })).stopped(Crash(STACK))]),
            Self::MutualRecursion => attacks([call("even", json!({ "number": 0 })).stopped(Crash(STACK))]),
            Self::RecursionInStart => attacks([none("one").stopped(Crash(STACK))]),
            Self::RecursionInRealloc => attacks([text("length").stopped(Crash(STACK))]),
            Self::RecursionThroughTheHost => attacks([text("length").stopped(Crash(RULES))]),
            Self::WideFrames => attacks([call("recurse", json!({ "number": 0 })).stopped(Crash(STACK))]),

            // G3: more than there is.
            Self::Grow => attacks([
                call("grow", json!({ "pages": 255 })).value(json!(1)),
                call("grow", json!({ "pages": 256 })).value(json!(-1)),
                call("grow", json!({ "pages": u32::MAX })).value(json!(-1)),
                none("grow-forever").stopped(Memory),
            ]),
            Self::GrowTable => attacks([
                call("grow", json!({ "elements": 99_999 })).value(json!(1)),
                call("grow", json!({ "elements": 100_000 })).value(json!(-1)),
                call("grow", json!({ "elements": u32::MAX })).stopped(Fuel),
            ]),
            Self::GrowInStart => attacks([none("one").stopped(Memory)]),
            Self::GrowInRealloc => attacks([text("length").stopped(Memory)]),
            Self::TwoMemories => attacks([none("grow").value(json!(256))]),
            Self::GrowTablesInTurns => attacks([none("grow").value(json!(100))]),
            Self::HugeMemory | Self::HugeTable | Self::HundredMemories | Self::ThirtyThreeTables => refused(NOT_LOADED),
            Self::Memory64 | Self::TwoMemoriesInOneModule | Self::SharedMemory => refused(NOT_VALID),

            // G4, G5, G7: much work for few instructions.
            Self::FillLoop => attacks([none("fill").stopped(Fuel), none("fill").soon().stopped(Deadline)]),
            Self::CopyLoop => attacks([none("copy").stopped(Fuel), none("copy").soon().stopped(Deadline)]),
            Self::TableFillLoop => attacks([none("fill").stopped(Fuel), none("fill").soon().stopped(Deadline)]),
            Self::GrowByNothing => attacks([none("grow").stopped(HostCalls)]),
            Self::HostCallsFlood => attacks([none("flood").fuel(2_000_000).stopped(HostCalls)]),
            Self::WriteWithoutAsking => attacks([call("flood", json!({ "times": u32::MAX })).stopped(HostBytes)]),
            Self::PollAMillionTimesTheSame => attacks([none("wait").fuel(u64::MAX).stopped(Handles)]),
            Self::PollNothing => attacks([none("wait").stopped(Crash(NOT_A_VALUE))]),

            // G6: waiting.
            Self::SleepForever => attacks([none("sleep").soon().stopped(Deadline)]),
            Self::WaitForTheEndOfTime => attacks([none("wait").soon().stopped(Deadline)]),
            Self::StdinBlock => attacks([none("read").value(json!(1))]),

            // G8: talking.
            Self::StdoutFlood => attacks([
                call("print", json!({ "times": 5_000 })).value(json!(5_000)),
                call("print", json!({ "times": 100_000 })).stopped(HostCalls),
            ]),
            Self::StdoutZeroes => attacks([
                call("print", json!({ "bytes": 1000 })).value(Value::Null),
                call("print", json!({ "bytes": u64::MAX.to_string() })).stopped(Crash(NOT_A_VALUE)),
                call("print", json!({ "bytes": 1_u64 << 40 })).stopped(Crash(NOT_A_VALUE)),
            ]),
            Self::StderrForgery => attacks([none("forge").value(json!(0))]),

            // G9: answers that are too large.
            Self::HugeList => attacks([none("missing").stopped(Crash(NOT_A_VALUE)), none("present").stopped(Result)]),
            Self::HugeText | Self::TextOfControlCharacters => attacks([none("text").stopped(Result)]),
            Self::EmptyTexts | Self::OneTextManyTimes => attacks([none("texts").stopped(Result)]),
            Self::ListsOfTheSameList => attacks([none("lists").stopped(Result)]),
            Self::BoxesInBoxes => attacks([none("boxes").stopped(Result)]),
            Self::LongFailure => attacks([none("fail").stopped(Result)]),

            // G10: answers that are something else to somebody else.
            Self::PoisonousText => attacks([none("text").value(json!(POISON)), none("failure").says(json!(POISON))]),
            Self::Brackets => attacks([none("text").value(json!("[".repeat(100_000)))]),
            Self::MultibyteArgument => attacks([
                call("length", json!({ "text": format!("{}{}", "x".repeat(199), "é".repeat(100)) })).value(json!(399)),
                call("length", json!({ "text": "\u{1f600}".repeat(100_000) })).value(json!(400_000)),
            ]),

            // G11: handles.
            Self::PollablesFlood | Self::StreamsFlood | Self::OwnResourcesFlood => {
                attacks([none("flood").stopped(Handles)])
            }
            Self::HttpFieldsFlood => attacks([none("flood").stopped(Handles)]),
            Self::HandleOutOfNothing => attacks([
                call("drop", json!({ "handle": 0 })).stopped(Crash(NOT_A_VALUE)),
                call("drop", json!({ "handle": u32::MAX })).stopped(Crash(NOT_A_VALUE)),
                call("block", json!({ "handle": 1 })).stopped(Crash(NOT_A_VALUE)),
            ]),
            Self::HandleTwice => attacks([
                none("drop-twice").stopped(Crash(NOT_A_VALUE)),
                none("use-after-drop").stopped(Crash(NOT_A_VALUE)),
            ]),
            Self::HandleOfAnotherKind => attacks([none("confuse").stopped(Crash(NOT_A_VALUE))]),

            // G12: ends that are no answers.
            Self::ExitWithSuccess => attacks([
                call("leave", json!({ "status": 0 })).stopped(Crash(EXIT)),
                call("leave", json!({ "status": 1 })).stopped(Crash(EXIT_FAILURE)),
            ]),
            Self::ExitInStart => attacks([none("one").stopped(Crash(EXIT))]),
            Self::ExitInPostReturn => attacks([none("one").stopped(Crash(RULES))]),
            Self::PostReturnTraps => attacks([none("one").stopped(Crash(UNREACHABLE))]),
            Self::Trap => attacks([
                none("unreachable").stopped(Crash(UNREACHABLE)),
                call("divide", json!({ "a": 1, "b": 0 })).stopped(Crash("it divided by zero")),
                call("read", json!({ "address": 4_000_000_000_u32 })).stopped(Crash(MEMORY)),
            ]),
            Self::ForgedFrames => attacks([none("crash").stopped(Crash(UNREACHABLE))]),
            Self::NullCall | Self::BadSignature => attacks([none("call").stopped(Crash(NO_FUNCTION))]),
            Self::TableOutOfBounds => attacks([none("call").stopped(Crash(TABLE)), none("fill").stopped(Crash(TABLE))]),
            Self::OddArithmetic => attacks([
                none("divide").stopped(Crash("an integer overflowed")),
                none("convert").stopped(Crash("it converted a float that no integer can hold")),
                none("squeeze").stopped(Crash("an integer overflowed")),
            ]),
            Self::DataOutOfBounds => attacks([none("one").stopped(Crash(MEMORY))]),
            Self::ElementsOutOfBounds => attacks([none("one").stopped(Crash(TABLE))]),

            // Values that break their type.
            Self::BadRealloc | Self::ReallocAtTheEnd | Self::Utf16Argument => {
                attacks([text("length").stopped(Crash(NOT_A_VALUE))])
            }
            Self::ReallocUnaligned => {
                attacks([call("count", json!({ "numbers": [1, 2, 3] })).stopped(Crash(NOT_A_VALUE))])
            }
            Self::ReallocTraps => attacks([text("length").stopped(Crash(UNREACHABLE))]),
            Self::ResultOutOfBounds
            | Self::StringOutOfBounds
            | Self::StringFarOutOfBounds
            | Self::TextOfNothingNowhere
            | Self::UnalignedResult
            | Self::InvalidUtf8
            | Self::Utf16HalfAPair
            | Self::Utf16Unaligned
            | Self::Latin1OrUtf16 => attacks([none("text").stopped(Crash(NOT_A_VALUE))]),
            Self::UnalignedList | Self::ListLengthOverflow => attacks([none("numbers").stopped(Crash(NOT_A_VALUE))]),
            Self::InvalidChar | Self::CharBeyondUnicode => attacks([none("letter").stopped(Crash(NOT_A_VALUE))]),
            Self::InvalidEnum => attacks([
                none("pick-color").stopped(Crash(NOT_A_VALUE)),
                none("pick-shape").stopped(Crash(NOT_A_VALUE)),
            ]),
            Self::FlagsBeyondTheLast => attacks([none("all").value(json!(["read", "write", "run"]))]),
            Self::NarrowNumbers => attacks([
                none("byte").value(json!(255)),
                none("small").value(json!(-128)),
                none("truth").value(json!(true)),
            ]),
            Self::OptionOfAThirdKind => {
                attacks([none("maybe").stopped(Crash(NOT_A_VALUE)), none("outcome").stopped(Crash(NOT_A_VALUE))])
            }

            // H: what the host offers.
            Self::Surroundings => attacks([none("count").value(json!(0))]),
            Self::ForgedDescriptor => attacks([
                call("open", json!({ "handle": 0 })).stopped(Crash(NOT_A_VALUE)),
                call("open", json!({ "handle": 3 })).stopped(Crash(NOT_A_VALUE)),
            ]),
            Self::TcpSockets => attacks([
                call("make", json!({ "family": 0 })).value(json!(2)),
                call("make", json!({ "family": 1 })).value(json!(2)),
                call("make", json!({ "family": 7 })).stopped(Crash(NOT_A_VALUE)),
            ]),
            Self::UdpSockets => attacks([
                call("make", json!({ "family": 0 })).value(json!(2)),
                call("make", json!({ "family": 1 })).value(json!(2)),
            ]),
            Self::ResolveNames => attacks([none("resolve").value(json!(21))]),
            Self::RandomAllAtOnce | Self::InsecureRandomAllAtOnce => attacks([none("draw").stopped(Random)]),
            Self::RandomAgainAndAgain => attacks([
                call("draw", json!({ "times": 32 })).value(Value::Null),
                call("draw", json!({ "times": 33 })).stopped(Random),
            ]),
            Self::Clocks => attacks([none("forward").value(json!(true))]),

            // What is left behind for the next one.
            Self::Remembers => {
                attacks([none("count").value(json!(3)), none("count").value(json!(3)), none("count").value(json!(3))])
            }
            Self::Canary => attacks([
                call("look", json!({ "mark": u64::MAX.to_string(), "pages": 200 })).fuel(u64::MAX).value(json!(0)),
                call("look", json!({ "mark": 1, "pages": 255 })).fuel(u64::MAX).value(json!(0)),
                call("look", json!({ "mark": 2, "pages": 1 })).value(json!(0)),
            ]),
            Self::SteadyWork => attacks([call("work", json!({ "rounds": 1000 })).value(json!(3_753_732_620_u32))]),

            // U: what is refused before anything of it runs.
            Self::CoreModule => refused(&["this is a core WebAssembly module, not a component: "]),
            Self::UnknownImport => {
                refused(&["the component needs `example:unknown/oracle`, which is not offered here"])
            }
            Self::WrongWasi => {
                refused(&["the component needs `wasi:cli/environment@0.9.0`, which is not offered here"])
            }
            Self::ImportFromTheFuture => {
                refused(&["the component needs `wasi:clocks/monotonic-clock@0.3.0`, which is not offered here"])
            }
            Self::ImportByUrl => {
                refused(&["the component needs `url=<https://evil.example/x.wasm>`, which is not offered here"])
            }
            Self::ImportOfAnotherShape | Self::ImportOfAFunctionThatIsNotThere => refused(NOT_LOADED),
            Self::InstantiationBomb => {
                refused(&["the component has too many ", "compiling the component took more than "])
            }
            Self::ReturnsAStream | Self::ReturnsAFuture => refused(NOT_VALID),
            Self::TypeDag => attacks([none("levels").value(json!(17))]),
            Self::TypeDagTuples => attacks([none("levels").value(json!(18))]),

            // N14: names and descriptions.
            Self::NameThatReadsBackwards
            | Self::NameThatIsNotSeen
            | Self::NameWithControlCharacters
            | Self::NameOfAnotherAlphabet
            | Self::NameThatIsAPath
            | Self::NamesThatDifferInCase => refused(NOT_VALID),
            Self::NamesThatCollide => attacks([
                none("good.words.counter.count").value(json!(1)),
                none("evil.words.counter.count").value(json!(2)),
                none("count").value(json!(3)),
            ]),
            Self::NamesOfOurs => attacks([
                none("queue").value(json!(1)),
                none("jobs").value(json!(1)),
                none("execute").value(json!(1)),
                none("constructor").value(json!(1)),
                none("proto").value(json!(1)),
            ]),
            Self::ArgumentsOfOurs => {
                attacks([call("add", json!({ "constructor": 1, "properties": 2, "type": 3 })).value(json!(6))])
            }
            Self::DocsWithHiddenWords | Self::DocsThatAreNoDocs => attacks([none("one").value(json!(1))]),
        }
    }
}

fn attacks(attacks: impl Into<Vec<Attack>>) -> Fate {
    Fate::Attacks(attacks.into())
}

/// The upload is no component that can be served, for one of these reasons.
pub(super) fn refused(messages: &'static [&'static str]) -> Fate {
    Fate::Refused { status: 422, code: "invalid_component", messages }
}

pub(super) fn call(function: &'static str, arguments: Value) -> Attack {
    let end = End::Value(Value::Null);
    Attack { function, arguments, fuel: FUEL, deadline_ms: DEADLINE_MS, end }
}

/// A call without arguments.
fn none(function: &'static str) -> Attack {
    call(function, json!({}))
}

/// A call with a text.
fn text(function: &'static str) -> Attack {
    call(function, json!({ "text": "hello" }))
}

impl Attack {
    /// With fuel without end and little time: only the deadline ends it.
    fn soon(self) -> Self {
        Self { deadline_ms: SOON_MS, fuel: u64::MAX, ..self }
    }

    fn fuel(self, fuel: u64) -> Self {
        Self { fuel, ..self }
    }

    fn stopped(self, stop: Stop) -> Self {
        Self { end: End::Stopped(stop), ..self }
    }

    pub(super) fn value(self, value: Value) -> Self {
        Self { end: End::Value(value), ..self }
    }

    fn says(self, error: Value) -> Self {
        Self { end: End::ToolError(error), ..self }
    }
}

//! Where a guest was when it trapped, for the operator's log.

use std::fmt::{self, Write};

use wasmtime::WasmBacktrace;

/// Most frames that are written: who recurses endlessly has tens of thousands.
const MAX_FRAMES: usize = 32;

/// Most characters of one frame: names of generic functions are long, and a guest may call a function anything.
const MAX_FRAME: usize = 240;

/// Longest text that is made of a frame before it is cut.
///
/// The guest chooses its names, up to a hundred thousand bytes each, so writing stops here.
const MAX_TEXT: usize = 4 << 10;

/// The functions that were running when `error` happened, innermost first, one a line.
///
/// Nothing if it did not happen in a guest. Names are demangled where the guest has any. The text has at most
/// 32 lines and 8 KiB, and nothing in it can start a line or steer a terminal: whatever is not printable ASCII or a
/// letter is escaped.
#[must_use]
pub(crate) fn frames(error: &wasmtime::Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let count = backtrace.frames().len();
    if count == 0 {
        return None;
    }
    let lines = backtrace.frames().iter().take(MAX_FRAMES).enumerate();
    let lines: Vec<_> = lines.map(|(index, frame)| format!("{index}: {}", shown(frame))).collect();
    let mut text = lines.iter().map(|line| cut(line)).collect::<Vec<_>>().join("\n");
    if count > MAX_FRAMES {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n… and {} more", count - MAX_FRAMES);
    }
    Some(text)
}

/// Module and function of a frame, demangled where the name is a mangled one.
fn shown(frame: &wasmtime::FrameInfo) -> String {
    let mut text = Bounded(String::new());
    // What does not fit is cut off.
    let _ = write!(text, "{}!", frame.module().name().unwrap_or("<unknown>"));
    let module = text.0.len();
    let _ = match frame.func_name() {
        Some(name) => demangle(&mut text, module, name),
        None => write!(text, "<wasm function {}>", frame.func_index()),
    };
    text.0
}

/// Write a name behind what is there, which has `before` bytes.
fn demangle(text: &mut Bounded, before: usize, name: &str) -> fmt::Result {
    if let Ok(name) = rustc_demangle::try_demangle(name) {
        return write!(text, "{name:#}");
    }
    if name.len() <= MAX_TEXT
        && let Ok(name) = cpp_demangle::Symbol::new(name)
    {
        // Written piece by piece: what it stands for doubles with every few bytes of the name.
        let written = name.structured_demangle(text, &cpp_demangle::DemangleOptions::default());
        if text.0.len() > before {
            return written;
        }
    }
    text.write_str(name)
}

/// `line` escaped, and no longer than a frame may be.
fn cut(line: &str) -> String {
    let mut shown = String::new();
    for part in line.chars().map(char::escape_debug) {
        if shown.len() + part.len() > MAX_FRAME {
            shown.push('…');
            break;
        }
        shown.extend(part);
    }
    shown
}

/// Text that refuses to grow beyond its bound.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
#[path = "../../../tests/harness/bombs.rs"]
#[expect(dead_code, unreachable_pub, reason = "the end-to-end tests need more of it")]
mod bombs;

#[cfg(test)]
mod tests {
    use wasmtime::{
        Engine, Store,
        component::{Component, Linker},
    };

    use super::*;

    /// What is written of a trap three functions deep, the innermost of which is called `name`.
    fn trapped_in(name: &str) -> String {
        let engine = Engine::default();
        let component = Component::new(&engine, bombs::traps_in(name)).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
        let run = instance.get_func(&mut store, "run").unwrap();

        frames(&run.call(&mut store, &[], &mut []).unwrap_err()).unwrap()
    }

    #[test]
    fn frames_are_named_innermost_first() {
        let text = trapped_in("inner");

        let functions: Vec<_> = text.lines().map(|line| line.rsplit('!').next().unwrap()).collect();
        assert_eq!(functions, ["inner", "middle", "run"], "{text}");
    }

    #[test]
    fn one_name_that_forges_a_line_leaves_the_others_demangled() {
        let text = trapped_in("_ZN4core9panicking5panic17h0123456789abcdefE\n");

        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().nth(2).unwrap().starts_with("2: "), "{text}");
    }

    #[test]
    fn names_are_demangled() {
        let text = trapped_in("_ZN4core9panicking5panic17h0123456789abcdefE");

        assert!(text.lines().next().unwrap().contains("core::panicking::panic"), "{text}");
    }

    #[test]
    fn a_name_forges_no_line_and_no_escape() {
        let text = trapped_in("x\n9: root\u{1b}[31m\u{202e}\u{200b}");

        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().next().unwrap().ends_with(r"x\n9: root\u{1b}[31m\u{202e}\u{200b}"), "{text}");
    }

    #[test]
    fn a_name_that_stands_for_gigabytes_is_cut() {
        // Each step is a pair of the one before.
        let steps: String =
            (0..60).map(|step: u32| format!("S{0}_S{0}_E", base36(step))).collect::<Vec<_>>().join("ES_I");
        let begun = std::time::Instant::now();

        let text = trapped_in(&format!("_Z1f4pairIiiES_IS0_S0_ES_I{steps}"));

        assert!(text.len() < 8 << 10, "{} bytes", text.len());
        assert!(begun.elapsed().as_secs() < 10);
    }

    fn base36(number: u32) -> String {
        let digit = |digit: u32| char::from_digit(digit, 36).unwrap().to_ascii_uppercase();
        if number < 36 { digit(number).to_string() } else { format!("{}{}", digit(number / 36), digit(number % 36)) }
    }

    #[test]
    fn a_long_name_is_cut() {
        let text = trapped_in(&"a".repeat(99_999));

        assert!(text.len() < 8 << 10, "{} bytes", text.len());
        assert!(text.lines().next().unwrap().ends_with("a…"));
    }

    #[test]
    fn what_is_no_trap_has_no_frames() {
        assert_eq!(frames(&wasmtime::Error::msg("no")), None);
    }
}

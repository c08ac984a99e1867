//! What one caller may ask for at most. Each bound is told to whoever goes past it.

/// Most filters in one call.
pub const MAX_FILTERS: usize = 20;

/// Most comparisons in all filters of one call, each entry of a list counting as one.
///
/// Every item is compared with each of them, so this bounds what one byte of an answer may cost.
pub const MAX_COMPARISONS: usize = 50;

/// Most fields in one projection, and in one `_has`.
pub const MAX_FIELDS: usize = 50;

/// Most names in one dotted path, and most steps in one JSON pointer.
pub const MAX_STEPS: usize = 16;

/// Longest path of a field, in bytes.
pub const MAX_PATH_BYTES: usize = 256;

/// Longest text that is searched for, in bytes.
pub const MAX_TEXT_BYTES: usize = 1000;

/// Longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 200;

/// Largest compiled pattern, in bytes: about a hundred states. With [`MAX_PATTERN_WORK_BYTES`] it bounds the time that
/// the patterns of one call may take to about a second, whatever they are.
pub(crate) const MAX_COMPILED_BYTES: usize = 8 << 10;

/// Most text that all patterns of one call are tried on, in bytes. What comes after does not match, and a warning says
/// so.
pub const MAX_PATTERN_WORK_BYTES: usize = 1 << 20;

/// Largest `limit`.
pub const MAX_LIMIT: usize = 1000;

/// Deepest that an answer is looked into. JSON that was parsed is never deeper.
pub const MAX_DEPTH: usize = 128;

/// Most mistakes that one refused call reports.
pub(crate) const MAX_MISTAKES: usize = 50;

/// Most names in a list of them: unknown fields, available fields, statuses, paths.
pub(crate) const MAX_NAMES: usize = 50;

/// Longest name of a tool's that is repeated, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 100;

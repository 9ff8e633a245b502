//! Room on the stack for layers that lie deep in each other.
//!
//! What walks layers or their nested weights calls itself once per level. A thread of Node has a stack of 1 MB at the least, so such
//! functions ask for room first, and go on in memory from the heap where there is too little left.

/// What a level may need before the next one asks, with a kernel or a call of the host language at its end.
const LEVEL_AT_MOST: usize = 128 << 10;
/// What is taken from the heap at a time.
const SEGMENT: usize = 1 << 20;
/// What code that was generated for nested values (to drop them, to copy them) needs for a level, with a margin, since that differs from one
/// build to the next; it asks for nothing.
const GENERATED: usize = 4 << 10;
/// So many levels fit anywhere.
const SHALLOW: usize = 32;
/// Runs `f`, one level of a walk, where there is room for it.
pub fn deep<R>(f: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(LEVEL_AT_MOST, SEGMENT, f)
}

/// Runs `f`, which may drop or copy values nested `levels` deep, where there is room for that.
pub fn with_room<R>(levels: usize, f: impl FnOnce() -> R) -> R {
    if levels <= SHALLOW {
        return f();
    }
    let bytes = LEVEL_AT_MOST + levels * GENERATED;
    stacker::maybe_grow(bytes, bytes + SEGMENT, f)
}

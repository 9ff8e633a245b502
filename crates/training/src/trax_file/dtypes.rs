//! Types of numbers, as pickles name them.

/// Types of numbers by name, and as NumPy's codes have them.
pub(super) const DTYPES: [(&str, &str); 12] = [
    ("float16", "<f2"),
    ("bfloat16", "|V2"),
    ("float32", "<f4"),
    ("float64", "<f8"),
    ("int8", "|i1"),
    ("uint8", "|u1"),
    ("int32", "<i4"),
    ("int64", "<i8"),
    ("uint16", "<u2"),
    ("uint32", "<u4"),
    ("bool_", "|b1"),
    ("bool", "|b1"),
];

/// Whether a name is that of a type of numbers.
pub(super) fn is_dtype(name: &str) -> bool {
    DTYPES.iter().any(|(n, _)| *n == name)
}

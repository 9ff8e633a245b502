//! Cases of the module `rel_attention`.
use super::case::{bools, case, f32, ints, new, segments, Case};
use serde_json::{json, Value};

/// A bias of so many heads.
fn bias(heads: usize, depth: usize) -> Value {
    let initializer = json!({"$initializer": {"kind": "RandomNormalInitializer", "options": {"stddev": 0.7}}});
    new("Weights", json!({"initializer": initializer, "shape": [1, heads, 1, depth]}))
}

fn layer(d: usize, heads: usize, pooling: f64, more: Value) -> Value {
    let mut options = json!({
        "dFeature": d, "contextBiasLayer": bias(heads, d / heads), "locationBiasLayer": bias(heads, d / heads),
        "totalKvPooling": pooling, "nHeads": heads,
    });
    merge(&mut options, more);
    options
}

fn merge(into: &mut Value, more: Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else { unreachable!("options are objects") };
    into.extend(more);
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let qkv = |q: usize, k: usize| [f32([2, q, 4]), f32([2, k, 4]), f32([2, k, 4])];
    let heads = || [f32([1, 2, 1, 3]), f32([1, 2, 1, 3])];
    let wrapper = json!({"dFeature": 6, "nHeads": 3, "contextBiasLayer": bias(3, 2), "locationBiasLayer": bias(3, 2), "totalPooling": 2});
    let dropping = json!({"dFeature": 4, "contextBiasLayer": bias(1, 4), "locationBiasLayer": bias(1, 4), "totalPooling": 1, "dropout": 0.3});
    let segmented = json!({"dFeature": 4, "contextBiasLayer": bias(1, 4), "locationBiasLayer": bias(1, 4), "totalPooling": 1, "useSegments": true});
    vec![
        case("RelativeAttentionWrapper", wrapper, [f32([2, 5, 6])]),
        case("RelativeAttentionWrapper", dropping, [f32([1, 6, 4])]).random(),
        case(
            "RelativeAttentionLayer",
            layer(6, 2, 1.0, json!({"separateCls": false})),
            qkv(4, 4).into_iter().chain([bools([2, 1, 1, 4])]),
        ),
        case(
            "RelativeAttentionLayer",
            layer(4, 1, 2.0, json!({"separateCls": false})),
            qkv(2, 6).into_iter().chain([bools([2, 1, 2, 6])]),
        ),
        case("RelativeAttentionLMLayer", layer(4, 2, 1.0, json!({})), qkv(5, 5)),
        case("RelativeAttentionLMLayer", layer(4, 2, 3.0, json!({})), qkv(2, 8)),
        case(
            "RelativeAttentionLMLayer",
            layer(4, 2, 1.0, json!({"useSegments": true})),
            qkv(7, 7).into_iter().chain([segments([2, 7])]),
        ),
        case("RelativeAttentionWrapper", segmented, [f32([2, 8, 4]), segments([2, 8])]),
        case("RelativeAttentionLMLayer", layer(6, 3, 0.5, json!({})), qkv(9, 3)),
        case("RelativeAttentionLMLayer", layer(4, 4, 1.0, json!({"dropout": 0.4})), qkv(3, 6)).random(),
        case(
            "RelativeAttention",
            json!({"separateCls": false, "nHeads": 2}),
            heads().into_iter().chain([
                f32([9, 6]),
                f32([2, 5, 6]),
                f32([2, 1, 6]),
                f32([2, 1, 4]),
                bools([2, 1, 1, 1]),
            ]),
        ),
        case(
            "RelativeAttention",
            json!({"separateCls": true, "nHeads": 2}),
            heads().into_iter().chain([
                f32([4, 6]),
                f32([1, 4, 6]),
                f32([1, 4, 6]),
                f32([1, 4, 2]),
                bools([1, 1, 4, 4]),
            ]),
        ),
        case(
            "RelativeAttention",
            json!({"separateCls": false, "nHeads": 2}),
            heads().into_iter().chain([
                f32([7, 6]),
                f32([0, 2, 6]),
                f32([0, 4, 6]),
                f32([0, 4, 6]),
                bools([0, 1, 2, 4]),
            ]),
        ),
        case(
            "PositionalEmbeddings",
            json!({"dFeature": 5, "separateCls": false, "totalKvPooling": 3}),
            [f32([2, 4, 1]), f32([2, 2, 1])],
        ),
        case(
            "PositionalEmbeddings",
            json!({"dFeature": 4, "separateCls": false, "totalKvPooling": 2}),
            [ints([3, 2], 5), ints([3, 2], 4)],
        ),
        case("CreateAttentionMaskLayer", json!({}), [f32([2, 3, 4]), f32([2, 9, 4]), f32([2, 9, 4])]),
        case("CreateAttentionMaskLayer", json!({}), [ints([1, 6, 2], 3), ints([1, 2, 2], 3), ints([1, 2, 2], 3)]),
        case("RelativeAttentionLMLayer", layer(4, 2, 1.0, json!({})), qkv(0, 0)),
        case("ShiftRightCls", json!({"clsId": 4}), [ints([2, 5], 9)]),
        case("ShiftRightCls", json!({"clsId": -0.5}), [f32([2, 3, 2])]),
        case("ShiftRightCls", json!({"clsId": 1}), [f32([3, 0])]),
    ]
}

//! Values in messages, in the words of the TypeScript caller.
use crate::HostValue;

/// The most characters of a value that a message shows.
const SHOWN: usize = 80;

/// A value in messages.
pub fn show(v: &HostValue) -> String {
    let s = words(v);
    if s.chars().count() > SHOWN {
        format!("{}…", s.chars().take(SHOWN).collect::<String>())
    } else {
        s
    }
}

fn words(v: &HostValue) -> String {
    match v {
        HostValue::Null => "null".to_string(),
        HostValue::Bool(b) => b.to_string(),
        HostValue::Number(n) => number(*n),
        HostValue::Text(s) => quoted(s),
        // No more items are shown than there is room for.
        HostValue::List(items) => format!("[{}]", items.iter().take(SHOWN).map(words).collect::<Vec<_>>().join(",")),
        HostValue::Record(fields) => {
            let fields = fields.iter().take(SHOWN).map(|(k, v)| format!("{}:{}", quoted(k), words(v)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        other => other.what().to_string(),
    }
}

/// A number as JavaScript writes it, or nearly so.
fn number(n: f64) -> String {
    match n {
        _ if n == 0.0 => "0".to_string(),
        _ if n.is_infinite() => if n > 0.0 { "Infinity" } else { "-Infinity" }.to_string(),
        _ if n.is_nan() || (1e-5..1e19).contains(&n.abs()) => n.to_string(),
        _ if n.abs() < 1.0 => format!("{n:e}"),
        _ => format!("{n:e}").replace('e', "e+"),
    }
}

/// A string as JSON writes it.
fn quoted(s: &str) -> String {
    let mut out = String::from('"');
    for c in s.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{json, References};

    #[test]
    fn what_stands_for_more_than_itself_is_shown_in_words() {
        let layer = crate::core::dense(2);
        let references = References { layers: vec![layer], ..References::default() };
        let nested =
            references.resolve(&json!([{"$number": "NaN"}, [{"$layer": 0}, {"a": {"$factory": "Relu"}}], "x"]));
        assert_eq!(show(&nested), r#"[NaN,[a layer,{"a":a layer factory that was not called}],"x"]"#);
        assert_eq!(show(&json!([1, 2.5, null]).into()), "[1,2.5,null]");
        assert_eq!(show(&json!("é".repeat(100)).into()).chars().count(), 81);
    }

    #[test]
    fn plain_values_are_shown_as_json() {
        for v in
            [json!(-3), json!(0.1), json!(1e-7), json!(2.5e300), json!(0.00002), json!(1e20), json!(123456789012u64)]
        {
            assert_eq!(show(&v.clone().into()), v.to_string());
        }
        for s in ["", "a\"b\\c", "line\nline\ttab\r", "\u{1}\u{7f}é😀"] {
            assert_eq!(show(&s.into()), json!(s).to_string());
        }
        let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0].map(|n| show(&n.into()));
        assert_eq!(numbers, ["NaN", "Infinity", "-Infinity", "0"]);
    }
}

//! The form of doc comments: one sentence, then blocks with fixed heads, and an example. Read here once, and written as TSDoc and Markdown.
//!
//! ```text
//! One plain sentence that says what it does.
//!
//! Paragraphs of anything else a user must know, if there is anything.
//!
//! Formula: `y = x · w + b`.
//! Shapes: `[..., m]` → `[..., nUnits]`.
//! Errors:
//! - `ShapeMismatch`: the input has no axes.
//! Example: (a fenced block of TypeScript)
//! ```
//! A head opens a block where it begins a line; the block ends before the next head.
use std::fmt::Write as _;
use tallow_layers::ErrorKind;

/// The heads of blocks, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Head {
    Formula,
    Shapes,
    Dtypes,
    Weights,
    State,
    Modes,
    Gradient,
    Returns,
    Errors,
    Source,
    See,
    Example,
}

const HEADS: &[(&str, Head)] = &[
    ("Formula", Head::Formula),
    ("Shapes", Head::Shapes),
    ("Dtypes", Head::Dtypes),
    ("Weights", Head::Weights),
    ("State", Head::State),
    ("Modes", Head::Modes),
    ("Gradient", Head::Gradient),
    ("Returns", Head::Returns),
    ("Errors", Head::Errors),
    ("Source", Head::Source),
    ("See", Head::See),
    ("Example", Head::Example),
];

impl Head {
    fn name(self) -> &'static str {
        HEADS.iter().find(|h| h.1 == self).map_or("", |h| h.0)
    }
}

/// Blocks that say only that there is nothing to say, and how they are told in one line.
const TRIVIAL: &[(Head, &str, &str)] = &[
    (Head::Weights, "none.", "no weights"),
    (Head::State, "none.", "no state"),
    (Head::Modes, "the same in all.", "the same in every mode"),
];

/// A doc comment by its parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Doc {
    /// The first paragraph: one sentence.
    pub summary: String,
    /// Paragraphs before the first block.
    remarks: Vec<String>,
    /// Paragraphs of each block, in order.
    blocks: Vec<(Head, Vec<String>)>,
}

/// A parameter of a function, as its docs show it.
pub struct Param {
    /// Its name in TypeScript.
    pub name: String,
    /// What it is.
    pub doc: String,
}

/// What a doc comment is written for.
pub struct Page<'a> {
    /// Parameters in order.
    pub params: Vec<Param>,
    /// The class of its errors.
    pub thrown: &'a str,
    /// What stands for the word "Trax" at the start of its source: a link to Trax's own file.
    pub trax: &'a str,
}

impl Doc {
    /// Reads a doc comment.
    pub fn parse(text: &str) -> Self {
        let mut opening = Vec::new();
        let mut sections: Vec<(Head, Vec<&str>)> = Vec::new();
        let mut fenced = false;
        for line in text.trim().lines() {
            let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
            match if fenced { None } else { head(line) } {
                Some((head, rest)) => sections.push((head, vec![rest])),
                None => sections.last_mut().map_or(&mut opening, |s| &mut s.1).push(line),
            }
            fenced ^= line.starts_with("```");
        }
        let mut opening = paragraphs(&opening).into_iter();
        Self {
            summary: opening.next().unwrap_or_default(),
            remarks: opening.collect(),
            blocks: sections.into_iter().map(|(head, lines)| (head, paragraphs(&lines))).collect(),
        }
    }

    fn block(&self, head: Head) -> Option<&[String]> {
        self.blocks.iter().find(|b| b.0 == head).map(|b| &b.1[..])
    }

    /// Whether a block says only that there is nothing to say, and how that is told in short.
    fn trivial(&self, head: Head) -> Option<&'static str> {
        let (_, text, short) = TRIVIAL.iter().find(|t| t.0 == head)?;
        (self.block(head)? == [*text]).then_some(short)
    }

    /// What is wrong with the form; `required` blocks must be there.
    pub fn faults(&self, required: &[Head]) -> Vec<String> {
        let mut out = Vec::new();
        let names = HEADS.iter().map(|h| format!("`{}:`", h.0)).collect::<Vec<_>>().join(", ");
        if !self.summary.ends_with('.') || self.summary.contains(". ") || self.summary.contains(".\n") {
            out.push("the first paragraph must be one sentence that ends in a full stop".into());
        }
        for head in required.iter().filter(|h| self.block(**h).is_none()) {
            out.push(format!("`{}:` is missing", head.name()));
        }
        for pair in self.blocks.windows(2) {
            if pair[0].0 >= pair[1].0 {
                out.push(format!("`{}:` must stand before `{}:`", pair[1].0.name(), pair[0].0.name()));
            }
        }
        for (head, _) in self.blocks.iter().filter(|b| b.1.is_empty()) {
            out.push(format!("`{}:` is empty", head.name()));
        }
        let prose = self.remarks.iter().chain(self.blocks.iter().filter(|b| b.0 != Head::Example).flat_map(|b| &b.1));
        // A misspelt head would end up in the text.
        for line in prose.flat_map(|p| p.lines()) {
            let word = line.split_once(": ").map_or(line.strip_suffix(':'), |l| Some(l.0));
            if let Some(word) = word.filter(|w| w.starts_with(char::is_uppercase) && w.chars().all(char::is_alphabetic))
            {
                out.push(format!("`{word}:` is no head; heads are {names}"));
            }
        }
        if let Some(shapes) = self.block(Head::Shapes) {
            let text = shapes.join("\n");
            if text.contains("->") || text.contains("`(") {
                out.push("`Shapes:` writes shapes in brackets and an arrow: `[batch, length]` → `[batch]`".into());
            }
        }
        for item in self.errors() {
            let code = item.strip_prefix('`').and_then(|i| i.split_once("`: ")).map(|i| i.0);
            if code.map_or(!item.starts_with("those "), |c| !ErrorKind::ALL.iter().any(|kind| kind.name() == c)) {
                out.push(format!("an error must be `Code`: cause, or \"those of …\", got: {item}"));
            }
        }
        if let Some(example) = self.block(Head::Example) {
            if !matches!(example, [code] if code.starts_with("```ts\n") && code.ends_with("\n```")) {
                out.push("`Example:` must be one code block, ```ts".into());
            }
        }
        out
    }

    /// The errors: each its code and cause.
    fn errors(&self) -> Vec<String> {
        let text = self.block(Head::Errors).unwrap_or_default().join("\n");
        if text == "none." {
            return Vec::new();
        }
        let mut out: Vec<String> = Vec::new();
        for line in text.lines().map(str::trim) {
            match (line.strip_prefix("- "), out.last_mut()) {
                (Some(item), _) => out.push(item.to_string()),
                (None, Some(last)) => {
                    last.push(' ');
                    *last += line;
                }
                (None, None) => out.push(line.to_string()),
            }
        }
        out
    }

    /// Summary, remarks and the blocks that are prose, as paragraphs. What has nothing to say is told together in one sentence.
    fn prose(&self, trax: &str) -> Vec<String> {
        let mut out = vec![self.summary.clone()];
        out.extend(self.remarks.iter().cloned());
        let last = self.blocks.iter().rposition(|b| self.trivial(b.0).is_some());
        for (at, (head, text)) in self.blocks.iter().enumerate() {
            if matches!(head, Head::Returns | Head::Errors | Head::See | Head::Example) {
                continue;
            }
            if self.trivial(*head).is_some() {
                if Some(at) == last {
                    out.push(self.nothing());
                }
                continue;
            }
            let name = head.name();
            let mut paragraphs = text.clone();
            if *head == Head::Source {
                paragraphs.iter_mut().for_each(|p| *p = linked(p, trax));
            }
            match paragraphs.first_mut() {
                // A list stands below its head.
                Some(first) if first.starts_with("- ") => *first = format!("**{name}**:\n\n{first}"),
                Some(first) => *first = format!("**{name}**: {first}"),
                None => {}
            }
            out.extend(paragraphs);
        }
        out
    }

    /// "No weights, no state; the same in every mode."
    fn nothing(&self) -> String {
        let said = |head| self.trivial(head);
        let things: Vec<&str> = [Head::Weights, Head::State].into_iter().filter_map(said).collect();
        let mut out = things.join(", ");
        if let Some(modes) = said(Head::Modes) {
            if !out.is_empty() {
                out += "; ";
            }
            out += modes;
        }
        out[..1].to_uppercase() + &out[1..] + "."
    }

    /// The comment of a function, as TSDoc, before its declaration.
    pub fn tsdoc(&self, page: &Page) -> String {
        let mut lines = self.prose(page.trax).iter().map(|p| escape(p)).collect::<Vec<_>>().join("\n\n");
        lines.push('\n');
        for p in &page.params {
            let _ = write!(lines, "\n@param {} - {}", p.name, escape(p.doc.trim()));
        }
        if let Some(returns) = self.block(Head::Returns) {
            let _ = write!(lines, "\n@returns {}", escape(&returns.join("\n")));
        }
        for error in self.errors() {
            let _ = write!(lines, "\n@throws {{@link {}}} {}", page.thrown, escape(&error));
        }
        if let Some(see) = self.block(Head::See) {
            let _ = write!(lines, "\n@see {}", names_linked(&see.join(" ")));
        }
        if let Some(example) = self.block(Head::Example) {
            let _ = write!(lines, "\n@example\n{}", example.join("\n"));
        }
        comment(lines.trim_end(), "")
    }

    /// The same as Markdown, without parameters.
    pub fn markdown(&self, page: &Page) -> String {
        let mut out = self.prose(page.trax).join("\n\n") + "\n";
        if let Some(returns) = self.block(Head::Returns) {
            let _ = write!(out, "\n**Returns**: {}\n", returns.join("\n"));
        }
        let errors = self.errors();
        if !errors.is_empty() {
            out += "\n**Errors**:\n\n";
            errors.iter().for_each(|e| {
                let _ = writeln!(out, "- {e}");
            });
        }
        if let Some(see) = self.block(Head::See) {
            let _ = write!(out, "\n**See**: {}\n", see.join(" "));
        }
        if let Some(example) = self.block(Head::Example) {
            let _ = write!(out, "\n{}\n", example.join("\n"));
        }
        out
    }
}

/// What blank lines divide, but for those within a code block.
fn paragraphs(lines: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let (mut fenced, mut fresh) = (false, true);
    for line in lines {
        if line.is_empty() && !fenced {
            fresh = true;
            continue;
        }
        match out.last_mut() {
            Some(last) if !fresh => {
                last.push('\n');
                *last += line;
            }
            _ => out.push((*line).to_string()),
        }
        fresh = false;
        fenced ^= line.starts_with("```");
    }
    out
}

/// The head that opens a block at this line, and what follows it.
fn head(line: &str) -> Option<(Head, &str)> {
    let (name, rest) = line.split_once(':')?;
    HEADS.iter().find(|h| h.0 == name).map(|h| (h.1, rest.trim()))
}

/// A source with its papers on arXiv, and Trax's own file where it begins with "Trax", as links.
fn linked(text: &str, trax: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    if let Some(after) = text.strip_prefix("Trax") {
        out += trax;
        rest = after;
    }
    while let Some(at) = rest.find("arXiv:") {
        let (before, from) = rest.split_at(at);
        let id = &from["arXiv:".len()..];
        let end = id.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(id.len());
        let id = id[..end].trim_end_matches('.');
        let _ = write!(out, "{before}[arXiv:{id}](https://arxiv.org/abs/{id})");
        rest = &from["arXiv:".len() + id.len()..];
    }
    out + rest
}

/// Names in code spans as links to what they name.
fn names_linked(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(i, part)| if i % 2 == 1 { format!("{{@link {part}}}") } else { part.to_string() }).collect()
}

/// A comment of TypeScript around text that is already TSDoc.
pub fn comment(text: &str, indent: &str) -> String {
    let mut out = format!("{indent}/**\n");
    for line in text.lines() {
        let _ = writeln!(out, "{}", format!("{indent} * {}", line.replace("*/", "* /")).trim_end());
    }
    let _ = writeln!(out, "{indent} */");
    out
}

/// Braces, at-signs and angle brackets outside code spans, which TSDoc reads as markup, escaped.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for c in text.chars() {
        if c == '`' {
            code = !code;
        }
        if !code && matches!(c, '{' | '}' | '@' | '<' | '>') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = " Maps the last axis.

 Each item is mapped alike at {each} call.

 Formula: `y = x · w`.
 Shapes: `[..., m]` → `[..., n]`.
 Weights: none.
 State: none.
 Modes: the same in all.
 Errors:
 - `ShapeMismatch`: the input has
   no axes.
 - those of `Conv`.
 Source: Trax; Vaswani et al. 2017, arXiv:1706.03762.
 See: `Embedding`, for ids.
 Example:
 ```ts
 const f = { a: 1 }

 // Shapes: in code is no head.
 ```
";

    const PAGE: Page = Page { params: Vec::new(), thrown: "LayerError", trax: "[core](url)" };

    #[test]
    fn a_comment_has_its_parts() {
        let doc = Doc::parse(TEXT);
        assert_eq!(doc.summary, "Maps the last axis.");
        assert_eq!(doc.remarks, ["Each item is mapped alike at {each} call."]);
        assert_eq!(doc.errors(), ["`ShapeMismatch`: the input has no axes.", "those of `Conv`."]);
        assert_eq!(doc.blocks.last().map(|b| b.1.len()), Some(1));
        assert_eq!(doc.faults(&[Head::Shapes, Head::Example]), [""; 0]);
    }

    #[test]
    fn tsdoc_has_blocks_and_tags() {
        let params = vec![Param { name: "n".into(), doc: "Width, as `{n}`.".into() }];
        let written = Doc::parse(TEXT).tsdoc(&Page { params, ..PAGE });
        let wanted = "/**
 * Maps the last axis.
 *
 * Each item is mapped alike at \\{each\\} call.
 *
 * **Formula**: `y = x · w`.
 *
 * **Shapes**: `[..., m]` → `[..., n]`.
 *
 * No weights, no state; the same in every mode.
 *
 * **Source**: [core](url); Vaswani et al. 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762).
 *
 * @param n - Width, as `{n}`.
 * @throws {@link LayerError} `ShapeMismatch`: the input has no axes.
 * @throws {@link LayerError} those of `Conv`.
 * @see {@link Embedding}, for ids.
 * @example
 * ```ts
 * const f = { a: 1 }
 *
 * // Shapes: in code is no head.
 * ```
 */
";
        assert_eq!(written, wanted);
    }

    #[test]
    fn markdown_has_the_same() {
        let written = Doc::parse(TEXT).markdown(&PAGE);
        assert!(
            written.starts_with("Maps the last axis.\n\nEach item is mapped alike at {each} call.\n\n**Formula**: "),
            "{written}"
        );
        assert!(written
            .contains("\n\n**Errors**:\n\n- `ShapeMismatch`: the input has no axes.\n- those of `Conv`.\n\n**See**: "));
        assert!(
            written.ends_with("\n\n```ts\nconst f = { a: 1 }\n\n// Shapes: in code is no head.\n```\n"),
            "{written}"
        );
    }

    #[test]
    fn what_has_something_to_say_stands_alone() {
        let doc = Doc::parse("A.\n\nWeights: `w`.\nState: none.\nModes: drops in `'train'`.");
        assert_eq!(doc.prose(""), ["A.", "**Weights**: `w`.", "No state.", "**Modes**: drops in `'train'`."]);
        let doc = Doc::parse("A.\n\nModes: the same in all.\nErrors: none.");
        assert_eq!(
            (doc.prose(""), doc.errors().len()),
            (vec!["A.".to_string(), "The same in every mode.".to_string()], 0)
        );
        let doc = Doc::parse("A.\n\nState:\n- one\n- two");
        assert_eq!(doc.prose("")[1], "**State**:\n\n- one\n- two");
    }

    #[test]
    fn faults_are_told() {
        let faults = |text: &str| Doc::parse(text).faults(&[]).join("; ");
        assert_eq!(faults("One. Two."), "the first paragraph must be one sentence that ends in a full stop");
        assert_eq!(faults("One"), "the first paragraph must be one sentence that ends in a full stop");
        assert_eq!(faults("A.\n\nState: none.\nShapes: any."), "`Shapes:` must stand before `State:`");
        assert_eq!(faults("A.\n\nState: none.\nState: none."), "`State:` must stand before `State:`");
        assert_eq!(faults("A.\n\nState:\nModes: any."), "`State:` is empty");
        assert!(faults("A.\n\nMode: any.").starts_with("`Mode:` is no head; heads are `Formula:`, "));
        assert!(faults("A.\n\nState: none.\nSource: B.\nSees: `C`.").starts_with("`Sees:` is no head"));
        assert!(faults("A.\n\nShapes: `(b, l)`.").contains("in brackets"));
        assert!(faults("A.\n\nShapes: `[b]` -> `[b]`.").contains("an arrow"));
        assert!(faults("A.\n\nErrors: `Shape`: no axes.").starts_with("an error must be `Code`: cause"));
        assert!(faults("A.\n\nErrors:\n- when it fails.").ends_with("got: when it fails."));
        assert_eq!(faults("A.\n\nExample: tl.Dense(4)"), "`Example:` must be one code block, ```ts");
        assert_eq!(Doc::parse("A.").faults(&[Head::State, Head::See]), ["`State:` is missing", "`See:` is missing"]);
    }
}

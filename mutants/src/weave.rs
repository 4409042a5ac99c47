//! A source file with all its changes in it, each behind a switch, so that one build serves for all of them.
//!
//! `a + b` becomes `(if mutant::is(7) { a - b } else { a + b })`, a function that returns something else does so as its first act,
//! and a deleted arm of a match gets a guard. Where no switch can be asked (constants, const functions), or where the language has no
//! place for one (`let` in a condition), the change is left to be tried alone. Comments mark what belongs to which change, so that an
//! error of the compiler tells which changes do not compile.

use crate::mutant::{Genre, Mutant};
use std::collections::BTreeMap;
use std::ops::Range;
use syn::visit::{self, Visit};

/// A switchable change: its number, counted over all files of a set.
pub(crate) type Number = usize;

/// What is appended to a crate's root: the switch.
pub(crate) const SWITCH: &str = r#"
#[allow(warnings, clippy::all, missing_docs)]
mod mutant {
    pub(crate) fn is(number: usize) -> bool {
        static WHICH: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        *WHICH.get_or_init(|| std::env::var("TAFFRAIL_MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX)) == number
    }
}
"#;

/// A woven file.
pub(crate) struct Woven {
    pub(crate) text: String,
    /// Changes that are not in it.
    pub(crate) left: Vec<Number>,
}

/// Weaves the changes of one file into it.
pub(crate) fn weave(text: &str, mutants: &[(Number, &Mutant)]) -> Result<Woven, String> {
    let file = syn::parse_file(text).map_err(|error| error.to_string())?;
    let mut places = Places::default();
    places.visit_file(&file);
    let mut nodes: BTreeMap<(usize, std::cmp::Reverse<usize>), Node> = BTreeMap::new();
    let mut left = Vec::new();
    for (number, mutant) in mutants {
        let placed = mutant.range(text).and_then(|range| places.node(text, mutant, range));
        let Some((range, variant)) = placed.filter(|(range, _)| !places.is_constant(range)) else {
            left.push(*number);
            continue;
        };
        nodes.entry((range.start, std::cmp::Reverse(range.end))).or_default().variants.push((*number, variant));
    }
    let nodes: Vec<(Range<usize>, Node)> =
        nodes.into_iter().map(|((start, std::cmp::Reverse(end)), node)| (start..end, node)).collect();
    let mut woven = String::with_capacity(text.len() * 2);
    render(text, 0..text.len(), &nodes, &mut woven);
    Ok(Woven { text: woven, left })
}

/// Places in a file that changes refer to.
#[derive(Default)]
struct Places {
    /// Binary expressions by where their operator starts: themselves, and whether a `let` is among their operands.
    binary: BTreeMap<usize, (Range<usize>, bool)>,
    /// Unary expressions by where they start, with their operand.
    unary: BTreeMap<usize, (Range<usize>, Range<usize>)>,
    /// Arms by where they start: the end of the pattern, and the guard.
    arms: BTreeMap<usize, (usize, Option<Range<usize>>)>,
    constants: Vec<Range<usize>>,
}

impl Places {
    /// Where a change goes, and the text that stands there when it is made; an empty range is an insertion.
    fn node(&self, text: &str, mutant: &Mutant, (start, end): (usize, usize)) -> Option<(Range<usize>, Variant)> {
        match mutant.genre {
            Genre::FnValue => Some((start..start, Variant::Return(mutant.replacement.clone()))),
            Genre::BinaryOperator => {
                let (whole, has_let) = self.binary.get(&start)?;
                let replaced = format!("{}{}{}", &text[whole.start..start], mutant.replacement, &text[end..whole.end]);
                (!has_let).then(|| (whole.clone(), Variant::Value(replaced)))
            }
            Genre::UnaryOperator => {
                let (whole, operand) = self.unary.get(&start)?;
                Some((whole.clone(), Variant::Value(text[operand.clone()].to_owned())))
            }
            Genre::MatchArmGuard => Some((start..end, Variant::Value(mutant.replacement.clone()))),
            Genre::MatchArm => match self.arms.get(&start)? {
                (_, Some(guard)) => Some((guard.clone(), Variant::Value("false".to_owned()))),
                (pattern_end, None) => Some((*pattern_end..*pattern_end, Variant::Guard)),
            },
            Genre::StructField => None,
        }
    }

    fn is_constant(&self, range: &Range<usize>) -> bool {
        self.constants.iter().any(|constant| constant.start <= range.start && range.end <= constant.end)
    }
}

fn bytes(node: &impl syn::spanned::Spanned) -> Range<usize> {
    node.span().byte_range()
}

impl<'a> Visit<'a> for Places {
    fn visit_expr_binary(&mut self, node: &'a syn::ExprBinary) {
        let has_let = has_let(&node.left) || has_let(&node.right);
        self.binary.insert(bytes(&node.op).start, (bytes(node), has_let));
        visit::visit_expr_binary(self, node);
    }
    fn visit_expr_unary(&mut self, node: &'a syn::ExprUnary) {
        self.unary.insert(bytes(node).start, (bytes(node), bytes(&*node.expr)));
        visit::visit_expr_unary(self, node);
    }
    fn visit_arm(&mut self, node: &'a syn::Arm) {
        let guard = node.guard.as_ref().map(|(_, guard)| bytes(&**guard));
        self.arms.insert(bytes(node).start, (bytes(&node.pat).end, guard));
        visit::visit_arm(self, node);
    }
    fn visit_item_const(&mut self, node: &'a syn::ItemConst) {
        self.constants.push(bytes(node));
    }
    fn visit_item_static(&mut self, node: &'a syn::ItemStatic) {
        self.constants.push(bytes(node));
    }
    fn visit_impl_item_const(&mut self, node: &'a syn::ImplItemConst) {
        self.constants.push(bytes(node));
    }
    fn visit_trait_item_const(&mut self, node: &'a syn::TraitItemConst) {
        self.constants.push(bytes(node));
    }
    fn visit_type_array(&mut self, node: &'a syn::TypeArray) {
        self.constants.push(bytes(&node.len));
    }
    fn visit_expr_repeat(&mut self, node: &'a syn::ExprRepeat) {
        self.constants.push(bytes(&*node.len));
        visit::visit_expr_repeat(self, node);
    }
    fn visit_variant(&mut self, node: &'a syn::Variant) {
        self.constants.push(bytes(node));
    }
    fn visit_item_fn(&mut self, node: &'a syn::ItemFn) {
        if node.sig.constness.is_some() {
            self.constants.push(bytes(node));
        }
        visit::visit_item_fn(self, node);
    }
    fn visit_impl_item_fn(&mut self, node: &'a syn::ImplItemFn) {
        if node.sig.constness.is_some() {
            self.constants.push(bytes(node));
        }
        visit::visit_impl_item_fn(self, node);
    }
}

/// Whether an operand is a `let`, or a chain with one: parentheses may not stand around it.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

enum Variant {
    Value(String),
    Return(String),
    Guard,
}

#[derive(Default)]
struct Node {
    variants: Vec<(Number, Variant)>,
}

/// Writes a piece of the file; `nodes` are those within it, outer ones before inner ones.
fn render(text: &str, range: Range<usize>, nodes: &[(Range<usize>, Node)], woven: &mut String) {
    let mut at = range.start;
    let mut next = 0;
    while let Some((place, node)) = nodes.get(next) {
        let inner = nodes[next + 1..].iter().take_while(|(other, _)| other.start < place.end).count();
        woven.push_str(&text[at..place.start]);
        write_node(text, place, node, &nodes[next + 1..next + 1 + inner], woven);
        at = place.end;
        next += 1 + inner;
    }
    woven.push_str(&text[at..range.end]);
}

fn write_node(text: &str, place: &Range<usize>, node: &Node, inner: &[(Range<usize>, Node)], woven: &mut String) {
    let mut values = String::new();
    for (number, variant) in &node.variants {
        let (open, close) = (format!("/*<{number}*/"), format!("/*{number}>*/"));
        match variant {
            Variant::Return(value) => {
                *woven += &format!("{open} if crate::mutant::is({number}) {{ return {value}; }} {close}");
            }
            Variant::Guard => *woven += &format!(" if {open} !crate::mutant::is({number}) {close}"),
            Variant::Value(value) => {
                values += &format!("{open} if crate::mutant::is({number}) {{ {value} }} {close} else ");
            }
        }
    }
    if values.is_empty() {
        // Insertions only; an empty place has nothing in it.
        render(text, place.clone(), inner, woven);
        return;
    }
    *woven += &format!("({values}{{ ");
    render(text, place.clone(), inner, woven);
    *woven += " })";
}

/// Which changes an error at these bytes of a woven file is about: those that it lies in, or else the nearest ones around it.
pub(crate) fn blamed(woven: &str, error: &Range<usize>) -> Vec<Number> {
    let marks = marks(woven);
    let mut around: Vec<&(Number, Range<usize>)> =
        marks.iter().filter(|(_, range)| range.start <= error.start && error.end <= range.end).collect();
    around.sort_by_key(|(_, range)| range.len());
    if let Some((number, _)) = around.first() {
        return vec![*number];
    }
    let inside: Vec<Number> = marks
        .iter()
        .filter(|(_, range)| error.start <= range.start && range.end <= error.end)
        .map(|(number, _)| *number)
        .collect();
    if !inside.is_empty() {
        return inside;
    }
    // The branch that is not changed disagrees with the changed ones before it.
    let before = marks.iter().filter(|(_, range)| range.end <= error.start).max_by_key(|(_, range)| range.end);
    before.map(|(number, _)| *number).into_iter().collect()
}

fn marks(woven: &str) -> Vec<(Number, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = woven[at..].find("/*<").map(|offset| at + offset) {
        let digits: String = woven[start + 3..].chars().take_while(char::is_ascii_digit).collect();
        let close = format!("/*{digits}>*/");
        if let (Ok(number), Some(length)) = (digits.parse(), woven[start..].find(&close)) {
            found.push((number, start..start + length));
        }
        at = start + 3;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "const LEN: usize = 1 << 3;\nfn f(a: usize, b: usize) -> usize {\n    match a {\n        0 if b == 1 => \
                          7,\n        2 => !b,\n        _ => a + b * 2,\n    }\n}\n";

    fn woven(changes: &[Mutant]) -> Woven {
        let numbered: Vec<(Number, &Mutant)> = changes.iter().enumerate().collect();
        weave(SOURCE, &numbered).unwrap()
    }

    #[test]
    fn every_change_stands_behind_its_switch_and_what_was_there_stays() {
        let changes = [
            Mutant::of(SOURCE, "+", Genre::BinaryOperator, "-"),
            Mutant::of(SOURCE, "*", Genre::BinaryOperator, "/"),
            Mutant::of(SOURCE, "!", Genre::UnaryOperator, ""),
            Mutant::of(SOURCE, "b == 1", Genre::MatchArmGuard, "true"),
            Mutant::of(SOURCE, "2 => !b", Genre::MatchArm, ""),
            Mutant::of(SOURCE, "match", Genre::FnValue, "1"),
            Mutant::of(SOURCE, "<<", Genre::BinaryOperator, ">>"),
        ];
        let woven = woven(&changes);
        assert_eq!(woven.left, [6], "a constant asks no switch");
        for (number, what) in [(0, "a - b * 2"), (1, "b / 2"), (2, "b"), (3, "true")] {
            assert!(woven.text.contains(&format!("if crate::mutant::is({number}) {{ {what} }}")), "{}", woven.text);
        }
        assert!(woven.text.contains("!crate::mutant::is(4)") && woven.text.contains("is(5) { return 1; }"));
        syn::parse_file(&woven.text).unwrap();
        // What is not a change is what there was.
        assert!(woven.text.starts_with("const LEN: usize = 1 << 3;\nfn f(a: usize, b: usize) -> usize {\n"));
        assert_eq!(weave(SOURCE, &[]).unwrap().text, SOURCE);
    }

    #[test]
    fn an_error_is_blamed_on_the_change_that_it_is_in() {
        let changes =
            [Mutant::of(SOURCE, "+", Genre::BinaryOperator, "-"), Mutant::of(SOURCE, "*", Genre::BinaryOperator, "/")];
        let text = woven(&changes).text;
        let at = |what: &str| text.find(what).unwrap();
        assert_eq!(blamed(&text, &(at("a - b")..at("a - b") + 5)), [0]);
        assert_eq!(blamed(&text, &(at("b / 2")..at("b / 2") + 5)), [1]);
        let first = at("const");
        assert!(blamed(&text, &(first..first + 5)).is_empty());
        assert_eq!(blamed(&text, &(0..text.len())).len(), 2, "all that lie in it");
    }

    #[test]
    fn a_condition_with_let_is_left_alone() {
        let source = "fn f(a: Option<u8>) -> bool { if let Some(b) = a && b == 1 { true } else { false } }";
        let changes = [
            Mutant::of(source, "&&", Genre::BinaryOperator, "||"),
            Mutant::of(source, "==", Genre::BinaryOperator, "!="),
        ];
        let numbered: Vec<(Number, &Mutant)> = changes.iter().enumerate().collect();
        let woven = weave(source, &numbered).unwrap();
        assert_eq!(woven.left, [0]);
        assert!(woven.text.contains("{ b != 1 }"));
        syn::parse_file(&woven.text).unwrap();
    }
}

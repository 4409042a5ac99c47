//! The language, table by table, and its properties.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    EXPRESSION_DEPTH_MAX, EXPRESSION_LEN_BYTES_MAX, EXPRESSION_PATTERNS_MAX, Expression, Literal, Node, Operator, Path,
    PathStep, Pattern,
};

fn state() -> Value {
    json!({
        "status": "failed",
        "tries": [1, 2, {"exit": 101}],
        "steps": {"fix-login": {"ms": 8667}, "1st": {"ms": 1}, "true": 1, "": 2, "a.b": 3},
        "nothing": null,
        "empty": "",
        "done": true,
        "open": false,
        "big": 18_446_744_073_709_551_615_u64,
        "small": -9_223_372_036_854_775_808_i64,
        "half": 2.5,
        "two": 2.0,
        "near": 9_007_199_254_740_992.0,
        "huge": 1e300,
        "name": "größe",
        "list": [1, 2.0], "same": [1.0, 2],
        "part": {"a": 1}, "more": {"a": 1, "b": 2}, "other": {"a": 1, "c": 2},
    })
}

const MEANINGS: &[(&str, bool)] = &[
    ("true", true),
    ("false", false),
    ("null", false),
    ("1", false),
    ("'true'", false),
    ("status == \"failed\"", true),
    ("status == 'failed'", true),
    ("status != 'failed'", false),
    ("tries[0] == 1", true),
    ("tries[2].exit >= 101", true),
    ("tries[2].exit > 101", false),
    ("tries[3] == null", true),
    ("tries[4294967295] == null", true),
    ("steps.fix-login.ms == 8667", true),
    ("steps.\"1st\".ms == 1", true),
    ("steps['1st'].ms == 1", true),
    ("['steps']['1st']['ms'] == 1", true),
    ("steps.true == 1", true),
    ("steps[''] == 2", true),
    ("steps['a.b'] == 3 && !exists(steps.a.b)", true),
    // A missing path is null; exists tells the difference.
    ("missing == null", true),
    ("missing.deeper[7].still == null", true),
    ("status.deeper == null", true),
    ("nothing == null", true),
    ("exists(nothing)", true),
    ("exists(missing)", false),
    ("exists(tries[2].exit)", true),
    ("exists(tries[3])", false),
    ("exists == null && len == null", true),
    // Different kinds: never equal, never ordered.
    ("status == 1", false),
    ("status != 1", true),
    ("missing != 1", true),
    ("missing < 1", false),
    ("missing >= 1", false),
    ("!(missing >= 1)", true),
    ("done == 1", false),
    ("done == 'true'", false),
    ("done > open", false),
    ("nothing <= nothing", false),
    ("tries == steps", false),
    ("tries == tries", true),
    ("list == same", true),
    ("list == tries", false),
    ("steps == steps", true),
    ("part == more || more == part", false),
    ("more == other", false),
    ("tries == list || list == tries", false),
    ("steps != tries", true),
    // Order.
    ("status < 'failee'", true),
    ("status > 'faile'", true),
    ("empty < status", true),
    ("-1 < 0", true),
    ("small == -9223372036854775808", true),
    ("small < -9223372036854775807", true),
    ("big > 9223372036854775807", true),
    ("half > 2 && half < 3", true),
    ("two == 2", true),
    ("2 < half", true),
    // 2^53 as a float is not 2^53 + 1.
    ("near == 9007199254740992", true),
    ("near == 9007199254740993", false),
    ("near < 9007199254740993", true),
    ("huge > big", true),
    ("huge > 1", true),
    // Matching searches.
    ("status =~ 'ail'", true),
    ("status =~ '^ail'", false),
    ("status =~ \"(?i)^FAILED$\"", true),
    ("tries =~ '.'", false),
    ("missing =~ ''", false),
    ("name =~ '^gr..e$'", true),
    // Lengths.
    ("len(name) == 5", true),
    ("len(tries) == 3", true),
    ("len(steps) == 5", true),
    ("len(empty) == 0", true),
    ("len(missing) == null", true),
    ("len(half) == null", true),
    // Logic and precedence.
    ("done && open", false),
    ("done || open", true),
    ("open || done && done", true),
    ("(open || done) && open", false),
    ("done || done && open", true),
    ("!open", true),
    ("!!done", true),
    ("!missing", true),
    ("!1", true),
    ("!open == done", true),
    ("!(open == done)", true),
    ("(status == 'failed') == done", true),
    ("(tries[0] < 2) == (tries[1] < 2)", false),
    ("\t status\n==\r\n'failed' ", true),
    (
        r#""a\u{1F600}\n" == 'a😀
'"#,
        true,
    ),
    (r#"'\'' == "'""#, true),
];

#[test]
fn expressions_mean_what_the_manual_says() {
    for (source, expected) in MEANINGS {
        let expression = Expression::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(expression.holds(&state()), *expected, "{source}");
        let again = Expression::parse(&expression.to_string()).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(again, expression, "{source} -> {expression}");
    }
}

#[test]
fn errors_name_the_column_and_what_was_expected() {
    let table: &[(&str, usize, &str)] = &[
        ("", 1, "expected a path, a value, `!` or `(`, found the end"),
        ("   ", 4, "expected a path, a value, `!` or `(`, found the end"),
        ("a = 1", 3, "expected `==` or `=~`, found `=`"),
        ("a & b", 3, "expected `&&`, found `&`"),
        ("a | b", 3, "expected `||`, found `|`"),
        ("a == ", 6, "expected a path, a value, `!` or `(`, found the end"),
        ("größe == 'x", 10, "this string has no closing '"),
        ("größe == \"x", 10, "this string has no closing \""),
        ("ü == 1 2", 8, "expected an operator or the end, found `2`"),
        ("a == 1 == 2", 8, "expected `&&`, `||` or the end (comparisons do not chain; use parentheses), found `==`"),
        ("(a", 3, "expected an operator or `)`, found the end"),
        ("a)", 2, "expected an operator or the end, found `)`"),
        ("a.", 3, "expected a key after `.`, found the end"),
        ("a.1", 3, "expected a key after `.`, found `1`"),
        ("a[", 3, "expected an index or a quoted key, found the end"),
        ("a[-1]", 3, "expected an index from 0 to 4294967295, found `-1`"),
        ("a[4294967296]", 3, "expected an index from 0 to 4294967295, found `4294967296`"),
        ("a[1", 4, "expected `]`, found the end"),
        ("exists(1)", 8, "expected a path, found `1`"),
        ("exists(true)", 8, "expected a path, found `true`"),
        ("exists(a", 9, "expected `)` after the path, found the end"),
        ("length(a)", 1, "expected `exists(...)` or `len(...)`, found `length`"),
        ("9223372036854775808", 1, "this integer does not fit 64 bits"),
        ("a < -", 5, "expected a digit after `-`, found no digit"),
        ("1a", 2, "expected an end of the integer, found 'a'"),
        ("a == 1.5", 7, "expected an operator or the end, found `.`"),
        ("a =~ b", 6, "expected a string with a regular expression, found `b`"),
        ("a =~ '('", 6, "not a regular expression: unclosed group"),
        ("a =~ '\\\\w{1000}{1000}'", 6, "this pattern needs more than 1048576 bytes"),
        (r"'\q'", 2, r#"unknown escape; expected one of \\ \" \' \n \r \t \u{...}"#),
        (r"'\u{d800}'", 2, r#"unknown escape; expected one of \\ \" \' \n \r \t \u{...}"#),
        ("a == #", 6, "expected a path, a value or an operator, found '#'"),
        ("a == \u{202e}", 6, "expected a path, a value or an operator, found '\\u{202e}'"),
    ];
    for (source, column, message) in table {
        let error = Expression::parse(source).expect_err(source);
        assert_eq!((error.column, error.kind.to_string().as_str()), (*column, *message), "{source}");
        assert_eq!(error.to_string(), format!("column {column}: {message}"));
    }
}

#[test]
fn hostile_sizes_are_refused_and_the_largest_accepted_ones_work() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::parse(&nested(EXPRESSION_DEPTH_MAX)).is_ok());
    let error = Expression::parse(&nested(EXPRESSION_DEPTH_MAX + 1)).expect_err("too deep");
    assert_eq!(error.to_string(), "column 65: nested deeper than 64");

    let negated = |depth: usize| format!("{}done", "!".repeat(depth));
    assert!(Expression::parse(&negated(EXPRESSION_DEPTH_MAX)).expect("64 deep").holds(&state()));
    assert!(Expression::parse(&negated(EXPRESSION_DEPTH_MAX + 1)).is_err());
    assert!(Expression::parse(&"(".repeat(EXPRESSION_LEN_BYTES_MAX)).is_err());

    let siblings = vec!["(!!done)"; 1_000].join(" && ");
    assert!(Expression::parse(&siblings).expect("beside is not below").holds(&state()));

    let wide = vec!["done"; 2_000].join(" && ");
    assert!(Expression::parse(&wide).expect("wide is not deep").holds(&state()));

    let long = "a".repeat(EXPRESSION_LEN_BYTES_MAX);
    assert!(Expression::parse(&long).is_ok());
    let error = Expression::parse(&format!("{long}a")).expect_err("too long");
    assert_eq!(error.to_string(), "column 16385: longer than 16384 bytes");

    let patterns = |count: usize| vec!["a =~ 'x'"; count].join(" || ");
    assert!(Expression::parse(&patterns(EXPRESSION_PATTERNS_MAX)).is_ok());
    let error = Expression::parse(&patterns(EXPRESSION_PATTERNS_MAX + 1)).expect_err("too many");
    assert!(error.to_string().ends_with("more than 16 patterns"), "{error}");
}

#[test]
fn answers_borrow_from_the_value() {
    let value = state();
    let expression: Expression = "status".parse().expect("a path");
    let super::Answer::String(text) = expression.evaluate(&value) else { panic!("not a string") };
    assert!(std::ptr::eq(text, value["status"].as_str().expect("a string")));
}

fn path() -> impl Strategy<Value = Path> {
    let key = prop_oneof![
        "[a-z_][a-z0-9_-]{0,6}",
        "\\PC{0,4}",
        Just("true".to_owned()),
        Just("null".to_owned()),
        any::<String>()
    ];
    let step = prop_oneof![3 => key.prop_map(PathStep::Key), 1 => any::<u32>().prop_map(PathStep::Index)];
    prop::collection::vec(step, 1..4).prop_map(|steps| Path { steps })
}

fn node() -> impl Strategy<Value = Node> {
    let literal = prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        any::<i64>().prop_map(Literal::Integer),
        any::<String>().prop_map(Literal::String),
    ];
    let operator = prop::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ]);
    let leaf = prop_oneof![
        literal.prop_map(Node::Literal),
        path().prop_map(Node::Path),
        path().prop_map(Node::Exists),
        path().prop_map(Node::Length),
    ];
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let pattern = prop::sample::select(vec!["a\\.b\"", "^x'$", ""])
            .prop_map(|source| Pattern::compile(source).expect("a valid pattern"));
        prop_oneof![
            boxed.clone().prop_map(Node::Not),
            (boxed.clone(), operator.clone(), boxed.clone()).prop_map(|(left, operator, right)| Node::Compare {
                left,
                operator,
                right
            }),
            (boxed, pattern).prop_map(|(left, pattern)| Node::Matches { left, pattern }),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::All),
            prop::collection::vec(inner, 2..4).prop_map(Node::Any),
        ]
    })
}

#[test]
fn an_expression_tells_which_members_it_is_about() {
    for (source, mentions) in [
        ("data.n > 3", true),
        ("run == 'a' && !(len(data) == 2)", true),
        ("seq < 7 || exists(data.x)", true),
        ("run =~ 'x' || data.text =~ 'y'", true),
        ("3 == data", true),
        ("run == 'data' && run.data == 1 && type =~ 'data'", false),
        ("true", false),
        ("database == 1 || [0].data == 1", false),
    ] {
        assert_eq!(Expression::parse(source).expect(source).mentions("data"), mentions, "{source}");
    }
}

proptest! {
    #[test]
    fn what_is_displayed_parses_back(root in node()) {
        let text = root.to_string();
        match Expression::parse(&text) {
            Ok(parsed) => prop_assert_eq!(parsed.root(), &root, "{}", text),
            // Only the number of patterns can be beyond a limit here.
            Err(error) => prop_assert!(error.to_string().ends_with("patterns"), "{}: {}", text, error),
        }
        prop_assert!(!text.chars().any(char::is_control), "{:?}", text);
    }

    #[test]
    fn no_text_makes_it_panic(source in any::<String>()) {
        if let Ok(expression) = Expression::parse(&source) {
            let holds = expression.holds(&state());
            prop_assert_eq!(holds, expression.evaluate(&state()).is_true());
        }
    }

    #[test]
    fn no_near_miss_makes_it_panic(source in r#"([a-c. \[\]()!=<>~&|"'\\0-9-]|exists|len|true|null|u\{){0,40}"#) {
        match Expression::parse(&source) {
            Ok(expression) => {
                let again = Expression::parse(&expression.to_string());
                let holds = again.as_ref().map(|again| again.holds(&state()));
                prop_assert_eq!(holds, Ok(expression.holds(&state())));
                prop_assert_eq!(again.as_ref(), Ok(&expression));
            }
            Err(error) => prop_assert!((1..=source.chars().count() + 1).contains(&error.column)),
        }
    }
}

//! `[redaction]`: what never reaches the log.

use super::UnitError;
use crate::error::Result;
use crate::redact::{FieldPath, Redactor, pattern};
use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

/// The keys of the table.
pub(super) const KEYS: [&str; 3] = ["fields", "patterns", "secrets"];
/// Most entries of each.
const MOST: usize = 256;

/// What a `[redaction]` table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedactionConfig {
    /// Paths of fields, `data.NAME`.
    pub fields: Vec<FieldPath>,
    /// Names, and regular expressions that are valid.
    pub patterns: Vec<(String, String)>,
    /// Variables of the environment that hold secrets. Their values are read when a journal is opened, and never stored.
    pub secrets: Vec<String>,
}

/// What is wrong with a table, and where.
pub(super) enum Wrong {
    /// A value: its place, whose it is, what was expected.
    Value(Range<usize>, String, UnitError),
    /// A key that means nothing here.
    Key(Range<usize>, String),
}

impl RedactionConfig {
    /// Reads the table. An unknown key comes back as it is written, with its place.
    pub(super) fn read(value: &Spanned<DeValue<'_>>) -> std::result::Result<Self, Wrong> {
        let wrong = |value: &Spanned<DeValue<'_>>, key: &str, expected| {
            let found = value.get_ref().type_str();
            let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
            let error = UnitError { expected, example: "", found: format!("{article} {found}") };
            Wrong::Value(value.span(), key.to_owned(), error)
        };
        let table = value.get_ref().as_table().ok_or_else(|| wrong(value, "redaction", "a table"))?;
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut config = Self::default();
        for (key, value) in entries {
            let name = format!("redaction.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "fields" => {
                    for (text, span) in texts(value).map_err(|at| wrong(at, &name, "a list of paths"))? {
                        let expected = "a path to a field";
                        let field = FieldPath::parse(&text);
                        let field = field.map_err(|_| told(span, &name, &text, expected, "\"data.password\""))?;
                        config.fields.push(field);
                    }
                }
                "secrets" => {
                    for (text, span) in texts(value).map_err(|at| wrong(at, &name, "a list of names of variables"))? {
                        if !is_name(&text) {
                            return Err(told(span, &name, &text, "the name of a variable", "\"GITHUB_TOKEN\""));
                        }
                        config.secrets.push(text);
                    }
                }
                "patterns" => {
                    let patterns = value.get_ref().as_table();
                    let patterns = patterns.ok_or_else(|| wrong(value, &name, "a table of names and patterns"))?;
                    let mut patterns: Vec<_> = patterns.iter().collect();
                    patterns.sort_by_key(|(key, _)| key.span().start);
                    for (key, value) in patterns {
                        let whose = format!("{name}.{}", key.get_ref());
                        let text = value.get_ref().as_str();
                        let text = text.ok_or_else(|| wrong(value, &whose, "a regular expression"))?;
                        if pattern(text).is_err() || !is_name(key.get_ref()) {
                            let expected = "a name and a regular expression that does not match the empty text";
                            return Err(told(value.span(), &whose, text, expected, ""));
                        }
                        config.patterns.push((key.get_ref().to_string(), text.to_owned()));
                    }
                }
                other => return Err(Wrong::Key(key.span(), other.to_owned())),
            }
        }
        let longest = config.fields.len().max(config.patterns.len()).max(config.secrets.len());
        if longest > MOST {
            let expected = "at most 256 entries of each kind";
            let error = UnitError { expected, example: "", found: longest.to_string() };
            return Err(Wrong::Value(value.span(), "redaction".to_owned(), error));
        }
        Ok(config)
    }

    /// The redactor that does it; `variable` looks a variable of the environment up. One that is not set, or empty, is no
    /// secret.
    ///
    /// # Errors
    /// `Invalid` (T0407) where the value of a secret is too short to be told from other text.
    pub fn redactor(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Redactor> {
        let mut redactor = Redactor::new();
        for field in &self.fields {
            redactor = redactor.field(field.clone());
        }
        for (name, text) in &self.patterns {
            // It was read, so it is valid.
            if let Ok(pattern) = pattern(text) {
                redactor = redactor.pattern(name, pattern);
            }
        }
        for name in &self.secrets {
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                redactor = redactor.secret(name, &value)?;
            }
        }
        Ok(redactor)
    }

    /// The text of a table that says the same.
    pub(super) fn to_toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let mut text = "\n[redaction]\n".to_owned();
        let fields: Vec<String> = self.fields.iter().map(|field| quoted(field.as_str())).collect();
        text.push_str(&format!("fields = {}\n", list(fields)));
        text.push_str(&format!("secrets = {}\n", list(self.secrets.iter().map(|name| quoted(name)).collect())));
        if !self.patterns.is_empty() {
            text.push_str("\n[redaction.patterns]\n");
            for (name, pattern) in &self.patterns {
                text.push_str(&format!("{name} = {}\n", quoted(pattern)));
            }
        }
        text
    }
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(is_plain)
}

fn told(span: Range<usize>, whose: &str, found: &str, expected: &'static str, example: &'static str) -> Wrong {
    Wrong::Value(span, whose.to_owned(), UnitError::expected(found, expected, example))
}

/// The strings of a list, with their places; the value that is no such thing.
fn texts<'v, 't>(
    value: &'v Spanned<DeValue<'t>>,
) -> std::result::Result<Vec<(String, Range<usize>)>, &'v Spanned<DeValue<'t>>> {
    let items = value.get_ref().as_array().ok_or(value)?;
    items.iter().map(|item| item.get_ref().as_str().map(|text| (text.to_owned(), item.span())).ok_or(item)).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::StoreConfig;

    #[test]
    fn a_table_reads_and_writes_back_and_errors_tell_their_line() {
        let text = "[redaction]\nfields = [\"data.password\", \"data.a.*.b\"]\nsecrets = ['TOKEN']\n\n[redaction.patterns]\naws = 'AKIA[0-9A-Z]{16}'\n";
        let config = StoreConfig::parse(text.as_bytes()).expect("valid");
        let redaction = config.redaction.clone().expect("a table");
        assert_eq!((redaction.fields.len(), redaction.secrets.len(), redaction.patterns.len()), (2, 1, 1));
        assert_eq!(StoreConfig::parse(config.to_toml().as_bytes()), Ok(config));
        let redactor =
            redaction.redactor(&|name| (name == "TOKEN").then(|| "hunter22".to_owned())).expect("a redactor");
        assert!(redactor.finds(b"x hunter22 y") && redactor.finds(b"AKIA0123456789ABCDEF") && !redactor.finds(b"AKIA"));
        assert!(redaction.redactor(&|_| Some("abc".to_owned())).is_err(), "a secret that is found everywhere");
        for (text, message) in [
            ("[redaction]\nfeilds = []", "line 2, column 1: unknown key \"feilds\"; did you mean \"fields\"?"),
            ("redaction = 3", "line 1, column 13: redaction: expected a table, found an integer"),
            (
                "[redaction]\n\nfields = ['x']",
                "line 3, column 11: redaction.fields: expected a path to a field (such as \"data.password\"), found \"x\"",
            ),
            (
                "[redaction]\nsecrets = [1]",
                "line 2, column 12: redaction.secrets: expected a list of names of variables, found an integer",
            ),
            (
                "[redaction]\npatterns = { a = '(' }",
                "line 2, column 18: redaction.patterns.a: expected a name and a regular expression that does not match the empty text, found \"(\"",
            ),
        ] {
            assert_eq!(StoreConfig::parse(text.as_bytes()).expect_err(text).to_string(), message);
        }
    }
}

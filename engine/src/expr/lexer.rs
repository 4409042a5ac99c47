//! Text to tokens.

use std::iter::Peekable;
use std::str::Chars;

use super::ast::Operator;
use super::error::{ExpressionError, ExpressionErrorKind as Kind};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    String(String),
    Integer(i64),
    Compare(Operator),
    Matches,
    And,
    Or,
    Not,
    Open,
    Close,
    OpenIndex,
    CloseIndex,
    Dot,
    End,
}

impl Token {
    /// For the "found" of an error.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::String(_) => "a string".to_owned(),
            Self::Integer(value) => format!("`{value}`"),
            Self::Compare(operator) => format!("`{}`", operator.symbol()),
            Self::Matches => "`=~`".to_owned(),
            Self::And => "`&&`".to_owned(),
            Self::Or => "`||`".to_owned(),
            Self::Not => "`!`".to_owned(),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::OpenIndex => "`[`".to_owned(),
            Self::CloseIndex => "`]`".to_owned(),
            Self::Dot => "`.`".to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

/// A token and the column where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) column: usize,
}

/// Whether a key can be written without quotes.
pub(super) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(starts_name) && characters.all(continues_name)
}

/// Whether a name is a constant where a path could start.
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(name, "true" | "false" | "null")
}

fn starts_name(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn continues_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '-'
}

/// All tokens of a source, with [`Token::End`] last.
pub(super) fn tokens(source: &str) -> Result<Vec<Placed>, ExpressionError> {
    let mut lexer = Lexer { characters: source.chars().peekable(), column: 1 };
    let mut tokens = Vec::new();
    loop {
        let placed = lexer.next_token()?;
        let ended = placed.token == Token::End;
        tokens.push(placed);
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'source> {
    characters: Peekable<Chars<'source>>,
    column: usize,
}

impl Lexer<'_> {
    fn take(&mut self) -> Option<char> {
        let character = self.characters.next()?;
        self.column += 1;
        Some(character)
    }

    fn take_if(&mut self, wanted: char) -> bool {
        let found = self.characters.next_if_eq(&wanted).is_some();
        self.column += usize::from(found);
        found
    }

    fn take_while(&mut self, first: char, wanted: fn(char) -> bool) -> String {
        let mut text = String::from(first);
        while let Some(character) = self.characters.next_if(|character| wanted(*character)) {
            self.column += 1;
            text.push(character);
        }
        text
    }

    fn next_token(&mut self) -> Result<Placed, ExpressionError> {
        while self.characters.peek().is_some_and(|character| character.is_whitespace()) {
            self.take();
        }
        let column = self.column;
        let Some(character) = self.take() else {
            return Ok(Placed { token: Token::End, column });
        };
        let token = match character {
            '(' => Token::Open,
            ')' => Token::Close,
            '[' => Token::OpenIndex,
            ']' => Token::CloseIndex,
            '.' => Token::Dot,
            '"' | '\'' => Token::String(self.string(character, column)?),
            '<' if self.take_if('=') => Token::Compare(Operator::LessOrEqual),
            '<' => Token::Compare(Operator::Less),
            '>' if self.take_if('=') => Token::Compare(Operator::GreaterOrEqual),
            '>' => Token::Compare(Operator::Greater),
            '!' if self.take_if('=') => Token::Compare(Operator::NotEqual),
            '!' => Token::Not,
            '=' if self.take_if('=') => Token::Compare(Operator::Equal),
            '=' if self.take_if('~') => Token::Matches,
            '=' => return Err(unexpected("`==` or `=~`", "`=`", column)),
            '&' if self.take_if('&') => Token::And,
            '&' => return Err(unexpected("`&&`", "`&`", column)),
            '|' if self.take_if('|') => Token::Or,
            '|' => return Err(unexpected("`||`", "`|`", column)),
            '-' | '0'..='9' => self.integer(character, column)?,
            other if starts_name(other) => Token::Name(self.take_while(other, continues_name)),
            other => {
                return Err(unexpected("a path, a value or an operator", &format!("{other:?}"), column));
            }
        };
        Ok(Placed { token, column })
    }

    fn integer(&mut self, first: char, column: usize) -> Result<Token, ExpressionError> {
        let digits = self.take_while(first, |character| character.is_ascii_digit());
        if digits == "-" {
            return Err(unexpected("a digit after `-`", "no digit", column));
        }
        if let Some(next) = self.characters.peek().copied().filter(|next| continues_name(*next)) {
            return Err(unexpected("an end of the integer", &format!("{next:?}"), self.column));
        }
        digits.parse().map(Token::Integer).map_err(|_| Kind::IntegerTooLarge.at(column))
    }

    fn string(&mut self, quote: char, start: usize) -> Result<String, ExpressionError> {
        let mut text = String::new();
        loop {
            let column = self.column;
            match self.take() {
                None => return Err(Kind::UnclosedString { quote }.at(start)),
                Some(end) if end == quote => return Ok(text),
                Some('\\') => text.push(self.escape().ok_or_else(|| Kind::Escape.at(column))?),
                Some(other) => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        match self.take()? {
            same @ ('\\' | '"' | '\'') => Some(same),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' if self.take_if('{') => {
                let mut digits = String::new();
                while !self.take_if('}') {
                    digits.push(self.take().filter(char::is_ascii_hexdigit)?);
                }
                u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
            }
            _ => None,
        }
    }
}

fn unexpected(expected: &'static str, found: &str, column: usize) -> ExpressionError {
    Kind::Unexpected { expected, found: found.to_owned() }.at(column)
}

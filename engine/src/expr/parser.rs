//! Tokens to a tree, by recursive descent with a bounded depth.

use super::ast::{Literal, Node, Path, PathStep, Pattern};
use super::error::{ExpressionError, ExpressionErrorKind as Kind};
use super::lexer::{self, Placed, Token};
use super::{EXPRESSION_DEPTH_MAX, EXPRESSION_LEN_BYTES_MAX, EXPRESSION_PATTERNS_MAX};

pub(super) fn parse(source: &str) -> Result<Node, ExpressionError> {
    if source.len() > EXPRESSION_LEN_BYTES_MAX {
        let column = source.char_indices().take_while(|(index, _)| *index < EXPRESSION_LEN_BYTES_MAX).count() + 1;
        return Err(Kind::TooLong { max: EXPRESSION_LEN_BYTES_MAX }.at(column));
    }
    let mut parser = Parser { tokens: lexer::tokens(source)?, next: 0, depth: 0, patterns: 0 };
    let root = parser.any()?;
    parser.expect(&Token::End, "an operator or the end")?;
    Ok(root)
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
    patterns: usize,
}

impl Parser {
    /// The next token; [`Token::End`] for ever at the end.
    fn peek(&self) -> &Placed {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Placed {
        let placed = self.peek().clone();
        self.next += 1;
        placed
    }

    fn take_if(&mut self, token: &Token) -> bool {
        let found = self.peek().token == *token;
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token, expected: &'static str) -> Result<(), ExpressionError> {
        if self.take_if(token) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: &'static str) -> ExpressionError {
        let placed = self.peek();
        Kind::Unexpected { expected, found: placed.token.describe() }.at(placed.column)
    }

    /// Runs a nested rule one level deeper.
    fn deeper<T>(
        &mut self,
        column: usize,
        rule: impl FnOnce(&mut Self) -> Result<T, ExpressionError>,
    ) -> Result<T, ExpressionError> {
        if self.depth == EXPRESSION_DEPTH_MAX {
            return Err(Kind::TooDeep { max: EXPRESSION_DEPTH_MAX }.at(column));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    fn any(&mut self) -> Result<Node, ExpressionError> {
        let first = self.all()?;
        if self.peek().token != Token::Or {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take_if(&Token::Or) {
            operands.push(self.all()?);
        }
        Ok(Node::Any(operands))
    }

    fn all(&mut self) -> Result<Node, ExpressionError> {
        let first = self.comparison()?;
        if self.peek().token != Token::And {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take_if(&Token::And) {
            operands.push(self.comparison()?);
        }
        Ok(Node::All(operands))
    }

    fn comparison(&mut self) -> Result<Node, ExpressionError> {
        let left = self.unary()?;
        let node = match self.peek().token {
            Token::Compare(operator) => {
                self.take();
                let right = self.unary()?;
                Node::Compare { left: Box::new(left), operator, right: Box::new(right) }
            }
            Token::Matches => {
                self.take();
                Node::Matches { left: Box::new(left), pattern: self.pattern()? }
            }
            _ => return Ok(left),
        };
        match self.peek().token {
            Token::Compare(_) | Token::Matches => {
                Err(self.unexpected("`&&`, `||` or the end (comparisons do not chain; use parentheses)"))
            }
            _ => Ok(node),
        }
    }

    fn pattern(&mut self) -> Result<Pattern, ExpressionError> {
        let Placed { token, column } = self.peek().clone();
        let Token::String(source) = token else {
            return Err(self.unexpected("a string with a regular expression"));
        };
        if self.patterns == EXPRESSION_PATTERNS_MAX {
            return Err(Kind::TooManyPatterns { max: EXPRESSION_PATTERNS_MAX }.at(column));
        }
        self.patterns += 1;
        self.take();
        Pattern::compile(&source).map_err(|reason| Kind::Pattern(reason).at(column))
    }

    fn unary(&mut self) -> Result<Node, ExpressionError> {
        let column = self.peek().column;
        if self.take_if(&Token::Not) {
            return self.deeper(column, |parser| Ok(Node::Not(Box::new(parser.unary()?))));
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Node, ExpressionError> {
        let Placed { token, column } = self.peek().clone();
        match token {
            Token::Open => {
                self.take();
                let inner = self.deeper(column, Self::any)?;
                self.expect(&Token::Close, "an operator or `)`")?;
                Ok(inner)
            }
            Token::String(text) => {
                self.take();
                Ok(Node::Literal(Literal::String(text)))
            }
            Token::Integer(value) => {
                self.take();
                Ok(Node::Literal(Literal::Integer(value)))
            }
            Token::OpenIndex => self.path().map(Node::Path),
            Token::Name(name) => self.named(&name),
            _ => Err(self.unexpected("a path, a value, `!` or `(`")),
        }
    }

    /// A constant, a call, or a path that starts with a name.
    fn named(&mut self, name: &str) -> Result<Node, ExpressionError> {
        let constant = match name {
            "null" => Some(Literal::Null),
            "true" => Some(Literal::Boolean(true)),
            "false" => Some(Literal::Boolean(false)),
            _ => None,
        };
        if let Some(literal) = constant {
            self.take();
            return Ok(Node::Literal(literal));
        }
        if self.tokens.get(self.next + 1).is_none_or(|after| after.token != Token::Open) {
            return self.path().map(Node::Path);
        }
        let call: fn(Path) -> Node = match name {
            "exists" => Node::Exists,
            "len" => Node::Length,
            _ => return Err(self.unexpected("`exists(...)` or `len(...)`")),
        };
        self.take();
        self.take();
        let path = self.path()?;
        self.expect(&Token::Close, "`)` after the path")?;
        Ok(call(path))
    }

    fn path(&mut self) -> Result<Path, ExpressionError> {
        let first = match self.peek().token.clone() {
            Token::Name(name) if lexer::is_reserved(&name) => return Err(self.unexpected("a path")),
            Token::Name(name) => {
                self.take();
                PathStep::Key(name)
            }
            Token::OpenIndex => self.index()?,
            _ => return Err(self.unexpected("a path")),
        };
        let mut steps = vec![first];
        loop {
            if self.take_if(&Token::Dot) {
                let (Token::Name(key) | Token::String(key)) = self.peek().token.clone() else {
                    return Err(self.unexpected("a key after `.`"));
                };
                self.take();
                steps.push(PathStep::Key(key));
            } else if self.peek().token == Token::OpenIndex {
                steps.push(self.index()?);
            } else {
                return Ok(Path { steps });
            }
        }
    }

    /// `[3]` or `["key"]`.
    fn index(&mut self) -> Result<PathStep, ExpressionError> {
        self.take();
        let step = match self.peek().token.clone() {
            Token::String(key) => PathStep::Key(key),
            Token::Integer(value) => match u32::try_from(value) {
                Ok(index) => PathStep::Index(index),
                Err(_) => return Err(self.unexpected("an index from 0 to 4294967295")),
            },
            _ => return Err(self.unexpected("an index or a quoted key")),
        };
        self.take();
        self.expect(&Token::CloseIndex, "`]`")?;
        Ok(step)
    }
}

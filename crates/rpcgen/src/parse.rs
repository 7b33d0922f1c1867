//! From words to definitions (RFC 4506 §6.3, RFC 5531 §12.2).

use crate::ast::{
    Arm, Base, Body, Declaration, Definition, Placed, Procedure, Shape, Type, Union, Value, Version,
};
use crate::error::{Error, Place};
use crate::scan::{Kind, Token};

/// Words that can't be names (RFC 4506 §6.4, RFC 5531 §12.3).
const KEYWORDS: &[&str] = &[
    "bool",
    "case",
    "const",
    "default",
    "double",
    "quadruple",
    "enum",
    "float",
    "hyper",
    "int",
    "opaque",
    "program",
    "string",
    "struct",
    "switch",
    "typedef",
    "union",
    "unsigned",
    "version",
    "void",
];

pub(crate) fn parse(file: &str, tokens: &[Token]) -> Result<Vec<Definition>, Error> {
    let mut parser = Parser {
        file,
        tokens,
        next: 0,
        inner: Vec::new(),
        depth: 0,
    };
    let mut definitions = Vec::new();
    while parser.peek().kind != Kind::End {
        let definition = parser.definition()?;
        definitions.append(&mut parser.inner);
        if !names_itself(&definition) {
            definitions.push(definition);
        }
    }
    Ok(definitions)
}

/// `typedef struct a a;`, which C needs.
fn names_itself(definition: &Definition) -> bool {
    matches!(&definition.body, Body::Typedef(kind)
        if kind.shape == Shape::Plain && kind.base == Base::Named(definition.name.clone()))
}

struct Parser<'a> {
    file: &'a str,
    tokens: &'a [Token],
    next: usize,
    /// Types that were defined within others, and are named after them.
    inner: Vec<Definition>,
    depth: u32,
}

/// How deep types may be defined within types.
const DEPTH_MAX: u32 = 32;

type Parsed<T> = Result<T, Error>;

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn wrong<T>(&self, at: Place, message: impl Into<String>) -> Parsed<T> {
        Err(Error::at(self.file, at, message))
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        let token = self.peek();
        let found = match &token.kind {
            Kind::Word(word) => format!("'{word}'"),
            Kind::Number(number) => number.to_string(),
            Kind::Text(text) => format!("\"{text}\""),
            Kind::Sign(sign) => format!("'{sign}'"),
            Kind::End => "the end of the file".into(),
        };
        self.wrong(token.at, format!("expected {what}, found {found}"))
    }

    fn sign(&mut self, sign: char) -> Parsed<()> {
        if self.has_sign(sign) {
            return Ok(());
        }
        self.expected(&format!("'{sign}'"))
    }

    fn has_sign(&mut self, sign: char) -> bool {
        let has = self.peek().kind == Kind::Sign(sign);
        self.next += usize::from(has);
        has
    }

    fn text(&mut self) -> Option<String> {
        let Kind::Text(text) = &self.peek().kind else {
            return None;
        };
        let text = text.clone();
        self.next += 1;
        Some(text)
    }

    fn has_word(&mut self, word: &str) -> bool {
        let has = matches!(&self.peek().kind, Kind::Word(w) if w == word);
        self.next += usize::from(has);
        has
    }

    fn name(&mut self) -> Parsed<Placed<String>> {
        let token = self.peek().clone();
        match token.kind {
            Kind::Word(word) if !KEYWORDS.contains(&word.as_str()) => {
                self.next += 1;
                Ok(Placed {
                    at: token.at,
                    is: word,
                })
            }
            _ => self.expected("a name"),
        }
    }

    fn value(&mut self) -> Parsed<Placed<Value>> {
        let token = self.peek().clone();
        let is = match token.kind {
            Kind::Number(number) => Value::Number(number),
            Kind::Word(word) if word == "TRUE" => Value::Number(1),
            Kind::Word(word) if word == "FALSE" => Value::Number(0),
            Kind::Word(word) if !KEYWORDS.contains(&word.as_str()) => Value::Name(word),
            _ => return self.expected("a number or the name of one"),
        };
        self.next += 1;
        Ok(Placed { at: token.at, is })
    }

    fn definition(&mut self) -> Parsed<Definition> {
        let token = self.take();
        let Kind::Word(word) = &token.kind else {
            self.next -= 1;
            return self.expected("a definition");
        };
        let (name, body) = match word.as_str() {
            "const" => {
                let name = self.name()?;
                self.sign('=')?;
                match self.text() {
                    Some(text) => (name, Body::Text(text)),
                    None => (name, Body::Constant(self.value()?)),
                }
            }
            "enum" => (self.name()?, self.enumeration()?),
            "struct" => {
                let name = self.name()?;
                let body = self.structure(&name.is)?;
                (name, body)
            }
            "union" => {
                let name = self.name()?;
                let body = self.union(&name.is)?;
                (name, body)
            }
            "typedef" => {
                let declared = self.declaration("")?;
                let name = Placed {
                    at: declared.at,
                    is: declared.name,
                };
                if name.is.is_empty() {
                    return self.wrong(token.at, "a typedef needs a name");
                }
                (name, Body::Typedef(declared.kind))
            }
            "program" => {
                let name = self.name()?;
                let versions = self.block(Self::version)?;
                self.sign('=')?;
                (name, Body::Program(versions, self.value()?))
            }
            _ => {
                self.next -= 1;
                return self.expected("const, enum, struct, union, typedef or program");
            }
        };
        self.sign(';')?;
        let Placed { at, is: name } = name;
        Ok(Definition { at, name, body })
    }

    /// `{ … }` with one `item` at least.
    fn block<T>(&mut self, item: fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.sign('{')?;
        let mut items = vec![item(self)?];
        while !self.has_sign('}') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Values may be left out, as rpcgen allows: one more than the one before.
    fn enumeration(&mut self) -> Parsed<Body> {
        self.sign('{')?;
        let mut values: Vec<(String, Placed<Value>)> = Vec::new();
        let mut following = Some(0);
        loop {
            let name = self.name()?;
            let value = if self.has_sign('=') {
                self.value()?
            } else {
                let Some(number) = following else {
                    return self.expected("'='");
                };
                Placed {
                    at: name.at,
                    is: Value::Number(number),
                }
            };
            following = match value.is {
                Value::Number(number) => number.checked_add(1),
                Value::Name(_) => None,
            };
            values.push((name.is, value));
            if self.has_sign('}') {
                return Ok(Body::Enum(values));
            }
            self.sign(',')?;
            if self.has_sign('}') {
                return Ok(Body::Enum(values));
            }
        }
    }

    fn structure(&mut self, within: &str) -> Parsed<Body> {
        self.sign('{')?;
        let mut members = Vec::new();
        while !self.has_sign('}') {
            let member = self.declaration(within)?;
            self.sign(';')?;
            if member.kind.base == Base::Void {
                return self.wrong(member.at, "a structure has no members that are void");
            }
            members.push(member);
        }
        Ok(Body::Struct(members))
    }

    fn union(&mut self, name: &str) -> Parsed<Body> {
        if !self.has_word("switch") {
            return self.expected("'switch'");
        }
        self.sign('(')?;
        let discriminant = self.declaration(name)?;
        self.sign(')')?;
        self.sign('{')?;
        let (mut arms, mut default) = (Vec::new(), None);
        while !self.has_sign('}') {
            let at = self.peek().at;
            if self.has_word("default") {
                self.sign(':')?;
                if default.is_some() {
                    return self.wrong(at, "a union has one default at most");
                }
                default = Some(self.declaration(name)?);
                self.sign(';')?;
                continue;
            }
            let mut cases = Vec::new();
            while self.has_word("case") {
                cases.push(self.value()?);
                self.sign(':')?;
            }
            if cases.is_empty() {
                return self.expected("'case' or 'default'");
            }
            let declaration = self.declaration(name)?;
            self.sign(';')?;
            arms.push(Arm { cases, declaration });
        }
        Ok(Body::Union(Union {
            discriminant,
            arms,
            default,
        }))
    }

    fn version(&mut self) -> Parsed<Version> {
        if !self.has_word("version") {
            return self.expected("'version'");
        }
        let name = self.name()?;
        let procedures = self.block(Self::procedure)?;
        self.sign('=')?;
        let number = self.value()?;
        self.sign(';')?;
        let Placed { at, is: name } = name;
        Ok(Version {
            name,
            at,
            procedures,
            number,
        })
    }

    fn procedure(&mut self) -> Parsed<Procedure> {
        let result = self.bare_type()?;
        let name = self.name()?;
        self.sign('(')?;
        let mut arguments = Vec::new();
        if !self.has_sign(')') {
            loop {
                arguments.push(self.bare_type()?);
                // Names of arguments say nothing.
                if matches!(self.peek().kind, Kind::Word(_)) {
                    self.next += 1;
                }
                if self.has_sign(')') {
                    break;
                }
                self.sign(',')?;
            }
        }
        if arguments.len() == 1 && arguments[0].base == Base::Void {
            arguments.clear();
        }
        self.sign('=')?;
        let number = self.value()?;
        self.sign(';')?;
        let Placed { at, is: name } = name;
        Ok(Procedure {
            name,
            at,
            result,
            arguments,
            number,
        })
    }

    /// A type as procedures have it: without a declarator, but for `*`, `string` and `<>`.
    fn bare_type(&mut self) -> Parsed<Type> {
        let at = self.peek().at;
        let base = self.base("", "")?;
        let mut shape = Shape::Plain;
        if base == Base::String || base == Base::Opaque {
            shape = Shape::Variable(None);
        }
        if self.has_sign('<') {
            shape = Shape::Variable(self.bound()?);
        } else if self.has_sign('*') {
            shape = Shape::Pointer;
        }
        Ok(Type { at, base, shape })
    }

    fn bound(&mut self) -> Parsed<Option<Placed<Value>>> {
        if self.has_sign('>') {
            return Ok(None);
        }
        let bound = self.value()?;
        self.sign('>')?;
        Ok(Some(bound))
    }

    fn declaration(&mut self, within: &str) -> Parsed<Declaration> {
        let kind_at = self.peek().at;
        // The name comes after the type: what is defined here in passing is named after it.
        let ahead = self.name_ahead();
        let base = self.base(within, &ahead)?;
        if base == Base::Void && !matches!(self.peek().kind, Kind::Word(_)) {
            let shape = Shape::Plain;
            let kind = Type {
                at: kind_at,
                base,
                shape,
            };
            let (at, name) = (kind_at, String::new());
            return Ok(Declaration { at, name, kind });
        }
        if self.has_sign('*') {
            if matches!(base, Base::Void | Base::Opaque | Base::String) {
                return self.wrong(kind_at, "there is no pointer to this");
            }
            let Placed { at, is: name } = self.name()?;
            let shape = Shape::Pointer;
            let kind = Type {
                at: kind_at,
                base,
                shape,
            };
            return Ok(Declaration { at, name, kind });
        }
        let Placed { at, is: name } = self.name()?;
        let shape = if self.has_sign('[') {
            let length = self.value()?;
            self.sign(']')?;
            Shape::Fixed(length)
        } else if self.has_sign('<') {
            Shape::Variable(self.bound()?)
        } else {
            Shape::Plain
        };
        match (&base, &shape) {
            (Base::Opaque, Shape::Plain) => return self.expected("'[' or '<'"),
            (Base::String, Shape::Plain | Shape::Fixed(_)) => return self.expected("'<'"),
            (Base::Void, _) => return self.wrong(kind_at, "nothing is declared void"),
            _ => {}
        }
        let kind = Type {
            at: kind_at,
            base,
            shape,
        };
        Ok(Declaration { at, name, kind })
    }

    /// The name behind a type that is defined in passing.
    fn name_ahead(&self) -> String {
        let mut depth = 0_usize;
        for token in &self.tokens[self.next.min(self.tokens.len())..] {
            match &token.kind {
                Kind::Sign('{' | '(') => depth += 1,
                Kind::Sign('}' | ')') => {
                    depth = depth.saturating_sub(1);
                }
                Kind::Sign(';') if depth == 0 => break,
                Kind::Word(word) if depth == 0 && !KEYWORDS.contains(&word.as_str()) => {
                    return word.clone();
                }
                _ => {}
            }
        }
        String::new()
    }

    fn base(&mut self, within: &str, name: &str) -> Parsed<Base> {
        let token = self.take();
        let Kind::Word(word) = &token.kind else {
            self.next -= 1;
            return self.expected("a type");
        };
        Ok(match word.as_str() {
            "void" => Base::Void,
            "opaque" => Base::Opaque,
            "string" => Base::String,
            "float" => Base::Float,
            "double" => Base::Double,
            "quadruple" => Base::Quadruple,
            "bool" | "bool_t" => Base::Bool,
            "int" | "short" | "char" | "int32_t" | "int16_t" | "int8_t" => Base::Int,
            "long" => {
                self.has_word("int");
                Base::Int
            }
            "u_int" | "u_long" | "u_short" | "u_char" | "uint32_t" | "uint16_t" | "uint8_t" => {
                Base::UnsignedInt
            }
            "hyper" | "quad_t" | "int64_t" | "longlong_t" => Base::Hyper,
            "u_quad_t" | "uint64_t" | "u_int64_t" | "u_longlong_t" => Base::UnsignedHyper,
            "u_int32_t" => Base::UnsignedInt,
            "unsigned" if self.has_word("hyper") => Base::UnsignedHyper,
            "unsigned" => {
                let _ = ["int", "long", "short", "char"]
                    .iter()
                    .any(|word| self.has_word(word));
                Base::UnsignedInt
            }
            "struct" | "enum" | "union" => {
                let switches =
                    word == "union" && matches!(&self.peek().kind, Kind::Word(w) if w == "switch");
                let defines = switches || self.peek().kind == Kind::Sign('{');
                if !defines {
                    return Ok(Base::Named(self.name()?.is));
                }
                return self.in_passing(&token, word.clone().as_str(), within, name);
            }
            word if KEYWORDS.contains(&word) => {
                self.next -= 1;
                return self.expected("a type");
            }
            named => Base::Named(named.into()),
        })
    }

    /// A type that is defined where it is used.
    fn in_passing(&mut self, token: &Token, word: &str, within: &str, name: &str) -> Parsed<Base> {
        if self.depth == DEPTH_MAX {
            return self.wrong(token.at, "types are defined too deep within types");
        }
        self.depth += 1;
        let parts = [within, name];
        let named: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let named = match named.join("_") {
            joined if word == "enum" || !within.is_empty() => joined,
            joined => format!("{joined}_{word}"),
        };
        let body = match word {
            "enum" => self.enumeration()?,
            "union" => self.union(&named)?,
            _ => self.structure(&named)?,
        };
        self.depth -= 1;
        self.inner.push(Definition {
            at: token.at,
            name: named.clone(),
            body,
        });
        Ok(Base::Named(named))
    }
}

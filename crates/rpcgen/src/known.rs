//! What an interface uses without a definition, since C's headers have one: libtirpc's, or what
//! `%#define` says of the interface itself.

use crate::ast::{Base, Body, Definition, Placed, Shape, Type, Value};
use crate::error::Place;
use crate::scan::{Kind, Source, Token};

/// Bounds that libtirpc's headers define.
const NUMBERS: [(&str, i64); 1] = [("MAXNETNAMELEN", 255)];

/// Types of libtirpc: bytes, so many of them or up to so many.
const OPAQUE: [(&str, i64, bool); 2] = [("netobj", 1024, false), ("des_block", 8, true)];

/// The definitions that `definitions` lack.
pub(crate) fn missing(source: &Source, definitions: &[Definition]) -> Vec<Definition> {
    let lacks = |name: &str| definitions.iter().all(|definition| definition.name != name);
    let mut missing = Vec::new();
    for (name, length, is_fixed) in OPAQUE {
        if let Some(token) = source.tokens.iter().find(|token| is(token, name))
            && lacks(name)
        {
            missing.push(opaque(token.at, name, length, is_fixed));
        }
    }
    let of_interface = source.of_c.iter().map(|(name, number)| (&**name, *number));
    for (name, number) in of_interface.chain(NUMBERS) {
        let is_known = missing.iter().any(|definition| definition.name == name);
        if let Some(at) = bound(&source.tokens, name)
            && lacks(name)
            && !is_known
        {
            missing.push(constant(at, name, number));
        }
    }
    missing
}

fn is(token: &Token, name: &str) -> bool {
    matches!(&token.kind, Kind::Word(word) if word == name)
}

/// Where `name` bounds something.
fn bound(tokens: &[Token], name: &str) -> Option<Place> {
    let opens = |token: &Token| matches!(token.kind, Kind::Sign('<' | '['));
    let bounds = |pair: &&[Token]| opens(&pair[0]) && is(&pair[1], name);
    tokens.windows(2).find(bounds).map(|pair| pair[1].at)
}

fn constant(at: Place, name: &str, number: i64) -> Definition {
    let is = Value::Number(number);
    Definition {
        at,
        name: name.into(),
        body: Body::Constant(Placed { at, is }),
    }
}

fn opaque(at: Place, name: &str, length: i64, is_fixed: bool) -> Definition {
    let is = Value::Number(length);
    let length = Placed { at, is };
    let shape = if is_fixed {
        Shape::Fixed(length)
    } else {
        Shape::Variable(Some(length))
    };
    Definition {
        at,
        name: name.into(),
        body: Body::Typedef(Type {
            at,
            base: Base::Opaque,
            shape,
        }),
    }
}

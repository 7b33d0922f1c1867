//! What a source defines.

use crate::error::Place;

/// A name or a number where a number is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Number(i64),
    Name(String),
}

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) at: Place,
    pub(crate) is: T,
}

/// A type without its array or pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    Void,
    Int,
    UnsignedInt,
    Hyper,
    UnsignedHyper,
    Float,
    Double,
    Quadruple,
    Bool,
    Opaque,
    String,
    Named(String),
}

/// What a declarator makes of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    Fixed(Placed<Value>),
    /// Up to a bound, or any length.
    Variable(Option<Placed<Value>>),
    Pointer,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Type {
    pub(crate) at: Place,
    pub(crate) base: Base,
    pub(crate) shape: Shape,
}

/// A name with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) at: Place,
    /// Empty for void.
    pub(crate) name: String,
    pub(crate) kind: Type,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arm {
    pub(crate) cases: Vec<Placed<Value>>,
    pub(crate) declaration: Declaration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Union {
    pub(crate) discriminant: Declaration,
    pub(crate) arms: Vec<Arm>,
    pub(crate) default: Option<Declaration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Procedure {
    pub(crate) name: String,
    pub(crate) at: Place,
    pub(crate) result: Type,
    pub(crate) arguments: Vec<Type>,
    pub(crate) number: Placed<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) at: Place,
    pub(crate) procedures: Vec<Procedure>,
    pub(crate) number: Placed<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Constant(Placed<Value>),
    /// A constant that is text: rpcgen takes it, since C does.
    Text(String),
    Enum(Vec<(String, Placed<Value>)>),
    Struct(Vec<Declaration>),
    Union(Union),
    Typedef(Type),
    Program(Vec<Version>, Placed<Value>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) at: Place,
    pub(crate) name: String,
    pub(crate) body: Body,
}

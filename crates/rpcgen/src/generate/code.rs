//! The expressions that encode and decode a type, bounds included.

use super::Writer;
use crate::ast::{Base, Body, Placed, Shape, Type, Value};
use crate::names;

impl Writer<'_> {
    /// The type in Rust.
    pub(super) fn rust_type(&self, kind: &Type) -> String {
        let base = match &kind.base {
            Base::Void => "()".into(),
            Base::Int => "i32".into(),
            Base::UnsignedInt => "u32".into(),
            Base::Hyper => "i64".into(),
            Base::UnsignedHyper => "u64".into(),
            Base::Float => "f32".into(),
            Base::Double => "f64".into(),
            Base::Quadruple => format!("{}::xdr::Quadruple", self.rpc),
            Base::Bool => "bool".into(),
            Base::Opaque => "u8".into(),
            Base::String => return "::std::string::String".into(),
            Base::Named(name) => names::camel(name),
        };
        match &kind.shape {
            Shape::Plain => base,
            Shape::Fixed(length) => format!("[{base}; {}]", self.names.number(&length.is)),
            Shape::Variable(_) => format!("::std::vec::Vec<{base}>"),
            Shape::Pointer if self.is_link(kind) => format!("::std::vec::Vec<{base}>"),
            Shape::Pointer => format!("::std::option::Option<::std::boxed::Box<{base}>>"),
        }
    }

    /// How a procedure's argument is lent.
    pub(super) fn lent_type(&self, kind: &Type) -> String {
        let resolved = self.names.resolve(kind);
        match (&resolved.base, &resolved.shape) {
            (Base::String, _) => "&str".into(),
            (_, Shape::Plain) if self.is_copy(resolved) => self.rust_type(kind),
            (_, Shape::Variable(_)) => {
                let element = Type {
                    shape: Shape::Plain,
                    ..resolved.clone()
                };
                format!("&[{}]", self.rust_type(&element))
            }
            _ => format!("&{}", self.rust_type(kind)),
        }
    }

    pub(super) fn is_copy(&self, kind: &Type) -> bool {
        match &kind.base {
            Base::Named(name) => matches!(self.names.body(name), Some(Body::Enum(_))),
            Base::Opaque | Base::String | Base::Void | Base::Quadruple => false,
            _ => true,
        }
    }

    pub(super) fn is_link(&self, kind: &Type) -> bool {
        matches!(&kind.base, Base::Named(name) if self.names.links.contains(name))
    }

    fn bound(&self, bound: Option<&Placed<Value>>) -> String {
        match bound {
            Some(bound) => self.names.number(&bound.is).to_string(),
            None => format!("{}::xdr::UNBOUNDED", self.rpc),
        }
    }

    /// An expression that encodes what the reference `value` is of to `to`.
    pub(super) fn encode(&self, kind: &Type, value: &str) -> String {
        let kind = self.names.resolve(kind);
        let element = Type {
            shape: Shape::Plain,
            ..kind.clone()
        };
        let each = || self.encode(&element, "value");
        match (&kind.base, &kind.shape) {
            (Base::Void, _) => "::std::result::Result::Ok(())".into(),
            (Base::String, Shape::Variable(bound)) => {
                format!("to.string({value}, {})", self.bound(bound.as_ref()))
            }
            (Base::Opaque, Shape::Variable(bound)) => {
                format!("to.opaque({value}, {})", self.bound(bound.as_ref()))
            }
            (Base::Opaque, _) => format!("to.opaque_fixed({value})"),
            (_, Shape::Plain) => format!("{}::xdr::Xdr::encode({value}, to)", self.rpc),
            (_, Shape::Fixed(_)) => {
                format!("to.array_fixed({value}, |to, value| {})", each())
            }
            (_, Shape::Variable(bound)) => format!(
                "to.array({value}, {}, |to, value| {})",
                self.bound(bound.as_ref()),
                each()
            ),
            (_, Shape::Pointer) if self.is_link(kind) => {
                format!("to.list({value}, |to, value| {})", each())
            }
            (_, Shape::Pointer) => {
                format!("to.optional(({value}).as_deref(), |to, value| {})", each())
            }
        }
    }

    /// An expression that decodes it from `from`.
    pub(super) fn decode(&self, kind: &Type) -> String {
        let kind = self.names.resolve(kind);
        let element = Type {
            shape: Shape::Plain,
            ..kind.clone()
        };
        let each = || self.decode(&element);
        match (&kind.base, &kind.shape) {
            (Base::Void, _) => "::std::result::Result::Ok(())".into(),
            (Base::String, Shape::Variable(bound)) => format!(
                "from.string({}).map(::std::string::String::from)",
                self.bound(bound.as_ref())
            ),
            (Base::Opaque, Shape::Variable(bound)) => format!(
                "from.opaque({}).map(::std::vec::Vec::from)",
                self.bound(bound.as_ref())
            ),
            (Base::Opaque, _) => "from.opaque_fixed()".into(),
            (_, Shape::Plain) => format!("{}::xdr::Xdr::decode(from)", self.rpc),
            (_, Shape::Fixed(_)) => format!("from.array_fixed(|from| {})", each()),
            (_, Shape::Variable(bound)) => format!(
                "from.array({}, |from| {})",
                self.bound(bound.as_ref()),
                each()
            ),
            (_, Shape::Pointer) if self.is_link(kind) => {
                format!("from.list(|from| {})", each())
            }
            (_, Shape::Pointer) => format!(
                "from.optional(|from| {}.map(::std::boxed::Box::new))",
                each()
            ),
        }
    }
}

//! Enumerations, structures and unions.

use super::{Writer, put};
use crate::ast::{Base, Declaration, Placed, Type, Union, Value};
use crate::names::{camel, shout, snake};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What every type can.
const DERIVE: &str = "#[derive(Debug, Clone, PartialEq)]";

impl Writer<'_> {
    /// `impl Xdr for NAME` with bodies.
    fn xdr(&mut self, name: &str, encode: &str, decode: &str) {
        let rpc = self.rpc;
        let result = format!("::std::result::Result<{{}}, {rpc}::xdr::Error>");
        let (nothing, own) = (result.replace("{}", "()"), result.replace("{}", "Self"));
        put!(self, "impl {rpc}::xdr::Xdr for {name} {{");
        put!(
            self,
            "    fn encode(&self, to: &mut {rpc}::xdr::Encoder<'_>) -> {nothing} {{\n{encode}    }}"
        );
        put!(
            self,
            "    fn decode(from: &mut {rpc}::xdr::Decoder<'_>) -> {own} {{\n{decode}    }}"
        );
        put!(self, "}}");
    }

    pub(super) fn enumeration(&mut self, name: &str, values: &[(String, Placed<Value>)]) {
        let rust = camel(name);
        let mut first: BTreeMap<i64, String> = BTreeMap::new();
        let mut others = Vec::new();
        put!(self, "/// `{name}`.");
        put!(
            self,
            "#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]"
        );
        put!(self, "pub enum {rust} {{");
        for (constant, value) in values {
            let number = self.names.number(&value.is);
            if let Some(same) = first.get(&number) {
                others.push((constant, same.clone()));
                continue;
            }
            put!(self, "    /// `{constant}`.");
            put!(self, "    {} = {number},", camel(constant));
            first.insert(number, camel(constant));
        }
        put!(self, "}}");
        if !others.is_empty() {
            put!(self, "impl {rust} {{");
            for (constant, same) in others {
                let alias = shout(constant);
                put!(self, "    /// `{constant}`.");
                put!(self, "    pub const {alias}: Self = Self::{same};");
            }
            put!(self, "}}");
        }
        let mut decode = String::from("        match from.i32()? {\n");
        for (number, variant) in &first {
            let _ = writeln!(
                decode,
                "            {number} => ::std::result::Result::Ok(Self::{variant}),"
            );
        }
        let no_value = self.no_value(name, "i64::from(value)");
        let _ = writeln!(decode, "            value => {no_value},\n        }}");
        self.xdr(&rust, "        to.i32(*self as i32)\n", &decode);
    }

    fn no_value(&self, kind: &str, value: &str) -> String {
        format!(
            "::std::result::Result::Err({}::xdr::Error::NoSuchValue {{ kind: \"{kind}\", value: {value} }})",
            self.rpc
        )
    }

    pub(super) fn structure(&mut self, name: &str, members: &[Declaration]) {
        let rust = camel(name);
        // A link of a chain is an element without its pointer to the next.
        let members = match members.split_last() {
            Some((_, before)) if self.names.links.contains(name) => before,
            _ => members,
        };
        put!(self, "/// `{name}`.");
        put!(self, "{DERIVE}");
        put!(self, "pub struct {rust} {{");
        let (mut encode, mut decode) = (String::new(), String::new());
        for member in members {
            let field = snake(&member.name);
            put!(self, "    /// `{}`.", member.name);
            put!(self, "    pub {field}: {},", self.rust_type(&member.kind));
            let _ = writeln!(
                encode,
                "        {}?;",
                self.encode(&member.kind, &reference(&field))
            );
            let _ = writeln!(
                decode,
                "            {field}: {}?,",
                self.decode(&member.kind)
            );
        }
        put!(self, "}}");
        encode.push_str("        ::std::result::Result::Ok(())\n");
        if members.is_empty() {
            encode.insert_str(0, "        let _ = to;\n");
        }
        let used = if members.is_empty() {
            "        let _ = from;\n"
        } else {
            ""
        };
        let decode =
            format!("{used}        ::std::result::Result::Ok(Self {{\n{decode}        }})\n");
        self.xdr(&rust, &encode, &decode);
    }

    pub(super) fn union(&mut self, name: &str, union: &Union) {
        let rust = camel(name);
        let switch = &union.discriminant.kind;
        let arms = self.arms(union);
        let default = if arms.iter().any(|arm| arm.variant == "Default") {
            "Default_"
        } else {
            "Default"
        };
        put!(self, "/// `{name}`.");
        put!(self, "{DERIVE}");
        put!(self, "pub enum {rust} {{");
        for Arm { variant, kind, .. } in &arms {
            put!(self, "    /// Case `{variant}`.");
            match &kind.base {
                Base::Void => put!(self, "    {variant},"),
                _ => put!(self, "    {variant}({}),", self.rust_type(kind)),
            }
        }
        if let Some(declaration) = &union.default {
            let of = self.rust_type(switch);
            put!(self, "    /// Any other value.");
            match &declaration.kind.base {
                Base::Void => put!(self, "    {default}({of}),"),
                _ => put!(
                    self,
                    "    {default}({of}, {}),",
                    self.rust_type(&declaration.kind)
                ),
            }
        }
        put!(self, "}}");
        let encode = self.encode_union(name, union, &arms, default);
        let decode = self.decode_union(name, union, &arms, default);
        self.xdr(&rust, &encode, &decode);
    }

    /// A variant for each case.
    fn arms<'a>(&self, union: &'a Union) -> Vec<Arm<'a>> {
        let kind = self.names.resolve(&union.discriminant.kind);
        let mut arms = Vec::new();
        for arm in &union.arms {
            for case in &arm.cases {
                let number = self.names.number(&case.is);
                let variant = match (&case.is, &kind.base) {
                    (_, Base::Bool) if number == 0 => "False".into(),
                    (_, Base::Bool) => "True".into(),
                    (Value::Name(name), _) => camel(name),
                    (Value::Number(_), _) if number < 0 => {
                        format!("CaseMinus{}", number.unsigned_abs())
                    }
                    (Value::Number(_), _) => format!("Case{number}"),
                };
                arms.push(Arm {
                    variant,
                    number,
                    kind: &arm.declaration.kind,
                });
            }
        }
        arms
    }

    fn encode_union(&self, name: &str, union: &Union, arms: &[Arm<'_>], default: &str) -> String {
        let mut code = String::from("        match self {\n");
        for Arm {
            variant,
            number,
            kind,
        } in arms
        {
            // Whatever the discriminant's type, it is a word.
            let word = *number as u32;
            let (pattern, value) = match &kind.base {
                Base::Void => (variant.clone(), "::std::result::Result::Ok(())".into()),
                _ => (format!("{variant}(value)"), self.encode(kind, "value")),
            };
            let _ = writeln!(
                code,
                "            Self::{pattern} => {{ to.u32({word})?; {value} }}"
            );
        }
        if let Some(declaration) = &union.default {
            let (pattern, value) = match &declaration.kind.base {
                Base::Void => ("switch", "::std::result::Result::Ok(())".into()),
                _ => ("switch, value", self.encode(&declaration.kind, "value")),
            };
            let _ = writeln!(code, "            Self::{default}({pattern}) => {{");
            // A value that has an arm of its own would be read back as that.
            if !arms.is_empty() {
                let taken: Vec<String> = arms.iter().map(|arm| arm.number.to_string()).collect();
                let wrong = self.no_value(name, "*switch as i64");
                let _ = writeln!(
                    code,
                    "                if matches!(*switch as i64, {}) {{ return {wrong}; }}",
                    taken.join(" | ")
                );
            }
            let _ = writeln!(
                code,
                "                {}::xdr::Xdr::encode(switch, to)?;\n                {value}\n            }}",
                self.rpc
            );
        }
        code.push_str("        }\n");
        code
    }

    fn decode_union(&self, name: &str, union: &Union, arms: &[Arm<'_>], default: &str) -> String {
        let mut code = format!(
            "        let switch: {} = {}?;\n        match switch as i64 {{\n",
            self.rust_type(&union.discriminant.kind),
            self.decode(&union.discriminant.kind)
        );
        for Arm {
            variant,
            number,
            kind,
        } in arms
        {
            let value = match &kind.base {
                Base::Void => format!("::std::result::Result::Ok(Self::{variant})"),
                _ => format!("{}.map(Self::{variant})", self.decode(kind)),
            };
            let _ = writeln!(code, "            {number} => {value},");
        }
        let value = match &union.default {
            None => self.no_value(name, "value"),
            Some(d) if d.kind.base == Base::Void => {
                format!("::std::result::Result::Ok(Self::{default}(switch))")
            }
            Some(d) => format!(
                "{}.map(|value| Self::{default}(switch, value))",
                self.decode(&d.kind)
            ),
        };
        let binding = if union.default.is_none() {
            "value"
        } else {
            "_"
        };
        let _ = writeln!(code, "            {binding} => {value},\n        }}");
        code
    }
}

/// A case of a union.
struct Arm<'a> {
    variant: String,
    number: i64,
    kind: &'a Type,
}

fn reference(field: &str) -> String {
    format!("&self.{field}")
}

//! What names stand for, and that they stand for what is wanted (RFC 4506 §6.4, RFC 5531 §12.3).

use crate::ast::{Base, Body, Declaration, Definition, Placed, Shape, Type, Union, Value, Version};
use crate::error::{Error, Place};
use crate::names;
use std::collections::{BTreeMap, BTreeSet};

/// What the names of a source stand for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    values: BTreeMap<String, i64>,
    types: BTreeMap<String, Body>,
    /// The enumeration of each of its values.
    pub(crate) enums: BTreeMap<String, String>,
    /// Structures that are links of a chain, and become elements of a `Vec`.
    pub(crate) links: BTreeSet<String>,
}

impl Names {
    pub(crate) fn number(&self, value: &Value) -> i64 {
        match value {
            Value::Number(number) => *number,
            Value::Name(name) => self.values.get(name).copied().unwrap_or_default(),
        }
    }

    pub(crate) fn body(&self, name: &str) -> Option<&Body> {
        self.types.get(name)
    }

    /// The type behind names that only rename another.
    pub(crate) fn resolve<'a>(&'a self, kind: &'a Type) -> &'a Type {
        let mut kind = kind;
        while let (Base::Named(name), Shape::Plain) = (&kind.base, &kind.shape) {
            match self.types.get(name) {
                Some(Body::Typedef(of)) => kind = of,
                _ => break,
            }
        }
        kind
    }
}

pub(crate) fn check(file: &str, definitions: &[Definition]) -> Result<Names, Error> {
    let mut checker = Checker {
        file,
        names: Names::default(),
        rust_types: BTreeMap::new(),
    };
    for definition in definitions {
        checker.collect(definition)?;
    }
    for definition in definitions {
        checker.check(definition)?;
    }
    for definition in definitions {
        checker.is_finite(definition.at, &definition.name, &mut Vec::new())?;
    }
    checker.names.links = links(definitions, &checker.names);
    Ok(checker.names)
}

struct Checker<'a> {
    file: &'a str,
    names: Names,
    /// What each Rust type was made of.
    rust_types: BTreeMap<String, String>,
}

type Checked<T = ()> = Result<T, Error>;

impl Checker<'_> {
    fn wrong<T>(&self, at: Place, message: impl Into<String>) -> Checked<T> {
        Err(Error::at(self.file, at, message))
    }

    fn collect(&mut self, definition: &Definition) -> Checked {
        let Definition { at, name, body } = definition;
        match body {
            Body::Constant(value) => {
                let number = self.value(value)?;
                self.add_value(*at, name, number)?;
            }
            Body::Text(_) => {
                // No type either, but its name is taken.
                if self.names.types.contains_key(name) || self.names.values.contains_key(name) {
                    return self.wrong(*at, format!("'{name}' is defined already"));
                }
            }
            Body::Enum(values) => {
                for (constant, value) in values {
                    let number = self.value(value)?;
                    if i32::try_from(number).is_err() {
                        return self.wrong(value.at, "a value of an enumeration has 32 bits");
                    }
                    self.add_value(value.at, constant, number)?;
                    self.names.enums.insert(constant.clone(), name.clone());
                }
                self.add_type(*at, name, body)?;
            }
            Body::Program(versions, number) => {
                let number = self.value(number)?;
                self.add_value(*at, name, number)?;
                for version in versions {
                    self.collect_version(version)?;
                }
            }
            _ => self.add_type(*at, name, body)?,
        }
        Ok(())
    }

    fn collect_version(&mut self, version: &Version) -> Checked {
        let number = self.value(&version.number)?;
        self.add_value(version.at, &version.name, number)?;
        // Numbers of procedures may be names of those of other versions, as in RFC 1833.
        for procedure in &version.procedures {
            let number = self.value(&procedure.number)?;
            self.names
                .values
                .entry(procedure.name.clone())
                .or_insert(number);
        }
        let trait_name = names::camel(&version.name);
        self.add_rust_type(version.at, &trait_name, &version.name)
    }

    fn add_value(&mut self, at: Place, name: &str, number: i64) -> Checked {
        if self.names.types.contains_key(name) || self.names.values.contains_key(name) {
            return self.wrong(at, format!("'{name}' is defined already"));
        }
        self.names.values.insert(name.into(), number);
        Ok(())
    }

    fn add_type(&mut self, at: Place, name: &str, body: &Body) -> Checked {
        if self.names.types.contains_key(name) || self.names.values.contains_key(name) {
            return self.wrong(at, format!("'{name}' is defined already"));
        }
        self.names.types.insert(name.into(), body.clone());
        self.add_rust_type(at, &names::camel(name), name)
    }

    fn add_rust_type(&mut self, at: Place, rust: &str, name: &str) -> Checked {
        match self.rust_types.insert(rust.into(), name.into()) {
            Some(other) => {
                let message = format!("'{name}' and '{other}' would both be called {rust}");
                self.wrong(at, message)
            }
            None => Ok(()),
        }
    }

    fn value(&self, value: &Placed<Value>) -> Checked<i64> {
        match &value.is {
            Value::Number(number) => Ok(*number),
            Value::Name(name) => match self.names.values.get(name) {
                Some(number) => Ok(*number),
                None => self.wrong(value.at, format!("'{name}' is no constant")),
            },
        }
    }

    fn unsigned(&self, value: &Placed<Value>, what: &str) -> Checked<u32> {
        let number = self.value(value)?;
        match u32::try_from(number) {
            Ok(number) => Ok(number),
            Err(_) => self.wrong(
                value.at,
                format!("{what} is {number}, not a number of 32 bits"),
            ),
        }
    }

    fn check(&self, definition: &Definition) -> Checked {
        match &definition.body {
            Body::Constant(_) | Body::Text(_) | Body::Enum(_) => Ok(()),
            Body::Struct(members) => self.members(members),
            Body::Union(union) => self.union(union),
            Body::Typedef(kind) => self.kind(kind),
            Body::Program(versions, number) => {
                self.unsigned(number, "a program's number")?;
                self.versions(versions)
            }
        }
    }

    fn members(&self, members: &[Declaration]) -> Checked {
        let mut seen = BTreeSet::new();
        for member in members {
            if !seen.insert(names::snake(&member.name)) {
                let message = format!("'{}' is a member already", member.name);
                return self.wrong(member.at, message);
            }
            self.kind(&member.kind)?;
        }
        Ok(())
    }

    fn kind(&self, kind: &Type) -> Checked {
        if let Base::Named(name) = &kind.base
            && !self.names.types.contains_key(name)
        {
            return self.wrong(kind.at, format!("'{name}' is no type"));
        }
        match &kind.shape {
            Shape::Fixed(length) | Shape::Variable(Some(length)) => {
                self.unsigned(length, "a length").map(drop)
            }
            _ => Ok(()),
        }
    }

    fn union(&self, union: &Union) -> Checked {
        self.kind(&union.discriminant.kind)?;
        let kind = self.names.resolve(&union.discriminant.kind);
        let legal = match (&kind.base, &kind.shape) {
            (Base::Int | Base::UnsignedInt | Base::Bool, Shape::Plain) => true,
            (Base::Named(name), Shape::Plain) => {
                matches!(self.names.types.get(name), Some(Body::Enum(_)))
            }
            _ => false,
        };
        if !legal {
            let message = "a union is switched by int, unsigned int, bool or an enumeration";
            return self.wrong(union.discriminant.at, message);
        }
        let mut seen = BTreeSet::new();
        for arm in &union.arms {
            for case in &arm.cases {
                let number = self.value(case)?;
                if !seen.insert(number) {
                    return self.wrong(case.at, "this case is there already");
                }
                if !self.fits(number, kind) {
                    let message = format!("{number} is no value of the discriminant");
                    return self.wrong(case.at, message);
                }
            }
            self.kind(&arm.declaration.kind)?;
        }
        match &union.default {
            Some(default) => self.kind(&default.kind),
            None => Ok(()),
        }
    }

    fn fits(&self, number: i64, kind: &Type) -> bool {
        match &kind.base {
            Base::Int => i32::try_from(number).is_ok(),
            Base::UnsignedInt => u32::try_from(number).is_ok(),
            Base::Bool => matches!(number, 0 | 1),
            Base::Named(name) => match self.names.types.get(name) {
                Some(Body::Enum(values)) => values
                    .iter()
                    .any(|(_, value)| self.names.number(&value.is) == number),
                _ => false,
            },
            _ => false,
        }
    }

    fn versions(&self, versions: &[Version]) -> Checked {
        let mut numbers = BTreeSet::new();
        for version in versions {
            let number = self.unsigned(&version.number, "a version's number")?;
            if !numbers.insert(number) {
                return self.wrong(version.number.at, "this version is there already");
            }
            let (mut called, mut numbered) = (BTreeSet::new(), BTreeSet::new());
            for procedure in &version.procedures {
                let number = self.unsigned(&procedure.number, "a procedure's number")?;
                if !called.insert(names::snake(&procedure.name)) || !numbered.insert(number) {
                    return self.wrong(procedure.at, "this procedure is there already");
                }
                self.kind(&procedure.result)?;
                for argument in &procedure.arguments {
                    self.kind(argument)?;
                    if argument.base == Base::Void {
                        return self.wrong(argument.at, "void stands alone");
                    }
                }
            }
        }
        Ok(())
    }

    /// That a type does not hold itself, but behind a pointer or in an array that may be empty.
    fn is_finite(&self, at: Place, name: &str, within: &mut Vec<String>) -> Checked {
        if within.iter().any(|outer| outer == name) {
            let message = format!("'{name}' holds itself, without end: use '{name} *'");
            return self.wrong(at, message);
        }
        let Some(body) = self.names.types.get(name) else {
            return Ok(());
        };
        within.push(name.into());
        let direct: Vec<&Type> = match body {
            Body::Struct(members) => members.iter().map(|m| &m.kind).collect(),
            Body::Union(union) => union
                .arms
                .iter()
                .map(|arm| &arm.declaration.kind)
                .chain(union.default.iter().map(|d| &d.kind))
                .collect(),
            Body::Typedef(kind) => vec![kind],
            _ => Vec::new(),
        };
        for kind in direct {
            if let (Base::Named(inner), Shape::Plain | Shape::Fixed(_)) = (&kind.base, &kind.shape)
            {
                self.is_finite(kind.at, inner, within)?;
            }
        }
        within.pop();
        Ok(())
    }
}

/// The structures that end in a pointer to their own kind, and that are used by pointers alone.
fn links(definitions: &[Definition], names: &Names) -> BTreeSet<String> {
    let mut links: BTreeSet<String> = definitions
        .iter()
        .filter(|definition| match &definition.body {
            Body::Struct(members) => {
                members.len() > 1
                    && members.last().is_some_and(|last| {
                        let kind = names.resolve(&last.kind);
                        kind.shape == Shape::Pointer
                            && kind.base == Base::Named(definition.name.clone())
                    })
            }
            _ => false,
        })
        .map(|definition| definition.name.clone())
        .collect();
    for kind in all_types(definitions) {
        if let (Base::Named(name), true) = (&kind.base, kind.shape != Shape::Pointer) {
            links.remove(name);
        }
    }
    links
}

fn all_types(definitions: &[Definition]) -> Vec<&Type> {
    let mut types = Vec::new();
    for definition in definitions {
        match &definition.body {
            Body::Struct(members) => types.extend(members.iter().map(|m| &m.kind)),
            Body::Union(union) => {
                types.extend(union.arms.iter().map(|arm| &arm.declaration.kind));
                types.extend(union.default.iter().map(|default| &default.kind));
            }
            Body::Typedef(kind) => types.push(kind),
            Body::Program(versions, _) => {
                for procedure in versions.iter().flat_map(|version| &version.procedures) {
                    types.push(&procedure.result);
                    types.extend(&procedure.arguments);
                }
            }
            Body::Constant(_) | Body::Text(_) | Body::Enum(_) => {}
        }
    }
    types
}

//! Clients and servers of a program's version.

use super::{Writer, put};
use crate::ast::{Base, Procedure, Version};
use crate::names::{camel, shout, snake};
use std::fmt::Write;

impl Writer<'_> {
    pub(super) fn version(&mut self, program: &str, version: &Version) {
        self.client(program, version, false);
        if self.tokio {
            put!(self, "");
            self.client(program, version, true);
        }
        put!(self, "");
        self.service_trait(program, version, false);
        self.service(program, version);
        if self.tokio {
            put!(self, "");
            self.service_trait(program, version, true);
            self.async_service(program, version);
        }
    }

    /// Argument names: the only one is `argument`.
    fn argument_names(procedure: &Procedure) -> Vec<String> {
        match procedure.arguments.len() {
            1 => vec!["argument".into()],
            count => (1..=count).map(|n| format!("argument{n}")).collect(),
        }
    }

    /// Statements that encode the arguments, which are lent.
    fn encode_arguments(&self, procedure: &Procedure) -> String {
        let mut code = String::new();
        let names = Self::argument_names(procedure);
        for (kind, name) in procedure.arguments.iter().zip(&names) {
            let lent = self.lent_type(kind);
            let reference = if lent.starts_with('&') {
                name.clone()
            } else {
                format!("&{name}")
            };
            let _ = write!(code, "{}?; ", self.encode(kind, &reference));
        }
        if code.is_empty() {
            code.push_str("let _ = to; ");
        }
        code + "::std::result::Result::Ok(())"
    }

    fn client(&mut self, program: &str, version: &Version, is_async: bool) {
        let rpc = self.rpc;
        let name = camel(&version.name);
        let (of, keyword, wait) = if is_async {
            (format!("{rpc}::tokio::Client"), "async fn", ".await")
        } else {
            put!(
                self,
                "/// Calls `{}` of `{program}`, over any client.",
                version.name
            );
            put!(self, "#[derive(Debug, Clone)]");
            put!(self, "pub struct {name}Client<C>(pub C);");
            (format!("{rpc}::Client"), "fn", "")
        };
        put!(self, "impl {name}Client<{of}> {{");
        for procedure in &version.procedures {
            let mut arguments = String::new();
            let names = Self::argument_names(procedure);
            for (kind, argument) in procedure.arguments.iter().zip(names) {
                let _ = write!(arguments, ", {argument}: {}", self.lent_type(kind));
            }
            let number = self.names.number(&procedure.number.is);
            let result = self.rust_type(&procedure.result);
            put!(self, "    /// `{}`.", procedure.name);
            put!(self, "    ///");
            put!(self, "    /// # Errors");
            put!(self, "    /// See [`CallError`]({rpc}::CallError).");
            put!(
                self,
                "    pub {keyword} {}(&self{arguments}) -> ::std::result::Result<{result}, {rpc}::CallError> {{",
                snake(&procedure.name)
            );
            let encode = self.encode_arguments(procedure);
            let decode = match procedure.result.base {
                Base::Void => format!("{{ let _ = from; {} }}", self.decode(&procedure.result)),
                _ => self.decode(&procedure.result),
            };
            put!(
                self,
                "        self.0.call_with({number}, |to| {{ {encode} }}, |from| {decode}){wait}"
            );
            put!(self, "    }}");
        }
        put!(self, "}}");
    }

    fn service_trait(&mut self, program: &str, version: &Version, is_async: bool) {
        let rpc = self.rpc;
        let name = camel(&version.name);
        let (suffix, waits) = if is_async {
            ("Async", ", and may wait")
        } else {
            ("", "")
        };
        put!(
            self,
            "/// What serves `{}` of `{program}`{waits}.",
            version.name
        );
        put!(
            self,
            "pub trait {name}{suffix}: ::std::marker::Send + ::std::marker::Sync + 'static {{"
        );
        for procedure in &version.procedures {
            let mut arguments = String::new();
            let names = Self::argument_names(procedure);
            for (kind, argument) in procedure.arguments.iter().zip(&names) {
                let _ = write!(arguments, ", {argument}: {}", self.rust_type(kind));
            }
            let result = self.rust_type(&procedure.result);
            let result = format!("::std::result::Result<{result}, {rpc}::Fault>");
            put!(self, "    /// `{}`.", procedure.name);
            put!(self, "    ///");
            put!(self, "    /// # Errors");
            put!(self, "    /// What the caller is told in place of results.");
            let head = format!(
                "    fn {}(&self, call: &{rpc}::Call{arguments})",
                snake(&procedure.name)
            );
            // By convention procedure 0 does nothing (RFC 5531 §12.1).
            let does_nothing = self.names.number(&procedure.number.is) == 0
                && procedure.arguments.is_empty()
                && procedure.result.base == Base::Void;
            match (is_async, does_nothing) {
                (false, false) => put!(self, "{head} -> {result};"),
                (false, true) => put!(
                    self,
                    "{head} -> {result} {{ let _ = call; ::std::result::Result::Ok(()) }}"
                ),
                (true, false) => put!(
                    self,
                    "{head} -> impl ::std::future::Future<Output = {result}> + ::std::marker::Send;"
                ),
                (true, true) => put!(
                    self,
                    "{head} -> impl ::std::future::Future<Output = {result}> + ::std::marker::Send {{ let _ = call; async {{ ::std::result::Result::Ok(()) }} }}"
                ),
            }
        }
        put!(self, "}}");
    }

    /// The match arms that execute each procedure.
    fn procedures(&mut self, version: &Version, wait: &str, out: &str) {
        let rpc = self.rpc;
        let mut has_null = false;
        for procedure in &version.procedures {
            let number = self.names.number(&procedure.number.is);
            has_null |= number == 0;
            put!(self, "            {number} => {{");
            let names = Self::argument_names(procedure);
            let mut given = String::new();
            for (kind, argument) in procedure.arguments.iter().zip(&names) {
                let (rust, decode) = (self.rust_type(kind), self.decode(kind));
                put!(self, "                let {argument}: {rust} = {decode}?;");
                let _ = write!(given, ", {argument}");
            }
            put!(self, "                from.finish()?;");
            let result = self.rust_type(&procedure.result);
            put!(
                self,
                "                let result: {result} = self.0.{}({}{given}){wait}?;",
                snake(&procedure.name),
                if wait.is_empty() { "call" } else { "&call" }
            );
            let encode = self.encode(&procedure.result, "&result");
            if procedure.result.base == Base::Void {
                put!(self, "                let () = result;");
            } else if !out.is_empty() {
                put!(self, "                let to = &mut {out};");
            }
            put!(
                self,
                "                {encode}.map_err(|_: {rpc}::xdr::Error| {rpc}::Fault::SystemError)"
            );
            put!(self, "            }}");
        }
        if !has_null {
            put!(self, "            0 => ::std::result::Result::Ok(()),");
        }
        put!(
            self,
            "            _ => ::std::result::Result::Err({rpc}::Fault::ProcedureUnavailable),"
        );
    }

    fn numbers(&mut self, program: &str, version: &Version) {
        let (program, version) = (shout(program), shout(&version.name));
        put!(self, "    fn program(&self) -> u32 {{ {program} }}");
        put!(self, "    fn version(&self) -> u32 {{ {version} }}");
    }

    fn service(&mut self, program: &str, version: &Version) {
        let (rpc, name) = (self.rpc, camel(&version.name));
        put!(self, "/// The service that a [`{name}`] is.");
        put!(self, "#[derive(Debug, Clone)]");
        put!(self, "pub struct {name}Server<S>(pub S);");
        put!(
            self,
            "impl<S: {name}> {rpc}::Service for {name}Server<S> {{"
        );
        self.numbers(program, version);
        put!(
            self,
            "    fn call(&self, call: &{rpc}::Call, from: &mut {rpc}::xdr::Decoder<'_>, to: &mut {rpc}::xdr::Encoder<'_>) -> ::std::result::Result<(), {rpc}::Fault> {{"
        );
        put!(self, "        let _ = (&from, &to);");
        put!(self, "        match call.procedure {{");
        self.procedures(version, "", "");
        put!(self, "        }}");
        put!(self, "    }}");
        put!(self, "}}");
    }

    fn async_service(&mut self, program: &str, version: &Version) {
        let (rpc, name) = (self.rpc, camel(&version.name));
        put!(self, "/// The service that a [`{name}Async`] is.");
        put!(self, "#[derive(Debug, Clone)]");
        put!(self, "pub struct {name}AsyncServer<S>(pub S);");
        put!(
            self,
            "impl<S: {name}Async> {rpc}::AsyncService for {name}AsyncServer<S> {{"
        );
        self.numbers(program, version);
        put!(
            self,
            "    fn call(self: ::std::sync::Arc<Self>, call: {rpc}::Call, arguments: ::std::vec::Vec<u8>) -> {rpc}::CallFuture {{"
        );
        put!(self, "        ::std::boxed::Box::pin(async move {{");
        put!(
            self,
            "            let mut results = ::std::vec::Vec::new();"
        );
        put!(
            self,
            "            let from = &mut {rpc}::xdr::Decoder::new(&arguments);"
        );
        put!(
            self,
            "            let done: ::std::result::Result<(), {rpc}::Fault> = match call.procedure {{"
        );
        let out = format!("{rpc}::xdr::Encoder::new(&mut results)");
        self.procedures(version, ".await", &out);
        put!(self, "            }};");
        put!(self, "            done.map(|()| results)");
        put!(self, "        }})");
        put!(self, "    }}");
        put!(self, "}}");
    }
}

//! What is known at the end, printed as nmap(1) does.

use super::verdict::{Reason, State};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Ports in one state that are no longer listed, but counted; open ones are always listed.
const LISTED_MAX: usize = 25;

/// One port.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Port {
    pub(super) port: u16,
    pub(super) protocol: &'static str,
    pub(super) state: State,
    pub(super) reason: Reason,
    pub(super) service: Option<String>,
}

/// One host.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Host {
    pub(super) address: IpAddr,
    pub(super) name: Option<String>,
    /// It has answered.
    pub(super) up: bool,
    /// Why it is thought to be up or down, where that was asked.
    pub(super) reason: Option<Reason>,
    pub(super) latency_ms: Option<f64>,
    pub(super) ports: Vec<Port>,
    #[serde(skip)]
    pub(super) shows_reasons: bool,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => writeln!(f, "Scan report for {name} ({})", self.address)?,
            None => writeln!(f, "Scan report for {}", self.address)?,
        }
        match (self.up, self.latency_ms) {
            (true, Some(ms)) => writeln!(f, "Host is up ({:.5}s latency).", ms / 1e3)?,
            (true, None) => writeln!(f, "Host is up.")?,
            (false, _) => writeln!(f, "Host has not answered.")?,
        }
        let mut hidden: BTreeMap<(State, Reason), usize> = BTreeMap::new();
        for port in &self.ports {
            *hidden.entry((port.state, port.reason)).or_default() += 1;
        }
        hidden.retain(|(state, _), count| *state != State::Open && *count > LISTED_MAX);
        for ((state, reason), count) in &hidden {
            let protocol = self.ports.first().map_or("tcp", |port| port.protocol);
            writeln!(f, "Not shown: {count} {state} {protocol} ports ({reason})")?;
        }
        let is_listed = |port: &&Port| !hidden.contains_key(&(port.state, port.reason));
        let listed: Vec<&Port> = self.ports.iter().filter(is_listed).collect();
        if listed.is_empty() {
            return Ok(());
        }
        let width = |header: &str, of: &dyn Fn(&Port) -> usize| {
            let widths = listed.iter().map(|port| of(port));
            widths.max().unwrap_or(0).max(header.len())
        };
        let at = |port: &Port| format!("{}/{}", port.port, port.protocol);
        let service = |port: &Port| port.service.clone().unwrap_or_else(|| "unknown".into());
        let ports = width("PORT", &|port| at(port).len());
        let states = width("STATE", &|port| port.state.to_string().len());
        let services = width("SERVICE", &|port| service(port).len());
        let mut line = |at: &str, state: &str, service: &str, reason: &str| match self.shows_reasons
        {
            true => writeln!(
                f,
                "{at:ports$} {state:states$} {service:services$} {reason}"
            ),
            false => writeln!(f, "{at:ports$} {state:states$} {service}"),
        };
        line("PORT", "STATE", "SERVICE", "REASON")?;
        for port in listed {
            let (state, reason) = (port.state.to_string(), port.reason.to_string());
            line(&at(port), &state, &service(port), &reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_as_that_of_nmap() {
        let port = |port, state, reason, service: Option<&str>| Port {
            port,
            protocol: "tcp",
            state,
            reason,
            service: service.map(str::to_owned),
        };
        let mut ports = vec![
            port(22, State::Open, Reason::SynAck, Some("ssh")),
            port(443, State::Filtered, Reason::NoResponse, Some("https")),
            port(8099, State::Open, Reason::SynAck, None),
        ];
        ports.extend((100..130).map(|n| port(n, State::Closed, Reason::Reset, None)));
        let mut host = Host {
            address: "192.0.2.1".parse().unwrap(),
            name: Some("web".into()),
            up: true,
            reason: None,
            latency_ms: Some(0.42),
            ports,
            shows_reasons: false,
        };
        assert_eq!(
            host.to_string(),
            "Scan report for web (192.0.2.1)\n\
             Host is up (0.00042s latency).\n\
             Not shown: 30 closed tcp ports (reset)\n\
             PORT     STATE    SERVICE\n\
             22/tcp   open     ssh\n\
             443/tcp  filtered https\n\
             8099/tcp open     unknown\n"
        );
        host.shows_reasons = true;
        let reasons = host.to_string();
        assert!(
            reasons.contains("443/tcp  filtered https   no-response\n"),
            "{reasons}"
        );
    }
}

//! From a script's lines to its steps.

use super::segment::Segment;
use core::time::Duration;
use sockeye_core::Counter;
use sockeye_core::socket::Shutdown;

/// A script: what is set before, and what happens.
#[derive(Debug)]
pub struct Script {
    pub(crate) settings: Vec<Setting>,
    pub(crate) steps: Vec<Step>,
}

/// What `config` can set.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// `config net.ipv4.tcp_sack 1`: what Linux calls so.
    Sysctl(String, String),
    /// `config timestamps on`
    Timestamps(bool),
    /// `config window_scaling on`
    WindowScaling(bool),
    /// `config sack on`
    Sack(bool),
    /// `config stdurg on`
    StdUrg(bool),
    /// `config rmem BYTES`: the receive buffer.
    ReceiveBuffer(usize),
    /// `config wmem BYTES`: the send buffer.
    SendBuffer(usize),
    /// `config mtu BYTES`
    Mtu(u32),
    /// `config time_wait DURATION`
    TimeWait(Duration),
    /// `config fin_timeout DURATION`
    FinTimeout(Duration),
    /// `config syn_retries N`
    SynRetries(u32),
    /// `config synack_retries N`
    SynAckRetries(u32),
    /// `config retries2 N`
    Retries2(u32),
}

/// One line.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its number, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
    /// From when until when it may happen; without one at the moment of the step before.
    pub(crate) at: Option<(Moment, Moment)>,
    pub(crate) action: Action,
}

/// A point in a script's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Moment {
    /// Since the start.
    Absolute(Duration),
    /// Since the step before.
    After(Duration),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Inject(Segment),
    /// A router says that the segment of the node's with this number was too large for it.
    TooBig {
        mtu: u16,
        seq: u32,
    },
    Expect(Segment),
    Quiet,
    Call(Call, Returns),
    State(String),
    PendingError(Option<String>),
    Sockets(usize),
    Ready(Vec<String>),
    Count(Counter, u64),
    /// The congestion window, bytes.
    Window(u64),
    /// What loss recovery is about.
    CaState(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Call {
    Listen(usize),
    Connect,
    /// MSG_FASTOPEN with so much text, to this port of the peer's.
    Open(usize, Option<u16>),
    Accept,
    Use(usize),
    Send(usize),
    Recv(usize),
    SendOob(usize),
    RecvOob {
        peek: bool,
    },
    AtMark,
    Shutdown(Shutdown),
    Close,
    Abort,
    Set(Switch, u32),
}

/// Options that scripts set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Switch {
    NoDelay,
    Cork,
    Linger,
    OobInline,
    Tos,
    Ttl,
    KeepAlive,
    KeepIdle,
    KeepInterval,
    KeepCount,
    UserTimeout,
    FastOpen,
    DeferAccept,
    SynCount,
}

/// What a call returns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Returns {
    /// Not said: it succeeds, whole.
    Success,
    Number(usize),
    Error(String),
}

/// A line that is no step.
#[derive(Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

pub(crate) fn parse(text: &str) -> Result<Script, ParseError> {
    let mut script = Script {
        settings: Vec::new(),
        steps: Vec::new(),
    };
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        let error = |what| ParseError { line, what };
        if let Some(rest) = text.strip_prefix("config ") {
            if !script.steps.is_empty() {
                return Err(error("'config' comes before all steps".into()));
            }
            script.settings.push(setting(rest).map_err(error)?);
        } else if !text.is_empty() {
            let (at, rest) = at(text).map_err(error)?;
            script.steps.push(Step {
                line,
                text: text.split_whitespace().collect::<Vec<_>>().join(" "),
                at,
                action: action(rest).map_err(error)?,
            });
        }
    }
    Ok(script)
}

fn setting(text: &str) -> Result<Setting, String> {
    let (name, value) = text
        .trim()
        .split_once(char::is_whitespace)
        .ok_or("'config' takes a name and a value")?;
    let value = value.trim();
    let switch = || match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("'{value}' is neither on nor off")),
    };
    Ok(match name {
        _ if name.contains('.') => Setting::Sysctl(name.into(), value.into()),
        "timestamps" => Setting::Timestamps(switch()?),
        "window_scaling" => Setting::WindowScaling(switch()?),
        "sack" => Setting::Sack(switch()?),
        "stdurg" => Setting::StdUrg(switch()?),
        "rmem" => Setting::ReceiveBuffer(number(value)?),
        "wmem" => Setting::SendBuffer(number(value)?),
        "mtu" => Setting::Mtu(number(value)?),
        "time_wait" => Setting::TimeWait(duration(value)?),
        "fin_timeout" => Setting::FinTimeout(duration(value)?),
        "syn_retries" => Setting::SynRetries(number(value)?),
        "synack_retries" => Setting::SynAckRetries(number(value)?),
        "retries2" => Setting::Retries2(number(value)?),
        _ => {
            return Err(format!(
                "'{name}' is none of Linux's names, timestamps, window_scaling, sack, stdurg, rmem, \
                 wmem, mtu, time_wait, fin_timeout, syn_retries, synack_retries, retries2"
            ));
        }
    })
}

type When = Option<(Moment, Moment)>;

fn at(text: &str) -> Result<(When, &str), String> {
    let Some(rest) = text.strip_prefix("at ") else {
        return Ok((None, text));
    };
    let (time, rest) = rest
        .trim_start()
        .split_once(char::is_whitespace)
        .ok_or("'at' takes a time and a step")?;
    let (from, to) = time.split_once("..").unwrap_or((time, time));
    let moment = |text: &str, relative: bool| {
        let length = duration(text.trim_start_matches('+'))?;
        Ok::<_, String>(match relative {
            true => Moment::After(length),
            false => Moment::Absolute(length),
        })
    };
    let relative = from.starts_with('+');
    let at = (moment(from, relative)?, moment(to, relative)?);
    Ok((Some(at), rest.trim_start()))
}

fn action(text: &str) -> Result<Action, String> {
    if let Some(segment) = text.strip_prefix('<') {
        let words: Vec<&str> = segment.split_whitespace().collect();
        if let ["icmp", "too-big", mtu, "seq", seq] = words[..] {
            return Ok(Action::TooBig {
                mtu: number(mtu)?,
                seq: number(seq)?,
            });
        }
        return Segment::parse(segment.trim()).map(Action::Inject);
    }
    if let Some(segment) = text.strip_prefix('>') {
        return Segment::parse(segment.trim()).map(Action::Expect);
    }
    let (words, returns) = match text.split_once('=') {
        Some((words, value)) => (words, returns(value.trim())),
        None => (text, Returns::Success),
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    let call = |call| Ok(Action::Call(call, returns.clone()));
    match words[..] {
        ["quiet"] => Ok(Action::Quiet),
        ["listen"] => call(Call::Listen(128)),
        ["listen", backlog] => call(Call::Listen(number(backlog)?)),
        ["connect"] => call(Call::Connect),
        ["open", n] => call(Call::Open(number(n)?, None)),
        ["open", n, "port", port] => call(Call::Open(number(n)?, Some(number(port)?))),
        ["accept"] => call(Call::Accept),
        ["use", n] => call(Call::Use(number(n)?)),
        ["send", n, "oob"] => call(Call::SendOob(number(n)?)),
        ["recv", "oob"] => call(Call::RecvOob { peek: false }),
        ["recv", "oob", "peek"] => call(Call::RecvOob { peek: true }),
        ["atmark"] => call(Call::AtMark),
        ["send", n] => call(Call::Send(number(n)?)),
        ["recv", n] => call(Call::Recv(number(n)?)),
        ["shutdown", "read"] => call(Call::Shutdown(Shutdown::Read)),
        ["shutdown", "write"] => call(Call::Shutdown(Shutdown::Write)),
        ["shutdown", "both"] => call(Call::Shutdown(Shutdown::Both)),
        ["close"] => call(Call::Close),
        ["abort"] => call(Call::Abort),
        ["set", name, n] => call(Call::Set(switch(name)?, number(n)?)),
        ["state", name] => Ok(Action::State(name.into())),
        ["error", "none"] => Ok(Action::PendingError(None)),
        ["error", name] => Ok(Action::PendingError(Some(name.into()))),
        ["sockets", n] => Ok(Action::Sockets(number(n)?)),
        ["ready", ref names @ ..] => Ok(Action::Ready(
            names.iter().map(|name| name.to_uppercase()).collect(),
        )),
        ["count", name, n] => {
            let counter = Counter::ALL.iter().find(|c| c.name() == name);
            let counter = counter.ok_or(format!("'{name}' is no counter"))?;
            Ok(Action::Count(*counter, number(n)?))
        }
        ["cwnd", n] => Ok(Action::Window(number(n)?)),
        ["ca", name] => Ok(Action::CaState(name.into())),
        _ => Err(format!(
            "'{text}' is no step; they begin with <, >, quiet, listen, connect, open, accept, use, send, \
             recv, atmark, shutdown, close, abort, set, state, error, sockets, ready, count, cwnd, ca"
        )),
    }
}

fn switch(name: &str) -> Result<Switch, String> {
    Ok(match name {
        "nodelay" => Switch::NoDelay,
        "cork" => Switch::Cork,
        "linger" => Switch::Linger,
        "oobinline" => Switch::OobInline,
        "tos" => Switch::Tos,
        "ttl" => Switch::Ttl,
        "keepalive" => Switch::KeepAlive,
        "keepidle" => Switch::KeepIdle,
        "keepintvl" => Switch::KeepInterval,
        "keepcnt" => Switch::KeepCount,
        "user_timeout" => Switch::UserTimeout,
        "fastopen" => Switch::FastOpen,
        "defer_accept" => Switch::DeferAccept,
        "syncnt" => Switch::SynCount,
        _ => {
            return Err(format!(
                "'{name}' is none of nodelay, cork, linger, oobinline, tos, ttl, keepalive, keepidle, \
                 keepintvl, keepcnt, user_timeout, fastopen, defer_accept, syncnt"
            ));
        }
    })
}

fn returns(value: &str) -> Returns {
    value
        .parse()
        .map_or_else(|_| Returns::Error(value.to_owned()), Returns::Number)
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (value, unit) = text.split_at(split);
    let value: f64 = value
        .parse()
        .map_err(|_| format!("'{text}' is no time like 1.5s or 200ms"))?;
    let seconds = match unit {
        "s" => value,
        "ms" => value / 1e3,
        "us" => value / 1e6,
        _ => return Err(format!("'{text}' has none of the units s, ms, us")),
    };
    Duration::try_from_secs_f64(seconds)
        .map(|exact| Duration::from_micros(exact.as_nanos().div_ceil(1000) as u64))
        .map_err(|_| format!("'{text}' is no time that can be"))
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse()
        .map_err(|_| format!("'{word}' is no number that fits here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read() {
        let text = "config timestamps on\n# a comment\nlisten 1\n\
                    at 0.1s < S seq 0 win 1000 # more\nat +1ms..1s > S. seq 0 ack 1\n\
                    recv 10 = EAGAIN\ncount TcpOutRsts 0\ncwnd 10000\nca Open";
        let script = parse(text).unwrap();
        assert_eq!(script.settings, [Setting::Timestamps(true)]);
        let steps = &script.steps;
        assert_eq!(
            steps[0].action,
            Action::Call(Call::Listen(1), Returns::Success)
        );
        assert_eq!(steps[1].line, 4);
        let at = Moment::Absolute(Duration::from_millis(100));
        assert_eq!(steps[1].at, Some((at, at)));
        let (from, to) = steps[2].at.unwrap();
        assert_eq!(from, Moment::After(Duration::from_millis(1)));
        assert_eq!(to, Moment::After(Duration::from_secs(1)));
        assert_eq!(
            steps[3].action,
            Action::Call(Call::Recv(10), Returns::Error("EAGAIN".into()))
        );
        assert_eq!(steps[4].action, Action::Count(Counter::TcpOutRsts, 0));
        assert_eq!(steps[5].action, Action::Window(10_000));
        assert_eq!(steps[6].action, Action::CaState("Open".into()));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let fault = |text| parse(text).unwrap_err().to_string();
        assert!(fault("listen\n\nhang up").starts_with("line 3: 'hang up' is no step"));
        assert!(fault("at 3 quiet").contains("units"));
        assert!(fault("config wings on").contains("none of Linux's names, timestamps"));
        assert!(fault("listen\nconfig sack on").contains("before all steps"));
        assert!(fault("count Sheep 3").contains("no counter"));
    }
}

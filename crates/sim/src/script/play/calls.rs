//! Calls about urgent data, and the options that scripts set.

use super::{Player, Socket, same};
use crate::script::parse::{Call, Switch};
use crate::script::segment::{Segment, text_byte};
use core::time::Duration;
use sockeye_core::{Error, OptionValue, SocketOption};
use sockeye_wire::tcp::Flags;
use std::io::IoSlice;

impl Player {
    /// Calls that have to do with one octet of the stream.
    pub(super) fn urgent_call(&mut self, call: Call) -> Result<Result<usize, Error>, String> {
        let Socket { id, sent, .. } = *self.socket()?;
        match call {
            Call::SendOob(len) => {
                let text: Vec<u8> = (sent + 1..).take(len).map(text_byte).collect();
                let (tcp, mut cx) = self.tcp();
                let result = tcp.send_urgent(&mut cx, id, &[IoSlice::new(&text)]);
                self.socket()?.sent += *result.as_ref().unwrap_or(&0) as u32;
                Ok(result)
            }
            Call::RecvOob { peek } => {
                let mut octet = [0];
                let (tcp, mut cx) = self.tcp();
                let result = tcp.recv_urgent(&mut cx, id, &mut octet, peek);
                if result == Ok(1) {
                    same("the urgent octet", &octet[0], &text_byte(self.urgent))?;
                }
                Ok(result)
            }
            _ => {
                let (tcp, _) = self.tcp();
                Ok(tcp.at_mark(id).map(usize::from))
            }
        }
    }

    /// Whether the next read goes over the urgent octet without taking it.
    pub(super) fn is_before_hole(&mut self) -> Result<bool, String> {
        let id = self.socket()?.id;
        let (tcp, cx) = self.tcp();
        let inline = tcp.option(&cx, id, SocketOption::OobInline);
        let at_mark = tcp.at_mark(id).unwrap_or(false);
        Ok(at_mark && inline == Ok(OptionValue::Flag(false)))
    }

    /// Remembers which octet the peer has said to be urgent.
    pub(super) fn note_urgent(&mut self, segment: &Segment) {
        if segment.flags.contains(Flags::URG) {
            let pointer = u32::from(segment.urgent.unwrap_or(0));
            let behind = if self.stdurg {
                pointer
            } else {
                pointer.saturating_sub(1)
            };
            self.urgent = self.urgent.max(segment.seq + behind);
        }
    }

    pub(super) fn set(
        &mut self,
        switch: Switch,
        value: u32,
    ) -> Result<Result<usize, Error>, String> {
        let listener = self.listener;
        let socket = self.socket().map(|socket| socket.id);
        let id = socket.or_else(|error| listener.ok_or(error))?;
        let flag = OptionValue::Flag(value != 0);
        let seconds = OptionValue::Time(Some(Duration::from_secs(u64::from(value))));
        let millis = OptionValue::Time(Some(Duration::from_millis(u64::from(value))));
        let int = OptionValue::Int(i32::try_from(value).unwrap_or(i32::MAX));
        let (option, value) = match switch {
            Switch::NoDelay => (SocketOption::NoDelay, flag),
            Switch::Cork => (SocketOption::Cork, flag),
            Switch::Linger => (SocketOption::Linger, seconds),
            Switch::OobInline => (SocketOption::OobInline, flag),
            Switch::Tos => (SocketOption::Tos, int),
            Switch::Ttl => (SocketOption::Ttl, int),
            Switch::KeepAlive => (SocketOption::KeepAlive, flag),
            Switch::KeepIdle => (SocketOption::KeepIdle, seconds),
            Switch::KeepInterval => (SocketOption::KeepInterval, seconds),
            Switch::KeepCount => (SocketOption::KeepCount, int),
            Switch::UserTimeout => (SocketOption::UserTimeout, millis),
            Switch::FastOpen => (SocketOption::FastOpen, int),
            Switch::DeferAccept => (SocketOption::DeferAccept, seconds),
            Switch::SynCount => (SocketOption::SynCount, int),
        };
        let (tcp, mut cx) = self.tcp();
        Ok(tcp.set_option(&mut cx, id, option, value).map(|()| 0))
    }
}

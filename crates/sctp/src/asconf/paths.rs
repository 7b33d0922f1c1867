//! Paths that come and go with the peer's addresses (RFC 5061 §5.3).

use crate::info::AddressState;
use crate::tcb::{ADDRESSES_MAX, Association};
use sockeye_core::Context;
use sockeye_core::demux::Endpoint;
use std::net::IpAddr;

impl Association {
    /// Whether packets to this address of ours are the association's.
    pub(crate) fn receives_at(&self, ip: IpAddr) -> bool {
        self.local.contains(&ip) || self.asconf.receives_at(ip)
    }

    /// The peer has one address more: §5.3 F14: it is not used for data before it is confirmed. False
    /// when there is no room for it (F9).
    pub(super) fn add_path(&mut self, cx: &mut Context<'_>, remote: Endpoint) -> bool {
        if self.paths.len() >= ADDRESSES_MAX {
            return false;
        }
        let mut path = self.new_path(remote, cx.now);
        path.encap = self.paths[self.data_path].encap;
        path.schedule_beat(cx);
        self.paths.push(path);
        let at = self.paths.len() - 1;
        self.notify_path(cx, at, AddressState::Added);
        self.send_heartbeat(cx, at);
        true
    }

    /// The peer has one address less (F13): nothing goes there any more, and what was in flight there
    /// goes again by other paths. There must be another.
    pub(super) fn remove_path(&mut self, cx: &mut Context<'_>, at: usize) {
        self.notify_path(cx, at, AddressState::Removed);
        let flight = self.outstanding.flight();
        self.outstanding.lose_path(at as u8);
        self.rwnd += flight - self.outstanding.flight();
        self.paths.remove(at);
        let moved = |index: usize| match index {
            index if index > at => index - 1,
            index if index == at => 0,
            index => index,
        };
        self.outstanding
            .renumber_paths(|path| moved(path.into()) as u8);
        self.outbound
            .renumber_paths(|path| (usize::from(path) != at).then(|| moved(path.into()) as u8));
        self.primary = moved(self.primary);
        self.data_path = moved(self.data_path);
        self.ack.path = moved(self.ack.path);
        self.asconf.move_paths(moved);
        self.reconfig.move_paths(moved);
        // F12: where data went by the one that is gone, another is chosen.
        self.choose_path();
    }

    /// The peer would have data come to this address.
    pub(super) fn prefer_path(&mut self, cx: &mut Context<'_>, at: usize) {
        self.primary = at;
        self.choose_path();
        self.notify_path(cx, at, AddressState::MadePrimary);
    }
}

impl super::AddressConfiguration {
    fn move_paths(&mut self, moved: impl Fn(usize) -> usize) {
        if let Some(flight) = &mut self.flight {
            flight.path = moved(flight.path);
        }
    }
}

//! What a socket is told beside data (RFC 6458 §6.1), if it listens.

use crate::info::{AddressState, AssocChange, Notification};
use crate::settings::PfExposure;
use crate::tcb::Association;
use bytes::Bytes;
use sockeye_core::{Context, Counter};

/// Notifications that wait for the association's socket at one time.
const NOTICES_MAX: usize = 256;

impl Association {
    /// Tells the socket something, if it listens.
    pub(crate) fn notify(&mut self, cx: &mut Context<'_>, notice: Notification) {
        if !self.settings.events.contains(notice.event()) {
            return;
        }
        if self.notices.len() >= NOTICES_MAX {
            cx.counters.add(Counter::SctpEventOverflows);
            return;
        }
        self.notices.push_back(notice);
    }

    /// Tells of a path.
    pub(crate) fn notify_path(&mut self, cx: &mut Context<'_>, at: usize, state: AddressState) {
        let hidden = self.settings.pf_exposure != PfExposure::Notifications;
        if state == AddressState::PotentiallyFailed && hidden {
            return;
        }
        let address = self.settings.show(self.paths[at].remote);
        let assoc = self.assoc;
        self.notify(
            cx,
            Notification::PeerAddrChange {
                assoc,
                address,
                state,
                error: 0,
            },
        );
    }

    /// Tells of the association itself.
    pub(crate) fn notify_change(&mut self, cx: &mut Context<'_>, change: AssocChange, error: u16) {
        self.notify_end(cx, change, error, Bytes::new());
    }

    /// The same, with the ABORT chunk that came.
    pub(crate) fn notify_end(
        &mut self,
        cx: &mut Context<'_>,
        change: AssocChange,
        error: u16,
        info: Bytes,
    ) {
        let assoc = self.assoc;
        self.notify(
            cx,
            Notification::AssocChange {
                assoc,
                change,
                error,
                info,
            },
        );
    }
}

//! The answer to a SYN: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK> (RFC 9293 §3.10.7.2), signed by a key of
//! the listener where its peer signs.

use super::HalfOpen;
use crate::Tcp;
use crate::auth::{Auth, Isns, NoKey, Signer};
use crate::emit::{self, Carrier};
use crate::isn::timestamp;
use crate::options::{mss_for, own_shift, syn_options};
use crate::settings::Settings;
use crate::socket::Socket;
use sockeye_core::demux::Flow;
use sockeye_core::{Context, Payload, RouteQuery, SocketId};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::tcp_options::FastOpen;

/// What an answer to a SYN says beyond what its half-open connection knows.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) ack: SeqNum,
    tsval: u32,
    flow_label: u32,
    pub(crate) fast_open: Option<FastOpen>,
    signer: Option<Signer>,
}

impl HalfOpen {
    /// <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>, with `tsval` where there are timestamps.
    pub(crate) fn answer(&self, tsval: u32, flow_label: u32) -> Answer {
        Answer {
            ack: self.irs + 1,
            tsval,
            flow_label,
            fast_open: None,
            signer: None,
        }
    }

    /// Sends an answer to the SYN.
    pub(crate) fn send(&self, cx: &mut Context<'_>, settings: &Settings, answer: &Answer) {
        let flow = &self.flow;
        let scope = flow.remote.scope_interface();
        let route = cx.route(&RouteQuery {
            destination: flow.remote.ip,
            source: Some(flow.local.ip),
            interface: scope.or(settings.common.device),
            foreign_source: false,
        });
        let Ok(route) = route else { return };
        let own_mss = mss_for(route.mtu, flow.remote.ip);
        let mss = match settings.max_segment {
            0 => own_mss,
            limit => own_mss.min(limit),
        };
        let shift = own_shift(cx.config, settings.common.receive_buffer);
        let offer = self.agreed.offer();
        let mut options = syn_options(cx.config, mss, shift, answer.tsval, Some(&offer));
        options.fast_open = answer.fast_open;
        // Beside a cookie or a signature there may be no room.
        if options.fast_open.is_none() && answer.signer.is_none() {
            options.accecn = self.ecn.syn_ack_option(self.retries);
        }
        let header = Header {
            seq: self.iss,
            ack: answer.ack,
            flags: Flags::SYN | Flags::ACK | self.ecn.syn_ack_flags(self.retries),
            window: self.own_window,
            options,
            ..Header::default()
        };
        let label = answer.flow_label;
        let carrier = Carrier::new(&settings.common, flow.remote.ip, label)
            .of_connection()
            .signed(answer.signer.clone());
        // When it can't go out it is as good as lost: the timer sends it again.
        let _ = emit::send(
            cx,
            &route,
            flow,
            &carrier,
            &header,
            Payload::new(),
            u32::MAX,
        );
    }
}

impl Tcp {
    /// Sends the SYN and ACK: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>; and sees to it that it is sent
    /// again.
    pub(crate) fn answer_half_open(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        fast_open: Option<FastOpen>,
    ) {
        let Some(Socket::HalfOpen(half_open)) = self.sockets.get_mut(id) else {
            return;
        };
        half_open.arm(cx, id);
        let (flow, listener) = (half_open.flow, half_open.listener);
        let (Some(Socket::HalfOpen(half_open)), Some(Socket::Listening(listener))) =
            (self.sockets.get(id), self.sockets.get(listener))
        else {
            return;
        };
        let keys = listener.auth.as_deref();
        let Ok(signer) = signer(keys, &flow, half_open.isns(), half_open.ao) else {
            // The key that the peer wants to hear is gone. Without it we say nothing.
            return;
        };
        let tsval = timestamp(cx.now, self.secrets.timestamp_offset(&flow));
        let label = self.secrets.flow_label(&flow);
        let mut answer = half_open.answer(tsval, label);
        answer.fast_open = fast_open;
        answer.signer = signer;
        half_open.send(cx, &listener.settings, &answer);
    }

    /// What signs for a half-open connection.
    pub(super) fn half_open_signer(
        &self,
        listener: SocketId,
        flow: &Flow,
        isns: Isns,
        ids: Option<(u8, u8)>,
    ) -> Result<Option<Signer>, NoKey> {
        match self.sockets.get(listener) {
            Some(Socket::Listening(listener)) => signer(listener.auth.as_deref(), flow, isns, ids),
            _ => signer(None, flow, isns, ids),
        }
    }
}

/// What signs by a listener's keys; nothing, where there is no need to.
fn signer(
    keys: Option<&Auth>,
    flow: &Flow,
    isns: Isns,
    ids: Option<(u8, u8)>,
) -> Result<Option<Signer>, NoKey> {
    match (keys, ids) {
        (Some(keys), _) => keys.answering(flow, isns, ids),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(NoKey),
    }
}

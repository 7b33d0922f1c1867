//! setsockopt(2) and getsockopt(2): SOL_SOCKET's, as unix(7) uses them.

use crate::Unix;
use sockeye_core::option::{ROWS, Standing};
use sockeye_core::{Context, Error, OptionValue, SocketId, SocketOption};

/// The level of all its options.
const SOL_SOCKET: i32 = 1;

impl Unix {
    /// Sets an option.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] for one of another level, [`Error::NotSupported`] for what sockets
    /// of hosts alone have, [`Error::Invalid`] for a value that is out of range.
    pub fn set_option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        let socket = self.socket_mut(id)?;
        match option {
            SocketOption::OobInline => socket.urgent_inline = value.flag()?,
            SocketOption::PeekOffset => {
                socket.peek_offset = usize::try_from(value.int()?).ok();
            }
            SocketOption::ReceiveLowWater => {
                let asked = value.int()?;
                let asked = usize::try_from(asked).unwrap_or(i32::MAX as usize);
                socket.low_water = asked.max(1);
            }
            SocketOption::ZeroCopy => return Err(Error::NotSupported),
            SocketOption::ReusePort if value.flag()? => return Err(Error::NotSupported),
            _ if is_kept(option) => {
                socket.kept.retain(|(other, _)| *other != option);
                socket.kept.push((option, value));
            }
            _ => {
                is_common(option)?;
                socket.common.set_option(option, &value)?;
            }
        }
        let _ = cx;
        Ok(())
    }

    /// What an option is set to.
    ///
    /// # Errors
    /// As for [`set_option`](Self::set_option).
    pub fn option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
    ) -> Result<OptionValue, Error> {
        let socket = self.socket(id)?;
        let int = |n: usize| OptionValue::Int(i32::try_from(n).unwrap_or(i32::MAX));
        Ok(match option {
            SocketOption::OobInline => OptionValue::Flag(socket.urgent_inline),
            SocketOption::PeekOffset => match socket.peek_offset {
                Some(offset) => int(offset),
                None => OptionValue::Int(-1),
            },
            SocketOption::ReceiveLowWater => int(socket.low_water),
            SocketOption::SendBuffer => int(socket.common.send_buffer),
            SocketOption::ReceiveBuffer => int(socket.common.receive_buffer),
            SocketOption::SendLowWater => OptionValue::Int(1),
            _ if is_kept(option) => {
                let kept = socket.kept.iter().find(|(its, _)| *its == option);
                match (kept, option) {
                    (Some((_, value)), _) => value.clone(),
                    (None, SocketOption::Linger) => OptionValue::Time(None),
                    (None, _) => OptionValue::Flag(false),
                }
            }
            _ => {
                is_common(option)?;
                socket.common.option(option, cx.config)?
            }
        })
    }

    /// SO_PASSCRED: says whose process a message is from, to both ends of it.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn set_passes_credentials(&mut self, id: SocketId, on: bool) -> Result<(), Error> {
        self.socket_mut(id)?.passes_credentials = on;
        Ok(())
    }

    /// See [`set_passes_credentials`](Self::set_passes_credentials).
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn passes_credentials(&self, id: SocketId) -> Result<bool, Error> {
        Ok(self.socket(id)?.passes_credentials)
    }

    /// SO_RCVLOWAT: the bytes that a receiver of a stream waits for.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn low_water(&self, id: SocketId) -> Result<usize, Error> {
        Ok(self.socket(id)?.low_water)
    }
}

/// Options that Linux keeps, and that have nothing to do inside a host.
const fn is_kept(option: SocketOption) -> bool {
    matches!(
        option,
        SocketOption::Debug
            | SocketOption::DontRoute
            | SocketOption::KeepAlive
            | SocketOption::NoCheck
            | SocketOption::Linger
            | SocketOption::OverflowCount
            | SocketOption::SelectErrorQueue
    )
}

fn is_common(option: SocketOption) -> Result<(), Error> {
    let common = ROWS.iter().any(|row| match row.standing {
        Standing::Works { option: its, .. } => its == option && row.level == SOL_SOCKET,
        Standing::Refused { .. } => false,
    });
    match common {
        true => Ok(()),
        false => Err(Error::NoProtocolOption),
    }
}

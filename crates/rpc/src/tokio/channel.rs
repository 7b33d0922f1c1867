//! Records in and out of one stream, within one task.

use crate::record::RecordReader;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream with the record that is coming and the bytes that are going.
#[derive(Debug)]
pub(super) struct Channel<S> {
    pub(super) stream: S,
    pub(super) reader: RecordReader,
    /// What is to be written: those that are have come up to `written`.
    pub(super) out: Vec<u8>,
    written: usize,
    is_flushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    pub(super) fn new(stream: S, record_max: usize) -> Self {
        Self {
            stream,
            reader: RecordReader::new(record_max),
            out: Vec::new(),
            written: 0,
            is_flushed: true,
        }
    }

    pub(super) fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }

    /// Writes all that is to be written.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unwritten() > 0 {
            let bytes = &self.out[self.written..];
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.is_flushed = false;
        }
        self.out.clear();
        self.written = 0;
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what is there: false at the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut room = ReadBuf::new(self.reader.room());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.reader.filled(count);
        Poll::Ready(Ok(count > 0))
    }
}
